"""The command ``twistd bayeux``: what its options mean, and the real command in a process of its own."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bayeux import Settings, SettingsError
from bayeux.server import BayeuxServer
from bayeux.tap import Options, makeService
from tests.test_resource import HANDSHAKE, publish
from tests.test_service import ask, hold, read


def settings_of(*arguments):
    options = Options()
    options.parseOptions(arguments)
    return options.settings


@pytest.fixture
def file(tmp_path):
    """Return what writes a settings file and gives its path."""
    def write(text):
        path = tmp_path / "bayeux.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# -- options --------------------------------------------------------------------------------------


def test_without_options_all_is_as_by_default():
    assert settings_of() == Settings()


@pytest.mark.parametrize("arguments, name, value", [
    (["--listen", "tcp:1", "--listen", "tcp:2"], "listen", ("tcp:1", "tcp:2")),
    (["--mount", "/cometd", "--mount=/faye"], "mounts", ("/cometd", "/faye")),
    (["--allow-origin", "http://a", "--allow-origin", "null"], "allowed_origins", ("http://a", "null")),
    (["--set", "timeout=25"], "timeout", 25.0),
    (["--set", "timeout = 0.5"], "timeout", 0.5),
    (["--set", "legacy_clients=false"], "legacy_clients", False),
    (["--set", "max_sessions_per_browser=-1"], "max_sessions_per_browser", -1),
    (["--set", "overflow=drop_oldest"], "overflow", "drop_oldest"),
    (["--set", 'overflow="drop_oldest"'], "overflow", "drop_oldest"),
    (["--set", "public_url=https://example.org"], "public_url", "https://example.org"),
    (["--set", 'connection_types=["long-polling"]'], "connection_types", ("long-polling",)),
    (["--set", 'lazy_channels={"/stats/**" = 2}'], "lazy_channels", {"/stats/**": 2.0}),
    (["--set", "cookie_name=a", "--set", "cookie_name=b"], "cookie_name", "b"),
])
def test_an_option_is_a_setting(arguments, name, value):
    assert getattr(settings_of(*arguments), name) == value


def test_the_access_log_is_a_setting(tmp_path):
    path = str(tmp_path / "access.log")
    assert settings_of("--access-log", path).access_log == path


def test_how_it_logs_are_settings():
    settings = settings_of("--log-format", "json", "--log-level", "warn")
    assert (settings.log_format, settings.log_level) == ("json", "warn")


def twistd(*arguments, **options):
    """Return what our options say to log to, as those of twistd around them."""
    ours = Options()
    ours.parent = options
    ours.parseOptions(arguments)
    return ours.lines()


def test_twistds_own_options_for_logging_stand():
    assert twistd(nodaemon=True) is not None
    assert twistd(syslog=True) is None
    with pytest.raises(SettingsError, match=r"^log_format: twistd's --logger and --syslog have their own$"):
        twistd("--log-format", "json", logger="some.observer")
    with pytest.raises(SettingsError, match=r"^--logfile: /nonexistent/x: No such file or directory$"):
        twistd(logfile="/nonexistent/x")


def test_without_twistd_nothing_is_logged_elsewhere():
    assert Options().lines() is None


def test_the_api_is_a_setting(tmp_path, monkeypatch):
    """Its key is looked for where the command is, wherever twistd goes."""
    monkeypatch.chdir(tmp_path)
    settings = settings_of("--api", "tcp:9090", "--api-key-file", "api.key")
    assert (settings.api_listen, settings.api_key_file) == ("tcp:9090", str(tmp_path / "api.key"))


def test_options_are_read_again_as_they_were_meant_at_the_start(tmp_path, monkeypatch):
    """twistd goes to its --rundir in between."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    options = Options()
    options.parseOptions(["--api", "tcp:9090", "--api-key-file", "api.key", "--set", "key_directory=keys"])
    monkeypatch.chdir("elsewhere")
    assert options.read() == options.settings


def test_the_key_of_the_api_is_looked_for_beside_the_file_that_names_it(file, tmp_path):
    path = file('api_listen = "tcp:9090"\napi_key_file = "keys/api.key"')
    assert settings_of("--config", path).api_key_file == str(tmp_path / "keys" / "api.key")


def test_a_file_holds_settings(file):
    path = file('timeout = 25\nmounts = ["/cometd"]\n[lazy_channels]\n"/a/*" = 1.0\n')
    settings = settings_of("--config", path)
    assert settings == Settings(timeout=25.0, mounts=("/cometd",), lazy_channels={"/a/*": 1.0})


def test_a_secret_is_looked_for_beside_the_file_that_names_it(file, tmp_path):
    path = file('authorize_url = "http://127.0.0.1/may"\nauthorize_secret_file = "keys/site.key"')
    assert settings_of("--config", path).authorize_secret_file == str(tmp_path / "keys" / "site.key")
    absolute = file('authorize_url = "http://127.0.0.1/may"\nauthorize_secret_file = "/etc/site.key"')
    assert settings_of("--config", absolute).authorize_secret_file == "/etc/site.key"


def test_what_is_assigned_wins_over_the_file_and_an_option_over_both(file):
    path = file('timeout = 1\ninterval = 1\nmounts = ["/file"]\nlisten = ["tcp:1"]')
    settings = settings_of("--mount", "/option", "--set", 'mounts=["/set"]', "--set", "timeout=2", "-c", path)
    assert (settings.timeout, settings.interval) == (2.0, 1.0)
    assert (settings.mounts, settings.listen) == (("/option",), ("tcp:1",))


@pytest.mark.parametrize("arguments, mounts", [
    ([], ("/bayeux",)), (["--mount", "/faye"], ("/faye", "/bayeux")), (["--mount", "/bayeux"], ("/bayeux",)),
])
def test_the_demos_find_the_server_where_they_expect_it(arguments, mounts):
    assert settings_of("--demo", *arguments).mounts == mounts


WRONG = {
    "an unknown option": (["--nonsense"], "option --nonsense not recognized"),
    "an option without its value": (["--listen"], "option --listen requires argument"),
    "an argument": (["nonsense"], "Wrong number of arguments"),
    "a wrong value": (["--set", "timeout=soon"], "timeout = 'soon'"),
    "a value out of bounds": (["--set", "timeout=-1"], "timeout = -1"),
    "a value that is no choice": (["--set", "overflow=explode"], "overflow = 'explode'"),
    "no value": (["--set", "timeout"], "--set: 'timeout' must look like NAME=VALUE"),
    "an unknown setting": (["--set", "tiemout=1"], "there is no setting 'tiemout'; did you mean 'timeout'?"),
    "an api without a key": (["--api", "tcp:0"],
                             "api_key_file: the API needs a key: make one by bayeux keygen --api api.key"),
    "an api whose key is not there": (["--api", "tcp:0", "--api-key-file", "missing.key"],
                                      "/missing.key: No such file or directory"),
    "a missing file": (["--config", "missing.toml"], "missing.toml: No such file or directory"),
    "a file that is no TOML": (["--config", "bad.toml"], "bad.toml: "),
    "a file that is no text": (["--config", "binary.toml"], "binary.toml: "),
    "an unknown setting in a file": (["--config", "unknown.toml"], "there is no setting 'nonsense'"),
    "an access log that cannot be written": (
        ["--access-log", "missing/access.log"], "access_log: missing/access.log: No such file or directory"),
    "a secret that is not there": (
        ["--set", "authorize_url=http://127.0.0.1/may", "--set", "authorize_secret_file=missing.key"],
        "missing.key: No such file or directory"),
    "an access log that is a folder": (["--access-log", "."], "access_log: .: Is a directory"),
    "an unknown kind of endpoint": (["--listen", "nonsense"], "listen: 'nonsense' is no endpoint"),
    "an endpoint without a port": (["--listen", "tcp:x"], "listen: 'tcp:x' is no endpoint"),
    "a mount that is no path": (["--mount", "bayeux"], "mounts: 'bayeux' must look like /bayeux"),
    "a mount that is everything": (["--mount", "/"], "mounts: '/' must look like /bayeux"),
    "a log format that is none": (["--log-format", "xml"], "log_format = 'xml'"),
    "a log level that is none": (["--log-level", "loud"], "log_level = 'loud'"),
    "a key without a secret": (["--set", 'key=[{id="a"}]'], "[[key]] 1: 'a': needs one of secret"),
    "a key that cannot be read": (["--config", "keys.toml"], "/missing.key: No such file or directory"),
    "keys that are not there": (["--set", "key_directory=missing"], "/missing: No such file or directory"),
    "a secret that everybody can read": (["--config", "secret.toml"], "do: chmod o-rwx secret.toml"),
    "an origin without a scheme": (["--allow-origin", "example.org"], "'example.org' must look like https://"),
    "an origin with a path": (["--allow-origin", "http://a/b"], "'http://a/b' must look like https://"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Be in a folder with some files that are wrong."""
    (tmp_path / "bad.toml").write_text("timeout = = 1")
    (tmp_path / "binary.toml").write_bytes(b'cookie_name = "\xff"')
    (tmp_path / "unknown.toml").write_text("nonsense = 1")
    (tmp_path / "keys.toml").write_text('[[key]]\nid = "a"\nsecret_file = "missing.key"')
    (tmp_path / "secret.toml").write_text(f'[[key]]\nid = "a"\nsecret = "{"x" * 40}"')
    (tmp_path / "secret.toml").chmod(0o644)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments, complaint", WRONG.values(), ids=WRONG)
def test_what_is_wrong_ends_the_command_with_one_line(folder, arguments, complaint):
    with pytest.raises(SystemExit) as caught:
        options = Options()
        options.parseOptions(arguments)
        makeService(options)
    text = caught.value.code
    assert text.startswith("twistd bayeux: ")
    assert complaint in text
    assert "\n" not in text


def test_a_service_is_made_of_the_options():
    options = Options()
    options.parseOptions(["--listen", "tcp:0:interface=127.0.0.1", "--set", "timeout=7"])
    service = makeService(options)
    assert isinstance(service, BayeuxServer)
    assert service.settings.timeout == 7


# -- the command ----------------------------------------------------------------------------------


TWISTD = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "bayeux"]
ANY = ["--listen", "tcp:0:interface=127.0.0.1"]


def test_it_logs_lines_of_json(run, file):
    """From a level on, which a SIGHUP may change; whoever is refused is told of."""
    path = Path(file('log_level = "info"'))
    command = run(*ANY, "--log-format", "json", "--config", path.name)
    line = json.loads(told(command, "served"))
    assert (line["event"], line["level"], line["places"]) == ("listening", "info", "/bayeux")
    port = int(line["where"].rpartition(":")[2])
    read(ask(port, {"channel": "/meta/connect", "clientId": "x", "connectionType": "long-polling"}))
    line = json.loads(told(command, "refused"))
    assert (line["event"], line["code"], line["address"]) == ("refused", 402, "127.0.0.1")
    path.write_text('log_level = "error"')
    command.process.send_signal(signal.SIGHUP)
    told(command, "reloaded")
    path.write_text('log_level = "loud"')
    command.process.send_signal(signal.SIGHUP)
    assert json.loads(told(command, "kept"))["level"] == "error"
    command.process.terminate()
    assert command.end()[1] == ""


class Command:
    """The command, running."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen([*TWISTD, *arguments], cwd=folder, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._patience = threading.Timer(40, self.process.kill)
        self._patience.start()

    def ports(self, count=1):
        """Wait until it listens on so many ports; return them and the lines that say so."""
        lines = []
        for line in self.process.stdout:
            lines += re.findall(r"Bayeux is served on http://127\.0\.0\.1:\d+ at .*", line)
            if len(lines) == count:
                break
        return [int(re.search(r":(\d+) at", line)[1]) for line in lines], lines

    def end(self):
        """Wait until it has ended; return its status, what it wrote, and its errors."""
        output, errors = self.process.communicate()
        return self.process.returncode, output, errors

    def kill(self):
        self._patience.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def run(folder):
    """Return what runs the command; it is ended after the test."""
    commands = []

    def run(*arguments):
        commands.append(Command(folder, *arguments))
        return commands[-1]

    yield run
    for command in commands:
        command.kill()


def assert_one_clear_line(command, complaint):
    status, output, errors = command.end()
    assert "Traceback" not in output + errors
    assert status not in (0, None)
    (line,) = errors.splitlines()
    assert complaint in line


@pytest.mark.parametrize("wrong", [
    "an unknown option", "a wrong value", "an unknown setting", "a missing file", "a file that is no TOML",
    "an access log that cannot be written", "an unknown kind of endpoint", "a mount that is no path",
    "an origin without a scheme",
])
def test_the_real_command_says_what_is_wrong_in_one_line(run, wrong):
    """On stderr, with a status that is not 0 and no traceback."""
    arguments, complaint = WRONG[wrong]
    assert_one_clear_line(run(*arguments), complaint)


def test_a_busy_port_is_told_in_one_line(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        assert_one_clear_line(run("--listen", endpoint),
                              f"cannot listen on {endpoint}: Address already in use")


def test_an_endpoint_that_cannot_be_had_is_told_in_one_line(run):
    """Also after another that can be."""
    wrong = {
        "tcp:99999": "bind(): port must be 0-65535",
        "tcp:0:interface=203.0.113.1": "Cannot assign requested address",
        "unix:missing/socket": "No such file or directory",
    }
    commands = [(run(*ANY, "--listen", endpoint), endpoint) for endpoint in wrong]
    for command, endpoint in commands:
        assert_one_clear_line(command, f"cannot listen on {endpoint}: {wrong[endpoint]}")


def test_a_busy_port_ends_the_command_without_a_traceback(run):
    """Wherever its line is written."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        status, output, errors = run("--listen", endpoint).end()
    assert status not in (0, None)
    assert (output + errors).count(f"cannot listen on {endpoint}: Address already in use") == 1
    assert "Traceback" not in output + errors


def test_help_says_what_there_is(run):
    status, output, errors = run("--help").end()
    assert (status, errors) == (0, "")
    for option in ("listen=", "mount=", "config=", "set=", "allow-origin=", "access-log=", "log-format=",
                   "log-level=", "demo"):
        assert f" --{option} " in output
    assert output.startswith("Usage: twistd [options] bayeux [options]\n")


def test_it_serves_on_every_endpoint_under_every_mount(run):
    """One line each says where."""
    command = run(*ANY, "--listen", ANY[1] + ":backlog=99", "--mount", "/bayeux", "--mount", "/faye")
    ports, lines = command.ports(2)
    assert len(set(ports)) == 2
    assert all(line.endswith(" at /bayeux /faye") for line in lines)
    for port in ports:
        for path in ("/bayeux", "/faye/"):
            assert read(ask(port, HANDSHAKE, path=path))[0]["successful"] is True


def test_it_takes_its_settings_from_a_file_and_from_the_command_line(run, file):
    path = file('timeout = 1\ninterval = 2\nlisten = ["nonsense"]')
    (port,), _ = run(*ANY, "--config", path, "--set", "interval=3").ports()
    (reply,) = read(ask(port, HANDSHAKE))
    assert reply["advice"] == {"reconnect": "retry", "interval": 3_000, "timeout": 1_000}


def test_it_raises_its_limit_of_open_files(run):
    """Each client needs one."""
    command = run(*ANY)
    (port,), _ = command.ports()  # it listens before it starts: ports may be privileged
    read(ask(port, HANDSHAKE))
    limits = Path(f"/proc/{command.process.pid}/limits").read_text()
    soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()
    assert soft == hard


def test_the_access_log_names_no_message(run, folder):
    """G-33."""
    command = run(*ANY, "--access-log", "access.log")
    (port,), _ = command.ports()
    client = read(ask(port, HANDSHAKE))[0]["clientId"]
    message = json.dumps(publish(client, "secret")).replace(" ", "")
    read_script(port, f"/bayeux?jsonp=cb&message={message}".replace('"', "%22"))
    command.process.terminate()
    command.end()
    lines = (folder / "access.log").read_text()
    assert '"GET /bayeux HTTP/1.1" 200 ' in lines
    assert client not in lines
    assert "secret" not in lines


def read_script(port, path):
    connection = ask(port, method="GET", path=path)
    assert connection.getresponse().read().startswith(b"/**/cb([")
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_is_answered_when_it_is_ended(run, number):
    """Q-10: promptly, all of them, and they are told to come back at different times."""
    command = run(*ANY)
    (port,), _ = command.ports()
    held = hold(port, 30)
    command.process.send_signal(number)
    replies = [read(connection)[0] for connection in held]
    assert {reply["error"] for reply in replies} == {"503::Server too busy"}
    assert {reply["advice"]["reconnect"] for reply in replies} == {"handshake"}
    assert len({reply["advice"]["interval"] for reply in replies}) > 1
    status, output, errors = command.end()
    assert status == (0 if number == signal.SIGTERM else -number)  # by which a shell knows of a Ctrl-C
    assert errors == ""
    assert "stopping; sessions told to come back: 31, within 5 s" in output
    assert re.search(r"stopped after [0-9.]+ s\n", output)
    assert "Traceback" not in output
    assert "still open" not in output


def test_who_never_reads_does_not_keep_it_from_ending(run):
    """Q-10: within shutdown_timeout."""
    command = run(*ANY, "--set", "shutdown_timeout=0.2")
    (port,), _ = command.ports()
    with socket.create_connection(("127.0.0.1", port)) as deaf:
        deaf.sendall(b"GET /bayeux/client.js HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000)  # more than is buffered
        read(ask(port, HANDSHAKE))
        command.process.terminate()
        status, output, errors = command.end()
    assert status == 0
    assert "1 connections were still open" in output
    assert "Traceback" not in output + errors


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
                                     (signal.SIGTERM, signal.SIGINT)])
def test_who_says_it_twice_wants_it_now(run, numbers):
    """Meanwhile it serves as before."""
    command = run(*ANY, "--set", "drain_delay=60")
    (port,), _ = command.ports()
    read(ask(port, HANDSHAKE))
    command.process.send_signal(numbers[0])
    told(command, "draining for 60 s before the stop")
    (reply,) = read(ask(port, HANDSHAKE))
    assert reply["successful"] is True
    command.process.send_signal(numbers[1])
    status, output, errors = command.end()
    assert status == (0 if numbers[0] == signal.SIGTERM else -signal.SIGINT)
    assert "sessions told to come back: 2" in output
    assert "Traceback" not in output + errors


def told(command, pattern):
    """Wait for a line of the log."""
    for line in command.process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"never said: {pattern}")


def test_a_hangup_reads_the_file_again(run, file, folder):
    """Y-10: without a restart; a bad file keeps what there was, and says so with the line."""
    secret = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
    table = f'[[key]]\nid = "a"\nsecret = "{secret}"\n'
    path = Path(file(table))
    path.chmod(0o600)
    command = run("--config", path.name, *ANY)
    (port,), _ = command.ports()
    path.write_text(table + table.replace('"a"', '"b"'))
    command.process.send_signal(signal.SIGHUP)
    assert "reloaded; keys: 2, rules for channels: 0" in told(command, "reloaded")
    path.write_text(table.replace("secret =", "sekret ="))
    command.process.send_signal(signal.SIGHUP)
    line = told(command, "kept")
    assert "the old settings are kept: " in line
    assert f"{path}:1: " in line
    assert secret not in line
    path.write_text(table + '[[channel]]\npattern = "/a"\nsubscribe = "token"\n')
    command.process.send_signal(signal.SIGHUP)
    assert f"{path}:4: [[channel]] 1 (/a): subscribe = 'token' needs a [[key]]" in told(command, "kept")
    path.write_text(f'\ntimeout = "soon"\n{table}')
    command.process.send_signal(signal.SIGHUP)
    assert f"the old settings are kept: {path}:2: timeout = 'soon': " in told(command, "kept")
    path.write_text('timeout = 7\n' + table + '[[channel]]\npattern = "/a"\npublish = "nobody"\n')
    command.process.send_signal(signal.SIGHUP)
    assert "reloaded; keys: 1, rules for channels: 1" in told(command, "reloaded")
    assert "timeout has changed; that needs a restart" in told(command, "restart")
    (reply,) = read(ask(port, {"channel": "/a", "data": 1}))
    assert reply["error"] == "403:/a:Publish denied"
