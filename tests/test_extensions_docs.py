"""The page of the extensions: what it shows goes over the wire."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from twisted.internet.task import Clock

from bayeux import Hub, Link, Settings
from bayeux.extensions.timestamp import Timestamp
from bayeux.extensions.timesync import Timesync
from bayeux.messages import decode
from bayeux.settings import ExtensionName
from tests.test_tutorials import DOCS

PAGE = (DOCS / "reference" / "extensions.rst").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(
    re.findall(r"^(.+)\n-+\n((?:.*\n)*?)(?=^.+\n-+\n|\Z)", PAGE, re.MULTILINE))
EXAMPLES = [title for title, text in SECTIONS.items() if "code-block:: text" in text]


def shown(section: str) -> list[tuple[str, Any]]:
    """Return what goes over the wire there: ``->`` or ``<-``, and the messages."""
    [block] = re.findall(r"code-block:: text\n\n((?:   .*\n|\n)+)", SECTIONS[section])
    packets = re.findall(r"^   (->|<-) ((?:.*\n)(?:    .*\n)*)", block, re.MULTILINE)
    return [(arrow, json.loads(f"[{text}]")) for arrow, text in packets]


class Wire:
    """A hub, and one client of it."""

    def __init__(self, *extensions: ExtensionName, **handshake: Any) -> None:
        self.hub = Hub(Clock(), Settings(extensions=extensions))
        self.link = Link("long-polling")
        self.session: str | None = None
        self.session = self.send({"channel": "/meta/handshake", "version": "1.0", **handshake})[0]["clientId"]
        self.send({"channel": "/meta/subscribe", "subscription": "/foo"})
        self.connect(ext={"ack": 0})

    def send(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        batch = [{"clientId": self.session, **message} for message in messages]
        exchange = self.hub.receive(decode(json.dumps(batch).encode(), self.hub.settings), self.link)
        return [json.loads(answer) for answer in exchange.drain()]

    def connect(self, **fields: Any) -> list[dict[str, Any]]:
        return self.send({"connectionType": "long-polling", "channel": "/meta/connect", **fields})


def covers(answer: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Say whether the messages are those, with the fields that are left out there."""
    return len(answer) == len(expected) and all(
        message.items() >= part.items() for message, part in zip(answer, expected, strict=True))


@pytest.mark.parametrize("section", EXAMPLES)
def test_messages_are_json(section: str) -> None:
    assert {arrow for arrow, _ in shown(section)} <= {"->", "<-"}
    assert all(isinstance(message["channel"], str) for _, messages in shown(section) for message in messages)


def test_each_extension_that_can_be_switched_on_has_a_section() -> None:
    assert {*ExtensionName.__args__} <= SECTIONS.keys()


def test_ack_sends_again_what_was_lost() -> None:
    (_, [greeting]), (_, agreed), (_, [third]), (_, events), (_, [fourth]), (_, again) = shown("ack")
    wire = Wire("ack", ext=greeting["ext"])
    assert agreed[0]["ext"] == {"ack": True}
    wire.hub.publish("/foo", "a")
    assert covers(wire.connect(**third), events)
    assert covers(wire.connect(**fourth), again)


def test_binary_is_handed_on_as_it_came() -> None:
    (_, [publish]), (_, [event]) = shown("binary")
    assert event in Wire("binary").send(publish)


def test_a_timestamp_is_gmt() -> None:
    [(_, [event])] = shown("timestamp")
    wire = Wire()
    wire.hub.add_extension(Timestamp(wall=lambda: 1_795_685_400.25))
    assert event in wire.send({"channel": "/foo", "data": "a"})


def test_timesync_says_how_far_off_a_guess_is() -> None:
    (_, [question]), (_, [answer]) = shown("timesync")
    wire = Wire()
    times = iter([1_700_000_000.040, 1_700_000_002.043])
    wire.hub.add_extension(Timesync(0.025, wall=lambda: next(times)))
    assert covers(wire.connect(**question, advice={"timeout": 0}), [answer])
