"""The API for tests, on the network without sockets: what is asked of it, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bayeux.api.service import APIService
from bayeux.policy import Policy
from bayeux.session import Link, Session
from tests.fakenet import HTTP, Net, Response, request

KEY = "4p1-DEMO-9d2c7b1f3e5a8d6c0b4f2a7e9c1d3b5f"


class Desk(Net):
    """A running server whose connections are to its API."""

    def __init__(self, folder: Path, policy: Policy | None = None,
                 metrics: Callable[[], bytes] | None = None, **settings: Any) -> None:
        file = folder / "api.key"
        file.write_text(KEY + "\n")
        file.chmod(0o600)
        super().__init__(policy=policy, api_key_file=str(file), **settings)
        self.service = APIService(self.hub, self.bayeux.resource.endpoint, metrics, "text/plain; version=1")
        self.service.startService()
        self.site = self.service.site
        self.metrics = self.hub.metrics

    def ask(self, path: str, method: str = "GET", body: bytes = b"", key: str | None = KEY,
            **headers: str | None) -> Response:
        """Ask by a connection of its own."""
        if key is not None:
            headers.setdefault("authorization", f"Bearer {key}")
        return HTTP(self).ask(request(method, path, body, **headers))

    def get(self, path: str, **query: object) -> Any:
        """Return what there is, decoded."""
        response = self.ask(f"{path}?{urlencode(query)}" if query else path)
        assert response.status == 200, response
        return json.loads(response.body)

    def post(self, value: object, key: str | None = KEY, **headers: str | None) -> Response:
        """Publish a value, which is JSON already if it is bytes."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("/v1/publish", "POST", body, key,
                        **{"content_type": "application/json", **headers})

    def published(self, value: object, key: str | None = KEY) -> Any:
        """Publish, and return what has become of it."""
        response = self.post(value, key)
        assert response.status == 200, response
        return json.loads(response.body)

    def opened(self, *channels: str, address: str = "192.0.2.7") -> Session:
        """Return a new session that is subscribed to these."""
        session = self.hub.sessions.open(Link("long-polling", address))
        self.hub.sessions.subscribe(session, channels)
        return session


def error_of(response: Response) -> tuple[int, str]:
    """Return the status and the code of an error, which has to look as every one does."""
    assert response.headers["content-type"] == "application/json"
    problem = json.loads(response.body)
    assert list(problem) == ["error"]
    assert problem["error"]["message"]
    return response.status, problem["error"]["code"]
