"""What the reference has of the code itself: settings, commands, and the errors that a client may be told.

``.. settings:: bayeux.settings.Settings`` documents each field of a class, under the headings that stand as
comments in its source; ``:prefix:`` comes before their names.  ``.. commands::`` has what the commands say of
themselves.  The functions that read the code are used by the tests as well, so that nothing is missing.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from argparse import ArgumentParser, HelpFormatter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from bayeux.configuration import write_value

_ID = r"(?:[A-Z]{1,2}-[0-9]+(?:[a-z])?(?: and |, | to )?)+"
_IDS = re.compile(rf"[ \n]*\((?:{_ID}|(?:BAYEUX\.md )?sections? [0-9.]+(?: and [0-9.]+)?)\)")
_HEADING = re.compile(r"\s*# -- (.*?) -+")
_TIMES = re.compile(r"interval|timeout|processing|leeway|period|window|spread|pause|deadline")
_ELSEWHERE = ("demo", "client", "load", "cli", "errors.py")
"""Parts of the package that answer no client."""
_TOLD = ("BayeuxError", "Denied", "Unauthenticated", "Expired")
"""Errors whose text is given by whoever raises them."""
_WORDS = {"activity", "channel", "key", "authorize"}
"""Settings whose names in a text mean something else as well."""


def without_ids(text: str) -> str:
    """Leave the ids of requirements out of a docstring, ``(Q-3)``: they are for tests and reviewers."""
    return _IDS.sub("", text)


class Setting(NamedTuple):
    """One field of a class of settings, as a reader wants to know it."""

    name: str
    kind: str
    default: str
    text: str
    heading: str


def _class(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def settings_of(name: str) -> Iterator[Setting]:
    """Yield the fields of a msgspec class, each with what its source says of it."""
    cls = _class(name)
    lines, _ = inspect.getsourcelines(cls)
    body = ast.parse("".join(lines)).body[0].body  # type: ignore[attr-defined]  # it is a class
    texts = {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    headings = {}
    for number, line in enumerate(lines, 1):
        if found := _HEADING.fullmatch(line.rstrip()):
            headings[number] = re.split(r"; | \(", found[1])[0]
    for field in msgspec.structs.fields(cls):
        line = next(node.lineno for node in body if isinstance(node, ast.AnnAssign)
                    and node.target.id == field.name)
        heading = [title for number, title in headings.items() if number < line][-1:]
        text = texts[field.name]
        yield Setting(field.name, _kind(field.type, field.name, text), _default(field),
                      without_ids(text), heading[0] if heading else "")


def _kind(kind: Any, name: str, text: str) -> str:
    """Say what values a setting takes, and their unit."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"``{write_value(value)}``" for value in arguments)
    if origin is tuple:
        inner = arguments[0]
        if get_origin(inner) is Literal:
            return "list of any of " + ", ".join(f"``{write_value(value)}``" for value in get_args(inner))
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return "list of tables"
        return "list of texts"
    if origin is dict:
        return "table of texts to seconds"
    if type(None) in arguments:
        return " or ".join(_kind(each, name, text) for each in arguments if each is not type(None))
    constraints = [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)]
    plain = arguments[0] if constraints else kind
    if plain is bool:
        return "``true`` or ``false``"
    if plain is int or plain is float:
        return _number(plain, constraints[0] if constraints else msgspec.Meta(), name, text)
    return {str: "text"}.get(plain, "time with its zone")


def _number(kind: type, limits: msgspec.Meta, name: str, text: str) -> str:
    first = re.split(r"[.;] ", text)[0]
    if "per_second" in name:
        what = "number a second"
    elif kind is float:
        what = "seconds" if _TIMES.search(name) or limits.le == 31_536_000 else "number"
    else:
        what = "bytes" if re.search(r"\b[Bb]ytes\b", first) else "whole number"
    if limits.gt is not None:
        return f"{what}, more than {limits.gt}"
    if limits.ge is None:
        return what
    if limits.le is None or limits.le >= 1_000_000:
        return f"{what}, {limits.ge} or more"
    return f"{what}, {limits.ge} to {limits.le}"


def _default(field: msgspec.structs.FieldInfo) -> str:
    """Write a default as TOML has it; "" where there is none."""
    if field.default_factory is not msgspec.NODEFAULT:
        return write_value(field.default_factory())
    return "" if field.default in (msgspec.NODEFAULT, None) else write_value(field.default)


def errors_in(package: Path) -> set[tuple[int, str]]:
    """Return what a client can be told, as code and text, by whatever in a package raises a ``BayeuxError``.

    Found are texts that stand in the call; a policy or the site may have others.
    """
    from bayeux import errors

    classes = {name: cls for name, cls in vars(errors).items()
               if isinstance(cls, type) and issubclass(cls, errors.BayeuxError)}
    found = set()
    for file in package.rglob("*.py"):
        if {*_ELSEWHERE} & {*file.relative_to(package).parts}:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                error = _made(classes[node.func.id], node.args)
                if error is not None:
                    found.add((error.code, error.text))
            elif isinstance(node, ast.Name) and node.id in classes:  # raised by name: ``raise TooBusy``
                error = _made(classes[node.id], [])
                if error is not None:
                    found.add((error.code, error.text))
    return found


def _made(cls: type, arguments: list[ast.expr]) -> Any:
    """Make such an error as a call does, if the call says enough; what it does not say is no text."""
    values = [each.value if isinstance(each, ast.Constant) else "x" for each in arguments
              if not isinstance(each, ast.Starred)]
    text = arguments[1 if cls.__name__ == "BayeuxError" else 0:][:1]
    if cls.__name__ in _TOLD and text and not isinstance(text[0], ast.Constant):
        return None
    try:
        return cls(*values)
    except TypeError:  # an annotation, or in an ``except``
        return None


class SettingsDirective(SphinxDirective):
    """Documents every field of a class of settings."""

    required_arguments = 1
    option_spec = {"prefix": directives.unchanged}  # noqa: RUF012 - docutils declares it so

    def run(self) -> list[nodes.Node]:
        """Write them as reStructuredText, and have that read."""
        lines, heading = [], ""
        linked = {field.name for field in msgspec.structs.fields(_class(self.arguments[0]))} - _WORDS
        self.env.note_dependency(inspect.getsourcefile(
            importlib.import_module(self.arguments[0].rpartition(".")[0])))
        for setting in settings_of(self.arguments[0]):
            if setting.heading != heading:
                heading = setting.heading
                title = heading[0].upper() + heading[1:]
                lines += [title, "-" * len(title), ""]
            lines += [f".. confval:: {self.options.get('prefix', '')}{setting.name}",
                      f"   :type: {setting.kind}"]
            if setting.default:
                lines.append(f"   :default: ``{setting.default}``")
            text = setting.text
            for name in set() if "prefix" in self.options else linked - {setting.name}:
                text = text.replace(f"``{name}``", f":confval:`{name}`")
            lines += ["", textwrap.indent(text, "   "), ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


class CommandsDirective(SphinxDirective):
    """Documents ``twistd bayeux`` and every command of ``bayeux`` by what their ``--help`` says."""

    def run(self) -> list[nodes.Node]:
        """Write a section for each."""
        self.env.note_reread()
        lines = []
        for title, text in helps():
            lines += [title, "-" * len(title), "", "::", "", textwrap.indent(text, "   "), ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def helps() -> Iterator[tuple[str, str]]:
    """Yield the name of each command, and what it says of itself."""
    from bayeux.cli.main import COMMANDS
    from bayeux.tap import Options

    yield "twistd bayeux", Options().getUsage(width=78).strip()
    for command in COMMANDS:
        parser = ArgumentParser(prog=f"bayeux {command.NAME}", formatter_class=_Wide)
        command.add_arguments(parser)
        yield f"bayeux {command.NAME}", parser.format_help()


class _Wide(HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=78)


def setup(app: Any) -> dict[str, Any]:
    """Make the directives known to Sphinx."""
    app.add_directive("settings", SettingsDirective)
    app.add_directive("commands", CommandsDirective)
    return {"version": "1", "parallel_read_safe": True}
