"""What can be fuzzed, by name: where it is, as nothing may be imported before it is instrumented."""

from __future__ import annotations

TARGETS = {
    "channels": ("tests.fuzz.channels", "Channels"),
    "envelope": ("tests.fuzz.envelope", "Envelope"),
    "signature": ("tests.fuzz.signature", "Signature"),
    "token": ("tests.fuzz.token", "Token"),
    "proxied": ("tests.fuzz.proxied", "Proxied"),
    "http": ("tests.fuzz.http", "HTTPDoor"),
    "websocket": ("tests.fuzz.websocket", "WebSocketReader"),
}
