"""A site with log-in that tells a Bayeux server beside it who may do what: README.rst says how to run both.

Everybody has a channel, ``/private/<name>``: only its owner may listen, and whoever is logged in may write
to it, under their own name.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, session

PASSWORDS = {"ann": "wool", "bo": "silk"}
LIVE_PORT = os.environ.get("LIVE_PORT", "8080")
"""Where the Bayeux server listens, on the same host as this site: cookies do not ask for the port."""
SECRET_FILE = Path(__file__).with_name("secret.key")
"""What questions are signed with: the setting ``authorize_secret_file``."""

app = Flask(__name__)
app.secret_key = secrets.token_bytes()  # so that a restart logs everybody out
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"


def read_secret() -> bytes:
    """Return the secret that is shared with the Bayeux server; make one when there is none."""
    if not SECRET_FILE.exists():
        SECRET_FILE.touch(mode=0o600)
        SECRET_FILE.write_text(secrets.token_urlsafe(32) + "\n")
    return SECRET_FILE.read_bytes().strip()


SECRET = read_secret()


# -- what the Bayeux server asks --------------------------------------------------------------------


@app.post("/bayeux/authorize")
def authorize() -> dict[str, Any]:
    """Answer one question; the user is who the cookie says, as in any other request."""
    if not is_signed():
        abort(400)
    user, question = session.get("user"), request.get_json()
    if user is None:
        return {"allow": False, "reason": "Log in first"}
    return {"allow": may(user, **question)}


def may(user: str, action: str, channel: str = "", data: Any = None, **more: Any) -> bool:
    """Say whether a user may do something; what is not listed here, nobody may.

    A channel to subscribe to can be a pattern, such as /private/*: none of them is equal to a user's own.
    """
    match action:
        case "handshake":
            return True
        case "subscribe":
            return channel == f"/private/{user}"
        case "publish":
            to = channel.removeprefix("/private/")
            return to in PASSWORDS and isinstance(data, dict) and data.get("from") == user
    return False


def is_signed() -> bool:
    """Say whether a question comes from our Bayeux server, and is not an old one."""
    timestamp = request.headers.get("X-Bayeux-Timestamp", "")
    signed = timestamp.encode() + b"." + request.get_data()
    expected = "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), request.headers.get("X-Bayeux-Signature", "").encode()):
        return False
    return abs(time.time() - int(timestamp)) <= 60


# -- the site, as it was before ---------------------------------------------------------------------


@app.get("/")
def page() -> str:
    """Show a user's notes, or the way in."""
    user = session.get("user")
    others = [name for name in PASSWORDS if name != user]
    return render_template("page.html", user=user, others=others, wrong="wrong" in request.args,
                           live_port=LIVE_PORT)


@app.post("/login")
def login() -> Response:
    """Log in."""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if not hmac.compare_digest(PASSWORDS.get(name, "").encode(), password.encode()) or not password:
        return redirect("/?wrong", 303)
    session["user"] = name
    return redirect("/", 303)


@app.post("/logout")
def logout() -> Response:
    """Log out."""
    session.clear()
    return redirect("/", 303)
