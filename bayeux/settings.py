"""Every option and limit, with its default: one frozen value that the whole server is built from.

The same names work as keywords (``Settings(timeout=60)``), in a TOML file and as ``--set timeout=60``.
Times are seconds and sizes are bytes; only the wire speaks milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from bayeux.addresses import BadNetwork, read_network
from bayeux.channels import is_pattern
from bayeux.keys import BadKey, Key, check_rules, read_keys
from bayeux.rules import ChannelRule, KeyRule
from bayeux.tables import BadRule, Opener, check_channels, check_openers, nearest, read_tables

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Period = Annotated[float, Meta(gt=0, le=31_536_000)]
Limit = Annotated[int, Meta(ge=1)]
PerSecond = Annotated[float, Meta(ge=0, le=1_000_000)]
Burst = Annotated[int, Meta(ge=1, le=1_000_000_000)]

ConnectionType = Literal["websocket", "eventsource", "long-polling", "callback-polling"]
TRANSPORTS: tuple[ConnectionType, ...] = ("websocket", "eventsource", "long-polling", "callback-polling")

ExtensionName = Literal["ack", "timesync", "timestamp", "activity", "binary"]
Action = Literal["handshake", "subscribe", "publish"]
LogFormat = Literal["text", "json"]
LogLevelName = Literal["debug", "info", "warn", "error", "critical"]


_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://(?:{_HOST.pattern})(?::[0-9]{{1,5}})?")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")
_MOUNT = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_VISIBLE = re.compile(r"[!-~]+")
_HEADER_WORD = re.compile(r"[!#-+\-.-:<>-~]*")
"""Visible ASCII without the characters that part header values from one another: blank " , ; ="""
_TABLES = ("channel", "key")


class SettingsError(ValueError):
    """A setting does not exist or cannot have that value; the text says which, and what is wrong."""

    def __init__(self, complaint: str, rule: BadRule | None = None) -> None:
        super().__init__(complaint)
        self.rule = rule
        """Which table it is about, if it is about one."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options and limits of one server.

    Raises ``SettingsError`` for a value that cannot be meant, however it came in.
    """

    # -- life cycle (BAYEUX.md section 17) ------------------------------------------------------
    timeout: Seconds = 30.0
    """Longest hold of a connect.  Keep it below the read timeout of every proxy in between."""
    interval: Seconds = 0.0
    """What clients wait between a connect reply and their next connect."""
    max_interval: Period = 10.0
    """Grace beyond ``interval`` for the next connect, before the session is removed (Q-3)."""
    max_client_interval: Seconds = 3600.0
    """Cap of the ``advice.interval`` that a client may announce for its next connect (G-24)."""
    max_processing: Annotated[float, Meta(ge=-1, le=31_536_000)] = -1.0
    """Longest time that a batch with a connect may wait for the application; then the session is removed,
    as if it had expired.  0 or less: any time."""
    sweep_period: Period = 1.0
    """Granularity of expiry: sessions that expire within one period are removed together."""
    max_lazy_timeout: Seconds = 5.0
    """Longest time that an event of a lazy channel waits for company (D-12)."""
    drain_delay: Seconds = 0.0
    """How long a server that is told to stop goes on as before, but is not ready any more: so that a balancer
    sends nobody new to it."""
    shutdown_spread: Seconds = 5.0
    """At shutdown each client is told to come back after a random time up to this (Q-10)."""
    shutdown_rate: PerSecond = 500.0
    """With so many clients that more than this would come back in a second, that time is longer.  0: it is
    not."""
    shutdown_timeout: Seconds = 5.0
    """Longest time that a stopping server takes to tell its clients, and to have it written (Q-10)."""

    # -- several sessions in one browser (B-4) --------------------------------------------------
    max_sessions_per_browser: int = 4
    """Held connects of one browser; negative: any number.  Browsers open six connections a host."""
    multi_session_interval: Annotated[float, Meta(ge=-1, le=3600)] = 2.0
    """What the sessions over that limit wait between polls; 0 or less: they are turned away."""

    # -- protocol -------------------------------------------------------------------------------
    legacy_clients: bool = True
    """Let 1.0draft1 clients handshake without ``supportedConnectionTypes`` (H-6)."""
    connection_types: tuple[ConnectionType, ...] = TRANSPORTS
    """The transports that are switched on, in order of preference (H-4, J-10)."""
    meta_connect_deliver_only: bool = False
    """Let events travel with connect replies only, never with other replies (D-7)."""
    broadcast_to_publisher: bool = True
    """Whether a publisher that is subscribed receives its own events (P-11)."""
    service_answer_id: bool = True
    """Whether the event that answers a service message carries its ``id`` (V-2, V-3)."""
    lazy_channels: dict[str, Seconds] = {}
    """Patterns of lazy channels and how long their events may wait, e.g. ``{"/stats/**" = 2.0}``."""
    superseded_status: Annotated[int, Meta(ge=400, le=599)] = 409
    """HTTP status of a held connect that a newer one replaces; never 408 (K-12)."""

    # -- extensions (section 19) ----------------------------------------------------------------
    extensions: tuple[ExtensionName, ...] = ("ack", "timesync", "binary")
    """The server's own that are switched on; also known: ``timestamp``, ``activity``."""
    timesync_accuracy: Seconds = 0.025
    """A client whose clock is known better than this is not answered again (XT-3)."""
    max_inactivity: Period = 600.0
    """With ``activity``: a client that does nothing for this long is disconnected (XV-2)."""
    activity: Literal["client", "client-server"] = "client"
    """With ``activity``: whose events count, the client's alone or also those that it is sent (XV-1)."""

    # -- WebSocket and EventSource (sections 15 and 16) -----------------------------------------
    websocket_ping_interval: Period = 25.0
    """An idle WebSocket is pinged this often, and is lost when two pings are not answered (W-14)."""
    websocket_protocol: str = ""
    """Subprotocol that every WebSocket client has to offer; empty: none, and offers are ignored (W-3)."""
    websocket_compression: bool = False
    """Offer permessage-deflate: less to send, for 20 to 50 KiB of memory a connection (W-4)."""
    websocket_max_message: Limit = 1_048_576
    """Bytes of one WebSocket message, its fragments put together and inflated (G-7)."""
    eventsource_comment_interval: Period = 15.0
    """An EventSource stream is sent a comment this often, so that nobody takes it for dead (F-3)."""
    eventsource_retry: Seconds = 5.0
    """After this time a browser is to open a lost EventSource again (F-2)."""
    require_handshake_per_connection: bool = False
    """Refuse a session on a WebSocket that has not shaken hands on it: it cannot move there (W-5)."""
    unbound_timeout: Period = 10.0
    """A WebSocket that has no session for this long is closed (G-21, W-18)."""
    write_timeout: Period = 30.0
    """A connection whose peer takes nothing of what it is sent for this long is cut (G-16)."""
    max_buffer: Limit = 65_536
    """Bytes that are written to one stream at once; more than that stays in its session's queue (G-16).
    A peer is given ``write_timeout`` for it, so much more would cut off who is merely slow."""

    # -- who may do what ------------------------------------------------------------------------
    channel: tuple[ChannelRule, ...] = ()
    """Rules for channels, ``[[channel]]`` in a file; what no rule is for, anybody may subscribe to and any
    session may publish to."""
    key: tuple[KeyRule, ...] = ()
    """Keys for signatures and tokens, ``[[key]]`` in a file."""
    require_token: bool = False
    """Refuse handshakes without a token, and end a session when its token has expired (Y-16)."""
    token_leeway: Annotated[float, Meta(ge=0, le=60)] = 10.0
    """How far the clock of whoever makes tokens and grants may be off; they are good so much longer."""
    revoked_tokens: tuple[str, ...] = ()
    """The ``jti`` of tokens that are no longer good (Y-19)."""
    key_directory: str = ""
    """Folder with more of them: each file ``NAME.toml`` holds the fields of one key; empty: none."""
    signature_window: Period = 300.0
    """How far the time of a signature may be from the server's, in either direction (Y-5)."""

    # -- asking the site (docs/howto/ask-the-application.rst) ------------------------------------
    authorize_url: str = ""
    """Where the site is asked who may do what, ``https://www.example.org/authorize``; empty: nowhere."""
    authorize: tuple[Action, ...] = ("handshake", "subscribe")
    """What it is asked about; also known is ``publish``, a question for each message of each client."""
    authorize_secret_file: str = ""
    """A file that holds nothing but the secret by which the site knows that it is us who ask; relative to
    the file that names it.  Empty: questions are not signed."""
    authorize_timeout: Period = 5.0
    """Longest time that a question may wait for its turn and its answer; after that it is a no for now."""
    authorize_concurrency: Limit = 20
    """Questions, and so connections to the site, at once."""
    authorize_queue: Annotated[int, Meta(ge=0)] = 1_000
    """Questions that wait for their turn; one more is answered with a no for now."""
    authorize_cache: Seconds = 5.0
    """How long a yes stands for the same question by the same client; 0: it is asked every time."""
    authorize_cache_size: Limit = 10_000
    """Answers that are remembered; of more, the oldest are forgotten."""
    authorize_max_answer: Limit = 8_192
    """Bytes of the body of an answer."""
    authorize_max_data: Annotated[int, Meta(ge=0)] = 0
    """With ``publish``: show the site the data of a message, of so many bytes at most; with more it is
    refused.  0: the data is not shown."""

    # -- HTTP API (docs/reference/api.rst) ------------------------------------------------------
    api_listen: str = ""
    """Where the API listens: an endpoint string, ``tcp:9090``, which is the loopback interface unless it
    names another.  Empty: there is no API."""
    api_key_file: str = ""
    """A file that holds nothing but the API's key, made by ``bayeux keygen --api``; relative to the file that
    names it.  The API needs one."""
    api_max_connections: Limit = 100
    """Connections to the API at once; one more is cut."""
    api_max_connections_per_address: Limit = 50
    """Those of one address, or IPv6 network (``ipv6_prefix``), so that nobody can take them all."""
    api_max_page: Limit = 1_000
    """Sessions or channels that are listed in one answer."""
    api_rate_period: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    """Publishes are counted by channel for this long; what is told is the rate of the last such time."""
    max_counted_channels: Limit = 10_000
    """Channels of which publishes are counted in that time, for the API; of more they are not."""
    api_max_watchers: Limit = 10
    """Pages and programs that watch channels by the API at once; one more is refused."""
    api_watch_rate: PerSecond = 100.0
    """Events that are shown to them; of more than so many a second the rest is left out, which they are
    told.  0: any number."""
    ready_max_sessions: Annotated[int, Meta(ge=0)] = 0
    """With so many sessions the server says by ``/readyz`` that it is not ready for more; 0: never."""

    # -- limits (section 20); each answer is written there --------------------------------------
    max_body: Limit = 1_048_576
    """Bytes of a request body, counted while they are read (G-1)."""
    max_chunks: Limit = 10_000
    """Chunks of a request body that is sent in such, so that none is sent byte by byte (G-1)."""
    max_message: Limit = 65_536
    """Bytes of one Bayeux message (G-2)."""
    max_batch: Limit = 100
    """Messages in one envelope (G-5)."""
    max_depth: Limit = 64
    """Nesting of JSON arrays and objects (G-6)."""
    max_ext: Limit = 8_192
    """Bytes of the ``ext`` of one message (G-8)."""
    max_token: Limit = 4_096
    """Bytes of one token (Y-15)."""
    max_channel: Limit = 256
    """Bytes of a channel name (G-9)."""
    max_segments: Limit = 32
    """Segments of a channel name (G-9)."""
    max_subscribe: Limit = 100
    """Channels in one subscribe or unsubscribe message (G-10)."""
    max_subscriptions: Limit = 1_000
    """Subscriptions of one session (G-11)."""
    max_channels: Limit = 100_000
    """Different channels and patterns that clients may be subscribed to at once (G-12)."""
    max_sessions: Limit = 100_000
    """Sessions in this server (G-13)."""
    max_sessions_per_address: Limit = 100_000
    """Sessions opened from one IP address; lower it where clients connect without a proxy (G-13)."""
    max_held: Limit = 100_000
    """Connects held in this server at once (G-14)."""
    max_held_per_address: Limit = 100_000
    """Connects held for one IP address at once; lower it as above (G-14)."""
    connects_per_second: PerSecond = 10.0
    """Connects of one session that are answered with nothing new; more than that are answered late.  A
    client meets it only if it does not wait as it is told, or does not acknowledge; 0: any number (G-25)."""
    connects_burst: Burst = 20
    """So many of them at once."""
    messages_per_second: PerSecond = 0.0
    """Messages of one session, connects not counted; 0: any number.  Set it to some times what your
    application sends (G-17)."""
    messages_burst: Burst = 100
    """So many of them at once."""
    messages_per_second_per_address: PerSecond = 0.0
    """Messages from one IP address, connects not counted; 0: any number.  Behind a proxy, name that in
    ``trusted_proxies`` first, or it is one address to all (G-17)."""
    messages_burst_per_address: Burst = 1_000
    """So many of them at once."""
    handshakes_per_second_per_address: PerSecond = 0.0
    """Handshakes from one IP address; 0: any number.  As above; and a company or a mobile network may have
    one address for all, who all come at once after a restart (G-18)."""
    handshakes_burst_per_address: Burst = 100
    """So many of them at once."""
    max_refused: Limit = 1_000
    """Messages that may be refused for their rate in a minute, of one session or address; after that
    whole requests are, by HTTP 429, and WebSockets are closed with 1008 (G-17)."""
    max_connections: Limit = 100_000
    """Connections to ``twistd bayeux`` at once; one more is cut (G-19)."""
    max_connections_per_address: Limit = 100_000
    """Those of one IP address; lower it where clients connect without a proxy, but not below the dozen that
    browsers need.  Trusted proxies have any number (G-19)."""
    ipv6_prefix: Annotated[int, Meta(ge=16, le=128)] = 64
    """Bits of an IPv6 address by which clients are counted: whoever has one has a whole network of them."""
    max_queue: Limit = 1_000
    """Events queued for one session (Q-7)."""
    max_queue_bytes: Limit = 1_048_576
    """Bytes of the events queued for one session (Q-7)."""
    overflow: Literal["disconnect", "drop_oldest", "drop_newest"] = "disconnect"
    """What happens when a queue is full (Q-7); only ``disconnect`` lets the client know."""
    max_nonces: Limit = 100_000
    """Nonces remembered, each for twice ``signature_window``, so that no signed message is delivered twice;
    whoever signs more in this time is told to come back later (G-22).  Some 400 bytes each."""
    max_url: Limit = 8_192
    """Bytes of a request target (J-9, G-20)."""
    max_headers: Limit = 100
    """Header fields of a request (G-4)."""
    max_header_bytes: Limit = 16_384
    """Bytes of the header block of a request (G-4)."""
    header_timeout: Period = 10.0
    """A request's line and headers must be complete within this time (G-3)."""
    body_timeout: Period = 30.0
    """A request's body must be complete within this time, however it trickles (G-3)."""

    # -- process --------------------------------------------------------------------------------
    collection_interval: Period = 3600.0
    """How often ``twistd bayeux`` has all garbage collected: a pause of some 20 microseconds a client."""
    collection_pause: Seconds = 0.02
    """It is put off to the next time while there are so many clients that it would take longer than this."""

    # -- web ------------------------------------------------------------------------------------
    listen: tuple[str, ...] = ("tcp:8080:interface=127.0.0.1",)
    """Where ``twistd bayeux`` listens: endpoint strings as Twisted reads them."""
    log_format: LogFormat = "text"
    """What lines ``twistd bayeux`` logs: ``text`` as twistd does, or ``json``, an object a line."""
    log_level: LogLevelName = "info"
    """The least level that it logs: ``debug``, ``info``, ``warn``, ``error`` or ``critical``."""
    log_interval: Seconds = 1.0
    """How often it logs what has been refused and who has expired: then one line of each kind, with how
    many there were.  0: that is not logged.  The traceback of an application's code that fails comes no more
    often either, for each place in the code; 0: each time."""
    access_log: str = ""
    """File to which ``twistd bayeux`` writes a line for each request; empty: none."""
    mounts: tuple[str, ...] = ("/bayeux",)
    """Paths under which ``twistd bayeux`` answers."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies, ``10.0.0.0/8``, and ``unix`` for those by UNIX sockets.  Where a
    request comes from one, its ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are believed (O-8)."""
    proxy_protocol: bool = False
    """Whether connections of trusted proxies begin with a header of the PROXY protocol, version 1 or 2."""
    allowed_origins: tuple[str, ...] = ()
    """Origins besides the server's own, ``https://www.example.org``; ``*`` makes it public (O-1), but cookies
    and passwords are shown to policies, and to the site, only from pages that are named."""
    require_origin: bool = False
    """Refuse requests without an ``Origin`` header (O-6)."""
    public_url: str = ""
    """The server's own address as browsers see it, where a proxy hides it: ``https://example.org``."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the server may be called, ``live.example.org``, in ``Host`` as it comes here and in
    ``X-Forwarded-Host`` where a trusted proxy sends that, whatever the port; empty: any.  Set it where not
    everybody may use the server: a page whose own name has been made to lead to it (DNS rebinding) passes for
    one of the server's, but cannot hide that name."""
    allowed_headers: tuple[str, ...] = ()
    """Request headers that cross-origin pages may send besides the usual ones (O-2)."""
    cookie_name: str = "BAYEUX_BROWSER"
    """Name of the cookie that tells browsers apart (B-1)."""
    cookie_path: str = "/"
    """``Path`` of that cookie."""
    cookie_domain: str = ""
    """``Domain`` of that cookie; empty: this host only."""
    cookie_max_age: Seconds = 0.0
    """``Max-Age`` of that cookie; 0: until the browser closes."""
    cookie_same_site: Literal["", "Lax", "Strict", "None"] = "Lax"
    """``SameSite`` of that cookie; pages of other sites need ``None``, which needs https."""
    cookie_partitioned: bool = False
    """Whether that cookie is ``Partitioned``: one for each embedding site; needs https."""
    require_browser_cookie: bool = False
    """Refuse messages for a browser's session that come without its cookie (B-2)."""

    def __post_init__(self) -> None:
        try:
            msgspec.structs.force_setattr(self, "channel", read_tables("channel", ChannelRule, self.channel))
            msgspec.structs.force_setattr(self, "key", read_tables("key", KeyRule, self.key))
            check_channels(self.channel)
            check_rules(self.key)
        except BadRule as error:
            raise SettingsError(str(error), error) from None
        except BadKey as error:
            raise self._about_key(error) from None
        if not self.key_directory:  # or else there may be more of them
            self.check_keys(self.key)
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            try:
                msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise SettingsError(f"{field.name} = {value!r}: {error}") from None
        for name, complaint in self._complaints():
            raise SettingsError(f"{name}: {complaint}")

    def _complaints(self) -> Iterable[tuple[str, str]]:
        """Yield what no single field's type can say."""
        if "long-polling" not in self.connection_types:
            yield "connection_types", "long-polling must be among them: every client falls back to it (H-5)"
        if not self.listen:
            yield "listen", "at least one endpoint is needed"
        if self.superseded_status == 408:
            yield "superseded_status", "browsers repeat a request that is answered 408 (K-12)"
        for pattern in self.lazy_channels:
            if not is_pattern(pattern):
                yield "lazy_channels", f"{pattern!r} is not a channel or pattern"
        for mount in self.mounts:
            if not _MOUNT.fullmatch(mount):
                yield "mounts", f"{mount!r} must look like /bayeux"
        if not self.mounts:
            yield "mounts", "at least one is needed"
        for proxy in self.trusted_proxies:
            try:
                read_network(proxy)
            except BadNetwork as error:
                yield ("trusted_proxies", f"must be addresses, networks such as 10.0.0.0/8, or unix: {error}")
        if self.proxy_protocol and not self.trusted_proxies:
            yield "proxy_protocol", "is for the proxies that trusted_proxies names, and it names none"
        if self.api_listen.startswith("haproxy:"):
            yield "api_listen", f"{self.api_listen!r}: the API believes no proxy; leave haproxy: out"
        for endpoint in self.listen:
            if endpoint.startswith("haproxy:"):
                yield "listen", f"{endpoint!r}: instead of haproxy: set proxy_protocol and trusted_proxies"
            if self.proxy_protocol and endpoint.startswith(("ssl:", "tls:")):
                yield "listen", (f"{endpoint!r}: with proxy_protocol a proxy would have to speak before TLS "
                                 "begins; let it end TLS, and listen by tcp:")
        for origin in (*self.allowed_origins, *([self.public_url] if self.public_url else [])):
            if origin not in ("*", "null") and not _is_origin(origin):
                yield ("allowed_origins / public_url",
                       f"{origin!r} must look like https://www.example.org, without path or default port")
        if self.public_url in ("*", "null"):
            yield "public_url", "must be one address, https://www.example.org"
        for host in self.allowed_hosts:
            if not _HOST.fullmatch(host):
                yield "allowed_hosts", f"{host!r} must look like www.example.org or [::1], without a port"
        for name in ("cookie_name", "cookie_path", "cookie_domain", "allowed_headers"):
            value = getattr(self, name)
            if not all(_HEADER_WORD.fullmatch(text) for text in
                       ([value] if isinstance(value, str) else value)):
                yield name, "holds a character that a header cannot"
        if not self.cookie_name:
            yield "cookie_name", "must not be empty"
        if self.authorize_url and not _is_address(self.authorize_url):
            yield "authorize_url", "must look like https://www.example.org/authorize, without user name or #"
        if self.authorize_url and not self.authorize:
            yield "authorize", "with an authorize_url, one of handshake, subscribe and publish at least"
        if self.api_listen and not self.api_key_file:
            yield "api_key_file", ("the API needs a key: make one by bayeux keygen --api api.key, and name "
                                   "that file (--api-key-file api.key)")
        if self.require_token and not self.has_keys:
            yield "require_token", "nobody can have a token while there is no [[key]] for one"

    @property
    def has_keys(self) -> bool:
        """Whether there are keys, or a place for them: then tokens and grants are ours to check."""
        return bool(self.key or self.key_directory)

    def check_keys(self, keys: Iterable[Opener]) -> None:
        """Check that there is a key wherever a rule for channels needs one.  Raises ``SettingsError``."""
        try:
            check_openers(self.channel, keys)
        except BadRule as error:
            raise SettingsError(str(error), error) from None

    def exceeded_by(self, channel: str) -> str:
        """Return which limit a name or pattern is beyond, "" if none (G-9); to be asked before anything else.

        What selects it is as much as its length squared.
        """
        if len(channel) > self.max_channel:
            return "max_channel"
        return "max_segments" if channel.count("/") > self.max_segments else ""

    def read_keys(self) -> list[Key]:
        """Read the keys, from their files too, as these are now (Y-10).  Raises ``SettingsError``."""
        try:
            return read_keys(self.key, self.key_directory)
        except BadKey as error:
            raise self._about_key(error) from None

    def _about_key(self, error: BadKey) -> SettingsError:
        """Make a complaint about a key one about the table that it is in, if it is in one."""
        if error.index is None or error.index >= len(self.key):
            return SettingsError(f"key: {error}")
        rule = BadRule("key", error.index, None, str(error))
        return SettingsError(str(rule), rule)

    @classmethod
    def of(cls, *sources: Mapping[str, Any]) -> Settings:
        """Build settings from mappings of names to values, later ones winning.

        Strings are converted to what the setting needs.  Raises ``SettingsError``.
        """
        merged = {name: value for source in sources for name, value in source.items()}
        known = {field.name: field.type for field in msgspec.structs.fields(cls)}
        values = {}
        for name, value in merged.items():
            if name not in known:
                raise SettingsError(f"there is no setting {name!r}{nearest(name, known)}")
            try:
                values[name] = (value if name in _TABLES  # those are told of more closely
                                else msgspec.convert(value, known[name], strict=False))
            except msgspec.ValidationError as error:
                raise SettingsError(f"{name} = {value!r}: {error}") from None
        return cls(**values)


def _is_origin(text: str) -> bool:
    """Say whether a browser could send that as an origin: it leaves out the default port."""
    return _ORIGIN.fullmatch(text) is not None and _DEFAULT_PORT.fullmatch(text) is None


def _is_address(text: str) -> bool:
    """Say whether a text is the address of something on an HTTP server, without any credentials in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (_VISIBLE.fullmatch(text) is not None and parts.scheme in ("http", "https")
            and bool(parts.hostname) and port != 0 and "@" not in parts.netloc and "#" not in text)
