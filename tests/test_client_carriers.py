"""In which order transports are tried."""

from __future__ import annotations

from bayeux.client.carriers import Carriers


def three() -> Carriers:
    return Carriers([("a", True), ("b", False), ("c", False)])


def test_all_are_tried_from_the_best_on() -> None:
    carriers = three()
    assert [carriers.try_all().name, carriers.try_next().name, carriers.try_next().name] == ["a", "b", "c"]
    assert not carriers.has_untried


def test_the_one_in_use_is_tried_first_and_only_what_the_server_offers() -> None:
    carriers = three()
    assert carriers.agree(["c", "b", "x"], carriers["c"])
    assert [carriers.try_current().name, carriers.try_next().name] == ["c", "b"]
    assert not carriers.has_untried
    assert carriers.best.name == "b" and carriers.is_best
    carriers.try_current()
    carriers.move(carriers["c"])
    assert not carriers.is_best


def test_what_is_not_offered_is_not_used() -> None:
    carriers = three()
    assert carriers.agree(["b"], carriers["a"])
    assert carriers.current.name == "b" and carriers.is_best


def test_without_a_common_one_nothing_changes() -> None:
    carriers = three()
    assert not carriers.agree(["x"], carriers["a"])
    assert carriers.common == carriers.all


def test_after_a_move_the_others_are_left() -> None:
    carriers = three()
    carriers.move(carriers["b"])
    assert carriers.current.name == "b"
    assert [carriers.try_next().name, carriers.try_next().name] == ["a", "c"]


def test_a_stream_has_to_be_open() -> None:
    carriers = three()
    assert not carriers["a"].is_usable and carriers["b"].is_usable
    carriers["a"].is_open = True
    assert carriers["a"].is_usable
