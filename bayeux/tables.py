"""The tables of a configuration, ``[[channel]]`` and ``[[key]]``: read, checked, found for a complaint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeVar, get_args, get_origin

import msgspec

from bayeux.channels import TOKEN_CHANNEL, covers, is_pattern, is_reserved, is_service
from bayeux.rules import ChannelRule, KeyRule

TableName = Literal["channel", "key"]


class BadRule(ValueError):
    """A table of the configuration cannot be meant; the text says which, and what is wrong with it.

    ``index`` counts the tables of that name from 0; None: what there is are no tables at all.
    """

    def __init__(self, table: TableName, index: int | None, name: object, complaint: str) -> None:
        self.table = table
        self.index = index
        which = "" if index is None else f" {index + 1}"
        if isinstance(name, str) and name.isprintable():
            which += f" ({name})"
        super().__init__(f"[[{table}]]{which}: {complaint}")


class Opener(Protocol):
    """A key, or the table of one, as far as patterns go."""

    @property
    def publish(self) -> tuple[str, ...]:
        """Patterns for which it may sign, and which its tokens may open to publishing."""

    @property
    def subscribe(self) -> tuple[str, ...]:
        """Patterns that its tokens and grants may open."""


Rule = TypeVar("Rule", ChannelRule, KeyRule)


def read_tables(table: TableName, kind: type[Rule], values: object) -> tuple[Rule, ...]:
    """Make rules of what a configuration has under a name; raises ``BadRule``."""
    if not isinstance(values, list | tuple):
        raise BadRule(table, None, None, f"must be tables, each under a line [[{table}]]")
    return tuple(_read_table(table, index, kind, value) for index, value in enumerate(values))


def _read_table(table: TableName, index: int, kind: type[Rule], value: object) -> Rule:
    """Check one table field by field; what is told of a secret does not show it."""
    given: Mapping[str, Any]
    if isinstance(value, kind):
        given = msgspec.structs.asdict(value)
    elif isinstance(value, Mapping):
        given = value
    else:
        raise BadRule(table, index, None, "must be a table of names and values")
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    name = given.get("pattern" if table == "channel" else "id")
    values = {}
    for field, worth in given.items():
        if field not in known:
            raise BadRule(table, index, name, f"there is no {field!r}{nearest(field, known)}")
        try:
            values[field] = msgspec.convert(worth, known[field].type, strict=False)
        except msgspec.ValidationError as error:
            shown = field if field == "secret" else f"{field} = {worth!r}"
            wanted = known[field].type
            complaint = f"choose {_one_of(get_args(wanted))}" if get_origin(wanted) is Literal else error
            raise BadRule(table, index, name, f"{shown}: {complaint}") from None
    for field, what in known.items():
        if what.required and field not in values:
            raise BadRule(table, index, name, f"{field} is missing")
    return kind(**values)


def _one_of(choices: Iterable[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}"


def check_channels(rules: Collection[ChannelRule]) -> None:
    """Check rules for channels, each by itself and against the others; raises ``BadRule``."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        complaint = _complaint(rule)
        if not complaint and rule.pattern in seen:
            complaint = f"[[channel]] {seen[rule.pattern] + 1} is for the same pattern; make one of the two"
        if complaint:
            raise BadRule("channel", index, rule.pattern, complaint)
        seen[rule.pattern] = index


def _complaint(rule: ChannelRule) -> str:
    if not is_pattern(rule.pattern):
        return "this is neither a channel nor a pattern such as /news/**"
    if is_reserved(rule.pattern):
        return "the protocol's own channels have no rules"
    if rule.pattern == TOKEN_CHANNEL:
        return "whoever has a session may send its next token there; it has no rule"
    if is_service(rule.pattern) and (rule.subscribe != "anyone" or rule.lazy):
        return "services can only be published to; take out subscribe and lazy"
    return ""


def check_openers(rules: Iterable[ChannelRule], keys: Iterable[Opener]) -> None:
    """Check that there is a key for what needs one; raises ``BadRule``."""
    keys = tuple(keys)
    publish = [pattern for key in keys for pattern in key.publish]
    subscribe = [pattern for key in keys for pattern in key.subscribe]
    for index, rule in enumerate(rules):
        for field, value, patterns in (("publish", rule.publish, publish),
                                       ("subscribe", rule.subscribe, subscribe)):
            if value in ("token", "signed") and not any(
                covers(pattern, rule.pattern) or covers(rule.pattern, pattern) for pattern in patterns
            ):
                raise BadRule("channel", index, rule.pattern, (
                    f"{field} = {value!r} needs a [[key]] that has such channels in its {field}"))


_WORDS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
"""Strings and comments of a TOML file."""


def find_table(text: str, table: TableName, index: int | None) -> int | None:
    """Return the line on which one of the tables of that name begins in a TOML file, None if not found.

    tomllib does not tell.  Lines count from 1.
    """

    text = _plain(text)
    name = f"(?:{table}|\"{table}\"|'{table}')"
    headers = [*re.finditer(rf"^[ \t]*\[\[[ \t]*{name}[ \t]*\]\][ \t]*$", text, re.MULTILINE)]
    if index is not None and index < len(headers):
        begin = headers[index]
    else:
        other = re.search(rf"^[ \t]*(?:\[[ \t]*{name}[ \t]*\]|{name}[ \t]*=)", text, re.MULTILINE)
        if other is None:
            return None
        begin = other
    return text.count("\n", 0, begin.start()) + 1


def find_setting(text: str, name: str) -> int | None:
    """Return the line on which a setting that is no table is given in a TOML file, None if not found."""
    text = _plain(text)
    found = re.search(rf"^[ \t]*(?:\[[ \t]*)?(?:{name}|\"{name}\"|'{name}')[ \t]*[\]=.]", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _plain(text: str) -> str:
    """Return a TOML file without comments and long strings, which may look like anything; lines stay."""
    def hide(found: re.Match[str]) -> str:
        return found[0] if found[0][0] in "\"'" and "\n" not in found[0] else "\n" * found[0].count("\n")

    return _WORDS.sub(hide, text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a guess at what was meant, to be put behind a complaint; "" if there is none."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
