"""The secrets that signatures and tokens are checked by, and where they are read from."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from bayeux.channels import covers, is_pattern, is_reserved, is_service
from bayeux.rules import KeyRule

LEAST_SECRET = 32
"""Characters that a secret has at least (Y-4)."""

_ALWAYS = float("inf")
_MAX_FILE = 65_536
"""Bytes of a secret's or a key's file: more is read of none, whatever it turns out to be."""
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECRET = re.compile(rb"[!-~]*")


class BadKey(ValueError):
    """A key cannot be used as it is configured; the text says which, and what to do about it.

    ``index`` says which of the tables it is, counted from 0; None: it is not about one.
    """

    def __init__(self, complaint: str, index: int | None = None) -> None:
        super().__init__(complaint)
        self.index = index


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: its secret, and what it is good for, by default nothing (Y-7)."""

    id: str
    secret: bytes
    """The bytes of the secret's text, undecoded (Y-4)."""
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    not_before: float = -_ALWAYS
    """Seconds since 1970."""
    not_after: float = _ALWAYS
    max_payload: int = 65_536
    """Bytes."""

    def __repr__(self) -> str:
        """Return a text that may be logged: without the secret."""
        return f"<Key {self.id}>"

    def may_publish(self, channel: str) -> bool:
        """Say whether it is good for publishing to a channel or pattern (S-10)."""
        return _is_covered(channel, self.publish)

    def may_subscribe(self, pattern: str) -> bool:
        """Say whether it is good for subscribing to a channel or pattern (S-10)."""
        return _is_covered(pattern, self.subscribe)


def _is_covered(requested: str, granted: Iterable[str]) -> bool:
    """Say whether one pattern covers what is requested; ``/**`` is no word about services (C-15)."""
    return any(covers(pattern, requested) for pattern in granted
               if is_service(pattern) == is_service(requested))


class KeyRing:
    """All keys of a server; what is in it may be replaced while it runs (Y-10)."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys: dict[str, Key] = {}
        self.replace(keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """Have these keys from now on, and no others."""
        self._keys = {key.id: key for key in keys}

    def find(self, key_id: str, now: float) -> Key | None:
        """Return the key of that id, if it is good at a time of day (seconds since 1970)."""
        key = self._keys.get(key_id)
        return key if key is not None and key.not_before <= now < key.not_after else None


def is_key_id(text: str) -> bool:
    """Say whether a key may have that id (Y-3)."""
    return _ID.fullmatch(text) is not None


def check_rules(rules: Iterable[KeyRule]) -> None:
    """Check what can be said of keys without reading a file; raises ``BadKey``."""
    seen = set()
    for index, rule in enumerate(rules):
        complaint = _complaint(rule)
        if complaint:
            raise BadKey(f"{rule.id!r}: {complaint}", index)
        if rule.id in seen:
            raise BadKey(f"{rule.id!r}: there are two keys of that id; give each its own", index)
        seen.add(rule.id)


def _complaint(rule: KeyRule) -> str:
    if not is_key_id(rule.id):
        return "an id is 1 to 64 letters, digits, or characters of _ . -"
    if bool(rule.secret) == bool(rule.secret_file):
        return "needs one of secret and secret_file, and not both"
    if rule.secret and (complaint := _secret_complaint(_bytes(rule.secret))):
        return complaint
    for name, patterns in (("publish", rule.publish), ("subscribe", rule.subscribe)):
        for pattern in patterns:
            if not is_pattern(pattern):
                return f"{name}: {pattern!r} is neither a channel nor a pattern such as /news/**"
            if is_reserved(pattern):
                return f"{name}: {pattern!r} belongs to the protocol itself; take it out"
    for name, moment in (("not_before", rule.not_before), ("not_after", rule.not_after)):
        if moment is not None and moment.tzinfo is None:
            return f"{name}: a time needs its zone, as in 2027-01-01T00:00:00Z"
    if rule.not_before is not None and rule.not_after is not None and rule.not_before >= rule.not_after:
        return "not_before must be earlier than not_after"
    return ""


def read_keys(rules: Iterable[KeyRule], directory: str = "") -> list[Key]:
    """Read all keys of a configuration: those of its tables, and those of a directory if one is named.

    Every file ``NAME.toml`` there holds the fields of one key; its ``id`` is NAME unless it says
    otherwise, and its ``secret_file`` is relative to the directory.  Raises ``BadKey``, and then
    nothing has changed.
    """
    rules = [*rules, *(_read_rule(path) for path in _files(directory))]
    check_rules(rules)
    return [Key(
        id=rule.id, secret=_secret(rule, index), publish=rule.publish, subscribe=rule.subscribe,
        not_before=_seconds(rule.not_before, -_ALWAYS), not_after=_seconds(rule.not_after, _ALWAYS),
        max_payload=rule.max_payload,
    ) for index, rule in enumerate(rules)]


def _files(directory: str) -> list[Path]:
    if not directory:
        return []
    try:
        return sorted(path for path in Path(directory).iterdir()
                      if path.suffix == ".toml" and not path.name.startswith("."))
    except (OSError, ValueError) as error:
        raise BadKey(f"key_directory: {directory}: {_reason(error)}") from None


def _read_rule(path: Path) -> KeyRule:
    """Read the file of one key; whoever may read it has its secret, if that is in it."""
    text, everybody = _read(str(path))
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, a number of too many digits
        raise BadKey(f"{path}: {error}") from None
    except RecursionError:
        raise BadKey(f"{path}: nested too deep") from None
    if isinstance(table.get("key"), list):
        raise BadKey(f"{path}: holds the fields of one key alone, without a line [[key]]; take it out")
    try:
        rule = msgspec.convert({"id": path.stem, **table}, KeyRule)
    except msgspec.ValidationError as error:
        raise BadKey(f"{path}: {error}") from None
    if rule.secret and everybody:
        raise BadKey(exposed(str(path)))
    if rule.secret_file:
        rule = msgspec.structs.replace(rule, secret_file=str(path.parent / rule.secret_file))
    return rule


def _secret(rule: KeyRule, index: int) -> bytes:
    if not rule.secret_file:
        return _bytes(rule.secret)
    try:
        return read_secret(rule.secret_file)
    except BadKey as error:
        raise BadKey(f"{rule.id!r}: {error}", index) from None


def read_secret(path: str) -> bytes:
    """Read the file of a secret, which holds nothing else; line ends behind it are left out.

    Raises ``BadKey`` if it cannot be read, if every user of the machine can, or if what is in it
    cannot be a secret.
    """
    text, everybody = _read(path)
    if everybody:
        raise BadKey(exposed(path))
    secret = text.rstrip(b"\r\n")
    complaint = _secret_complaint(secret)
    if complaint:
        raise BadKey(f"{path}: {complaint}")
    return secret


def is_exposed(mode: int) -> bool:
    """Say whether a file with that mode is open to users that are neither its owner nor of its group."""
    return bool(mode & stat.S_IRWXO)


def exposed(path: str) -> str:
    """Return the complaint about a file with a secret that everybody can read."""
    return f"{path}: every user of this machine may read the secret; do: chmod o-rwx {path}"


def _secret_complaint(secret: bytes) -> str:
    if secret.startswith(b"\xef\xbb\xbf"):
        return "the secret begins with a byte order mark; save it without"
    if not _SECRET.fullmatch(secret):
        return "a secret is one word of visible ASCII characters; make one by: bayeux keygen"
    if len(secret) < LEAST_SECRET:
        return (f"the secret has {len(secret)} characters and needs {LEAST_SECRET} that are random; "
                "make one by: bayeux keygen")
    return ""


def _bytes(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")


def _read(path: str) -> tuple[bytes, bool]:
    """Return what is in a file, and whether everybody may read it."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_FILE + 1)
            everybody = is_exposed(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError) as error:
        raise BadKey(f"{path}: {_reason(error)}") from None
    if len(text) > _MAX_FILE:
        raise BadKey(f"{path}: too large for a key")
    return text, everybody


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else moment.timestamp()
