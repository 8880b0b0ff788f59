"""Where settings are read from, a TOML file and ``NAME=VALUE`` on a command line; how they are written."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bayeux.keys import exposed, is_exposed
from bayeux.settings import SettingsError
from bayeux.tables import find_setting, find_table

_NAME = re.compile(r"(?:there is no setting ')?(\w+)")
"""The setting at the beginning of a complaint."""


def read_toml(path: str) -> dict[str, Any]:
    """Read settings from a TOML file, its top-level keys being their names.

    Paths of keys that are relative are so to the file.  Raises ``SettingsError`` when it cannot be read
    or is not TOML, or has secrets in it that everybody may read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = tomllib.loads(file.read())
            everybody = is_exposed(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, a number of too many digits
        raise SettingsError(f"{path}: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: nested too deep") from None
    if everybody and any("secret" in table for table in _key_tables(values)):
        raise SettingsError(exposed(path))
    return anchor(values, str(Path(path).parent))


def anchor(values: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Return settings whose paths of keys do not depend on where the process is: they are in a folder."""
    anchored = dict(values)
    for name in ("api_key_file", "authorize_secret_file", "key_directory"):
        if values.get(name) and isinstance(values[name], str):
            anchored[name] = os.path.abspath(os.path.join(folder, values[name]))
    tables = _key_tables(values)
    if tables:
        anchored["key"] = [
            {**table, "secret_file": os.path.abspath(os.path.join(folder, table["secret_file"]))}
            if isinstance(table.get("secret_file"), str) and table["secret_file"] else table
            for table in tables]
    return anchored


def _key_tables(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables ``[[key]]``; none if what is there is something else, and wrong."""
    tables = values.get("key")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return []
    return tables


def located(path: str, error: SettingsError) -> SettingsError:
    """Return a complaint about what is in a file, with its name and, where that can be found, the line."""
    text = Path(path).read_text(encoding="utf-8")
    if error.rule is not None:
        line = find_table(text, error.rule.table, error.rule.index)
    else:
        name = _NAME.match(str(error))
        line = None if name is None else find_setting(text, name[1])
    return SettingsError(f"{path}: {error}" if line is None else f"{path}:{line}: {error}")


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``; the value is TOML (``5``, ``["a", "b"]``, ``{"/x" = 1}``) or else a plain string.

    Raises ``SettingsError`` when there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{text!r} must look like NAME=VALUE")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return name.strip(), value.strip()


def write_value(value: object) -> str:
    """Write a setting's value as TOML.  Raises ``TypeError`` for what no setting can be."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{write_value(name)} = {write_value(worth)}" for name, worth in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(write_value, value))}]"
    if isinstance(value, datetime):
        return value.isoformat()
    # What JSON escapes TOML escapes alike, and DEL as well.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
