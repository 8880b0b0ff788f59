#!/usr/bin/env python3
"""Publish to a Bayeux server, signed: publish() in a program, or at the command line

    publish.py /news/sport '{"score": "1:0"}'       (or with the JSON on standard input)

Where and as whom is said by the environment: BAYEUX_URL, BAYEUX_KEY_ID, BAYEUX_SECRET_FILE.
"""

import hmac
import json
import os
import secrets
import sys
import time
from http.client import HTTPException
from urllib.request import Request, urlopen

TIMEOUT = 5  # seconds
PAUSE = 1


class PublishError(Exception):
    """The server refuses, and says why."""


class NoReply(PublishError):
    """The server has not said a word: it may have published, or not."""


def publish(channel, data):
    """Publish anything that JSON can hold.  Raises PublishError."""
    send(sign(channel, json.dumps(data, ensure_ascii=False)))


def sign(channel, payload):
    """Return the message that publishes a payload: JSON text, signed and sent as it stands."""
    with open(os.environ["BAYEUX_SECRET_FILE"], "rb") as file:
        secret = file.read().strip()
    kid, ts, nonce = os.environ["BAYEUX_KEY_ID"], int(time.time()), secrets.token_urlsafe(16)
    text = "\n".join(["bayeux-publish-v1", kid, str(ts), nonce, channel, payload])
    sig = hmac.digest(secret, text.encode(), "sha256").hex()
    return {"channel": channel, "data": payload,
            "ext": {"hmac": {"v": 1, "kid": kid, "ts": ts, "nonce": nonce, "sig": sig}}}


def send(message):
    """Post a message, and again if there is no reply: one signature is published only once."""
    try:
        successful, error = post(message)
    except NoReply:
        time.sleep(PAUSE)
        successful, error = post(message)
    if not successful:
        raise PublishError(f"the server refuses: {error}")


def post(message):
    """Return what the server replies to a message.  Raises NoReply."""
    url, body = os.environ["BAYEUX_URL"], json.dumps([message], ensure_ascii=False).encode()
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=TIMEOUT) as answer:
            [reply] = json.load(answer)
        return reply["successful"], reply.get("error")
    except (OSError, HTTPException, ValueError, TypeError, KeyError) as reason:
        raise NoReply(f"no reply from {url}: {reason}") from reason


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        send(sign(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else sys.stdin.read()))
    except KeyError as name:
        sys.exit(f"publish.py: {name} is not set")
    except (PublishError, OSError, ValueError) as problem:
        sys.exit(f"publish.py: {problem}")
