"""load/fleet.py: worker processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import msgspec
import pytest

from bayeux.load import LoadError
from bayeux.load import fleet as module
from bayeux.load.fleet import Fleet
from bayeux.load.orders import Coming, Done, Go, News, Plan, Tick
from tests.loading import Message, Server, Session
from tests.test_load_worker import plan

SECONDS = 60.0


def hear(fleet: Fleet, enough: Callable[[list[tuple[int, News]]], bool]) -> list[tuple[int, News]]:
    """Listen until enough has been told."""
    told: list[tuple[int, News]] = []
    end = time.monotonic() + SECONDS
    while not enough(told):
        assert time.monotonic() < end, told
        told += fleet.news(0.2)
    return told


def pids(fleet: Fleet) -> list[int]:
    return [process.process.pid for process in fleet._processes]


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def two(url: str) -> list[Plan]:
    return [plan(url, worker=number, workers=2) for number in range(2)]


def test_each_worker_does_its_part_and_ends() -> None:
    with Server().listening() as url, Fleet(two(url)) as fleet:
        assert len(fleet) == 2
        hear(fleet, lambda told: {number for number, news in told
                                  if isinstance(news, Coming) and news.ready} == {0, 1})
        fleet.order(Go(time.monotonic_ns() + 50_000_000))
        told = hear(fleet, lambda told: not fleet.is_working)
        done = {number: news for number, news in told if isinstance(news, Done)}
        assert [sum(done[number].sent) for number in range(2)] == [27, 13]
        assert [done[number].live for number in range(2)] == [3, 3]
        assert {number for number, news in told if isinstance(news, Tick)} == {0, 1}
        fleet.order(Go(1))  # nobody is there any more, and that is no matter


def test_clients_stay_until_all_workers_have_done_their_work() -> None:
    """What one of them waits for would be delivered by a server that is busy with good-byes."""
    kept: list[tuple[Session, Message]] = []

    def keep(session: Session, message: Message) -> list[Message]:
        kept.append((session, message))
        return []

    server = Server(deliver=keep)
    with server.listening() as url:
        one, other = two(url)
        plans = [msgspec.structs.replace(one, drain=0.1), msgspec.structs.replace(other, drain=3600.0)]
        with Fleet(plans) as fleet:
            hear(fleet, lambda told: {number for number, news in told
                                      if isinstance(news, Coming) and news.ready} == {0, 1})
            fleet.order(Go(time.monotonic_ns() + 50_000_000))
            hear(fleet, lambda told: any(isinstance(news, Done) for _, news in told)
                 and any(isinstance(news, Tick) and news.second and number for number, news in told))
            processes = [process.process for process in fleet._processes]
            assert [process.poll() for process in processes] == [None, None]
            with server.changed:  # what the other waits for comes at last
                for session, message in kept:
                    session.queue.append(message)
                server.changed.notify_all()
            told = hear(fleet, lambda told: any(isinstance(news, Done) for _, news in told))
            assert [number for number, news in told if isinstance(news, Done)] == [1]
            hear(fleet, lambda told: not fleet.is_working)
            assert [process.returncode for process in processes] == [0, 0]


def test_workers_do_not_outlive_an_error() -> None:
    with Server().listening() as url, pytest.raises(KeyError), Fleet(two(url)) as fleet:
        ours = pids(fleet)
        raise KeyError
    assert all(map(has_ended, ours))


def test_a_worker_that_cannot_go_on_says_why() -> None:
    with Fleet([plan("nonsense")]) as fleet, pytest.raises(LoadError, match="is no URL"):
        hear(fleet, lambda told: False)


def test_a_worker_that_dies_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with (Fleet([plan("http://127.0.0.1:1/")]) as fleet,
          pytest.raises(LoadError, match=r"worker 0 has ended: $")):
        hear(fleet, lambda told: False)
    monkeypatch.undo()
    bad = msgspec.structs.replace(plan("http://127.0.0.1:1/"), clients="many")  # type: ignore[arg-type]  # so
    with Fleet([bad]) as fleet, pytest.raises(LoadError, match=r"worker 0 has ended: (?s:.*)Expected `int`"):
        hear(fleet, lambda told: False)


def test_no_worker_is_left_if_one_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class Process(module._Process):
        def __init__(self, plan: Plan) -> None:
            if started:
                raise OSError("no more")
            super().__init__(plan)
            started.append(self.process.pid)

    monkeypatch.setattr(module, "_Process", Process)
    with pytest.raises(OSError, match="no more"):
        Fleet(two("http://127.0.0.1:1/"))
    assert has_ended(started[0])
