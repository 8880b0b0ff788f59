"""api/openapi.py: the description of the API, and a running server held against it by schemathesis."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, seed, settings
from schemathesis import GenerationMode

from bayeux import Settings
from bayeux.api.errors import STATUS
from bayeux.api.openapi import describe_api
from bayeux.api.routes import API
from tests.api import KEY
from tests.test_tap import TWISTD

DESCRIPTION = describe_api(Settings(), with_metrics=True)
OPERATIONS = {operation.ok().label: operation.ok()
              for operation in schemathesis.openapi.from_dict(
                  describe_api(Settings(), with_metrics=False)).get_all_operations()}
METHODS = {"get", "post", "delete"}


# -- what it says ---------------------------------------------------------------------------------


def test_it_describes_every_route_and_no_other() -> None:
    described = {(method.upper(), path) for path, methods in DESCRIPTION["paths"].items()
                 for method in methods if method in METHODS}
    served = {(method, rule.rule.replace("<label>", "{id}")) for rule in API.app.url_map.iter_rules()
              for method in rule.methods or () if method != "HEAD"}
    assert described == served | {("POST", "/v1/watch")}, "which is not klein's"


def test_it_has_every_code() -> None:
    assert DESCRIPTION["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(STATUS)


def test_it_has_the_limits_of_the_server() -> None:
    description = describe_api(Settings(api_max_page=50, max_batch=7, max_channel=99), with_metrics=False)
    components = description["components"]
    assert components["parameters"]["limit"]["schema"] == {
        "type": "integer", "minimum": 1, "maximum": 50, "default": 50}
    assert components["schemas"]["Channel"]["maxLength"] == 99
    assert '"maxItems": 7' in str(description).replace("'", '"')
    assert DESCRIPTION["components"]["parameters"]["limit"]["schema"]["default"] == 100


def test_what_it_refers_to_is_there() -> None:
    found = set(re.findall(r"'#/components/(\w+)/(\w+)'", str(DESCRIPTION)))
    there = {(kind, name) for kind in ("schemas", "parameters", "responses")
             for name in DESCRIPTION["components"][kind]}
    assert found == there


# -- whether it is so -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server with an API, and three sessions; return the API's address."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "api.key").write_text(KEY)
    (folder / "api.key").chmod(0o600)
    process = subprocess.Popen(
        [*TWISTD, "--listen", "tcp:0:interface=127.0.0.1", "--api", "tcp:0", "--api-key-file", "api.key",
         "--set", "max_interval=3600"],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    patience = threading.Timer(60, process.kill)  # if it does not say where it is
    patience.start()
    try:
        assert process.stdout is not None
        found: dict[str, str] = {}
        for line in process.stdout:
            found.update(re.findall(r"(Bayeux|The API) is served on (http://[\d.:]+)", line))
            if len(found) == 2:
                break
        patience.cancel()
        for channel in ("/a", "/b/*", "/c/**"):
            subscribe(f"{found['Bayeux']}/bayeux", channel)
        yield found["The API"]
        process.terminate()
        rest, _ = process.communicate(timeout=60)
        assert "Traceback" not in rest, rest
    finally:
        patience.cancel()
        process.kill()


def subscribe(url: str, channel: str) -> None:
    [reply] = requests.post(url, timeout=10, json=[{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}]).json()
    requests.post(url, timeout=10, json=[{
        "channel": "/meta/subscribe", "clientId": reply["clientId"], "subscription": channel}])


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_may_be_asked_is_answered_as_it_says(address: str, label: str) -> None:
    hold_against(address, label, GenerationMode.POSITIVE)


@pytest.mark.parametrize("label", [label for label, operation in OPERATIONS.items() if (
    operation.body or operation.query or operation.path_parameters)])
def test_what_may_not_be_asked_is_refused_as_it_says(address: str, label: str) -> None:
    hold_against(address, label, GenerationMode.NEGATIVE)


def hold_against(address: str, label: str, mode: GenerationMode) -> None:
    """Ask what schemathesis makes up of the description, and have it look at the answers."""
    @seed(7)
    @settings(max_examples=10, database=None, suppress_health_check=list(HealthCheck))
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        query = case.query or {}
        assume("after" not in query or query.get("order") != "rate")  # no schema can say that of two
        case.call_and_validate(base_url=address, headers={"Authorization": f"Bearer {KEY}"})

    ask()
