"""aiocometd.py PARAMETERS URL: verbs as lines of JSON, {"verb", "args"} in, {"value"} or {"error"} out."""

import asyncio
import json
import logging
import sys
from typing import Any

from aiocometd_ng import Client, ConnectionType


class Verbs:
    """The common verbs over one aiocometd client at a time."""

    def __init__(self, url: str, parameters: dict[str, str]) -> None:
        self.url = url
        transports = parameters.get("transports", "websocket,long-polling").split(",")
        self.transports = [ConnectionType(name) for name in transports]
        self.client: Client | None = None
        self.events: list[Any] = []

    async def connect(self) -> None:
        # its own connection timeout calls asyncio.wait_for as Python 3.9 had it
        self.client = Client(self.url, self.transports, connection_timeout=0)
        await self.client.open()
        self.reader = asyncio.create_task(self._read(self.client))

    async def _read(self, client: Client) -> None:
        async for message in client:
            self.events.append([message["channel"], message["data"]])

    async def subscribe(self, channel: str) -> None:
        await self.client.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self.client.unsubscribe(channel)

    async def publish(self, channel: str, data: Any) -> None:
        await self.client.publish(channel, data)

    async def arrived(self) -> list[Any]:
        return self.events  # it gives out whatever arrives

    async def received(self) -> list[Any]:
        return self.events

    async def disconnect(self) -> None:
        self.reader.cancel()
        await self.client.close()

    async def state(self) -> str:
        return "disconnected" if self.client is None or self.client.closed else "connected"


async def main(parameters: str, url: str) -> None:
    verbs = Verbs(url, json.loads(parameters))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        try:
            answer = {"value": await getattr(verbs, request["verb"])(*request["args"])}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


logging.basicConfig(stream=sys.stderr, level=logging.INFO)
asyncio.run(main(*sys.argv[1:]))
