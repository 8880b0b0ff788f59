"""The command ``twistd bayeux``: its options, and the service made of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from bayeux.configuration import anchor, located, parse_assignment, read_toml
from bayeux.logs import Lines, lines_for
from bayeux.settings import Settings, SettingsError

DEMO_MOUNT = "/bayeux"
"""Where the demos' pages expect the server."""


class Options(usage.Options):
    """Options of ``twistd bayeux``: what is asked for most, and ``--set`` for every other setting."""

    synopsis = "[options]"
    longdesc = (
        "Serve the Bayeux protocol to browsers and programs. Every setting of bayeux.Settings can be "
        "given in a TOML file or by --set; options win over --set, and --set over the file."
    )
    optParameters = [  # noqa: RUF012 - Twisted declares it so
        ["config", "c", None, "Read settings from this TOML file."],
        ["api", None, None, "Serve the HTTP API on this endpoint, tcp:9090; on loopback unless that names "
                            "an interface. It needs --api-key-file. [default: none]"],
        ["api-key-file", None, None, "The file with the API's key; make one by: bayeux keygen --api FILE"],
        ["access-log", None, None, "Write a line for each request to this file. [default: none]"],
        ["log-format", None, None, "Log lines of text or of json. [default: text]"],
        ["log-level", None, None, "Log from this level on: debug, info, warn, error. [default: info]"],
    ]
    optFlags = [["demo", None, "Serve the demos at / beside the server."]]  # noqa: RUF012 - as above

    def __init__(self) -> None:
        super().__init__()
        self._lists: dict[str, list[str]] = {"listen": [], "mounts": [], "allowed_origins": []}
        self._assigned: dict[str, Any] = {}
        self._given: dict[str, Any] = {}
        self.settings = Settings()

    def opt_listen(self, endpoint: str) -> None:
        """Listen there: any Twisted endpoint; repeatable. [default: tcp:8080:interface=127.0.0.1]"""
        self._lists["listen"].append(endpoint)

    def opt_mount(self, path: str) -> None:
        """Answer under this path; repeatable. [default: /bayeux]"""
        self._lists["mounts"].append(path)

    def opt_allow_origin(self, origin: str) -> None:
        """Let pages of this origin use the server, https://www.example.org; repeatable. [default: own]"""
        self._lists["allowed_origins"].append(origin)

    def opt_set(self, assignment: str) -> None:
        """Set any setting, NAME=VALUE; repeatable."""
        try:
            name, value = parse_assignment(assignment)
        except SettingsError as error:
            raise usage.UsageError(f"--set: {error}") from None
        self._assigned |= anchor({name: value}, "")  # here, wherever twistd goes

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; whatever is wrong ends the process with one line that says what."""
        try:
            super().parseOptions(options)
        except (usage.UsageError, SettingsError) as error:
            raise SystemExit(f"twistd bayeux: {error}") from None

    def postOptions(self) -> None:
        """Make settings of the options."""
        self._given = self._own()
        self.settings = self.read()
        if self.settings.access_log:
            _check_writable(self.settings.access_log)

    def read(self) -> Settings:
        """Return what the options and the file of settings say now.  Raises ``SettingsError``."""
        file = read_toml(self["config"]) if self["config"] else {}
        try:
            settings = Settings.of(file, self._assigned, self._given)
        except SettingsError:
            self._check_file(file)
            raise
        mounts = settings.mounts
        if self["demo"] and DEMO_MOUNT not in mounts:
            return Settings.of(file, self._assigned, self._given, {"mounts": (*mounts, DEMO_MOUNT)})
        return settings

    def _own(self) -> dict[str, Any]:
        """Return the settings that have options of their own."""
        given: dict[str, Any] = {name: values for name, values in self._lists.items() if values}
        for option, name in (("access-log", "access_log"), ("api", "api_listen"),
                             ("api-key-file", "api_key_file"), ("log-format", "log_format"),
                             ("log-level", "log_level")):
            if self[option]:
                given[name] = self[option]
        return anchor(given, "")  # here and now: at a reload twistd is in its --rundir

    def lines(self) -> Lines | None:
        """Return what twistd is to log to; None: it has options of its own that say so.

        Raises ``SettingsError`` where these do not go together with ours.
        """
        twistd = self.parent
        if twistd is None:
            return None
        try:
            lines = lines_for(twistd, self.settings.log_format, self.settings.log_level)
        except OSError as error:
            raise SettingsError(f"--logfile: {error.filename}: {error.strerror}") from None
        if lines is None and self.settings.log_format != "text":
            raise SettingsError("log_format: twistd's --logger and --syslog have their own")
        return lines

    def _check_file(self, values: dict[str, Any]) -> None:
        """Tell what is wrong in the file by itself with its name, and the line where that is known."""
        try:
            Settings.of(values)
        except SettingsError as error:
            raise located(self["config"], error) from None

    def located(self, error: SettingsError) -> SettingsError:
        """Return a complaint with the line of the file, if it is about a table in that."""
        in_file = self["config"] and error.rule is not None and error.rule.table not in self._assigned
        return located(self["config"], error) if in_file else error


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    from bayeux.server import BayeuxServer

    try:
        if options["config"]:
            options["config"] = os.path.abspath(options["config"])  # to be read again, wherever twistd goes
        lines = options.lines()
        return BayeuxServer(options.settings, demo=bool(options["demo"]), source=options, lines=lines)
    except SettingsError as error:
        raise SystemExit(f"twistd bayeux: {options.located(error)}") from None


def _check_writable(path: str) -> None:
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise SettingsError(f"access_log: {path}: {error.strerror}") from None
