"""Asks the site whether its users may handshake, subscribe and publish, and obeys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from bayeux.channels import META_HANDSHAKE, TOKEN_CHANNEL
from bayeux.errors import Denied, TooBusy, TooLarge
from bayeux.extensions import Call, Extension
from bayeux.messages import Message, Reply, SignedMessage
from bayeux.metrics import Metrics
from bayeux.policy import Policy, Verdict
from bayeux.results import then
from bayeux.session import Link, Session
from bayeux.settings import Action, Settings
from bayeux.web.asker import Answer, Asker, Unanswered

_OURS = frozenset({"ack", "activity", "binary", "timesync"})
"""Parts of ``ext`` that are between the client and this server; some differ in every message."""
_CREDENTIALS = frozenset({"grant", "hmac", "token"})
"""Those that are checked here, where there are keys, and then are for nobody else (Y-17)."""
_MAX_REASON = 200


class Question(Struct):
    """What is asked, as the site reads it."""

    action: Action
    channel: str | UnsetType = UNSET
    """A channel; in a subscribe also a pattern, and then the answer is for all that it can select (S-10)."""
    session: str | UnsetType = UNSET
    """Names the session, and is not its clientId: whoever knows that is the client (I-4)."""
    user: str | UnsetType = UNSET
    """What the site has answered to the session's handshake."""
    address: str = ""
    """The client's IP address."""
    ext: dict[str, Raw] | UnsetType = UNSET
    """The message's own, where clients other than browsers have their credentials (H-14)."""
    data: Raw | UnsetType = UNSET


class Authorizer(Policy):
    """Asks the site, where the policy ``before`` does not refuse already.

    No answer is a no, though one after which the client may try again: ``503::`` (E-27).  What a key has
    signed is not asked about, as keys are the site's own, and neither is a client's next token.  Raises
    ``SettingsError`` as ``Asker`` does.
    """

    def __init__(self, settings: Settings, before: Policy, clock: IReactorTime, metrics: Metrics,
                 asker: Asker | None = None) -> None:
        self.asker = Asker(settings, clock, metrics) if asker is None else asker
        self.users = Users(settings.authorize_cache_size)
        """An extension that has to be added to the hub, so that questions can say whose session it is."""
        self._before = before
        self._settings = settings
        self._metrics = metrics
        self.known = _Known(settings, clock)
        self._key = secrets.token_bytes()
        self._kept = _OURS
        self._has_keys = False
        if settings.has_keys:
            self.guard()

    def guard(self) -> None:
        """Know that there are keys: tokens and grants are not the site's to check (Y-17)."""
        self._has_keys = True
        self._kept = _OURS | _CREDENTIALS

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        """Ask, and keep what the site says of whose session it will be."""
        def keep(answer: Answer) -> None:
            if answer.user:
                self.users.expect(message, answer.user)

        def ask() -> Verdict:
            question = Question("handshake", address=link.address, ext=self._ext(message))
            return self._put(question, link, keep)

        return self._unless_refused("handshake", self._before.can_handshake(message, link), ask)

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        """Ask about a channel, or about a pattern as it stands."""
        def ask() -> Verdict:
            return self._put(self._question("subscribe", session, pattern, message, link), link)

        verdict = self._before.can_subscribe(session, pattern, message, link)
        return self._unless_refused("subscribe", verdict, ask)

    def can_publish(self, session: Session | None, channel: str, message: Message, link: Link) -> Verdict:
        """Ask, showing the data if the site wants it; more than it wants is refused unasked."""
        def ask() -> Verdict:
            question = self._question("publish", session, channel, message, link)
            most = self._settings.authorize_max_data
            if most and message.data is not UNSET:
                if memoryview(message.data).nbytes > most:
                    raise TooLarge("authorize_max_data")
                question.data = message.data
            return self._put(question, link)

        verdict = self._before.can_publish(session, channel, message, link)
        if isinstance(message, SignedMessage) or (channel == TOKEN_CHANNEL and self._has_keys):
            return verdict
        return self._unless_refused("publish", verdict, ask)

    def _unless_refused(self, action: Action, verdict: Verdict, ask: Callable[[], Verdict]) -> Verdict:
        if action not in self._settings.authorize:
            return verdict
        return cast(Verdict, then(verdict, lambda allowed: ask() if allowed else False))

    def _question(self, action: Action, session: Session | None, channel: str, message: Message,
                  link: Link) -> Question:
        question = Question(action, channel, address=link.address, ext=self._ext(message))
        if session is not None:
            name = hmac.new(self._key, session.id.encode("ascii"), hashlib.sha256)
            question.session = name.hexdigest()[:32]
            question.user = session.user or UNSET
        return question

    def _ext(self, message: Message) -> dict[str, Raw] | UnsetType:
        """Return what the site may want to see of a message's ``ext``, its values as they came."""
        if message.ext is UNSET:
            return UNSET
        try:
            ext = msgspec.json.decode(message.ext, type=dict[str, Raw])
        except msgspec.DecodeError:
            return UNSET  # it is no object, and so is ignored everywhere (M-31)
        return {name: value for name, value in ext.items() if name not in self._kept} or UNSET

    def _put(self, question: Question, link: Link, keep: Callable[[Answer], None] | None = None) -> Verdict:
        """Have a question answered, from memory or by the site."""
        body, headers = msgspec.json.encode(question), _headers(link)
        key = _key(body, headers)

        def obey(answer: Answer) -> bool:
            if not answer.allow:
                return _refuse(answer.reason, question.channel)
            if keep is not None:
                keep(answer)
            return True

        def answered(answer: Answer) -> bool:
            if answer.allow:  # a no may be a yes as soon as the user has done something about it
                self.known.put(key, answer)
            return obey(answer)

        known = self.known.get(key)
        if known is not None:
            self._metrics.authorize_cached += 1
            return obey(known)
        return self.asker.ask(body, headers).addCallbacks(answered, _unanswered)


def _refuse(reason: str | None, channel: str | UnsetType) -> bool:
    """Return False, or raise with the site's own words where the grammar of errors allows them (E-1)."""
    if not reason or len(reason) > _MAX_REASON:
        return False
    try:
        error = Denied(reason, *([] if channel is UNSET else [channel]))
    except ValueError:
        return False
    raise error


def _unanswered(failure: Failure) -> bool:
    failure.trap(Unanswered)
    raise TooBusy


def _headers(link: Link) -> dict[str, str]:
    """Return what the site knows its user by; what any page makes a browser send the link does not show."""
    headers = {"X-Forwarded-For": link.address} if link.address else {}
    for name in ("Cookie", "Authorization"):
        if value := link.header(name.lower()):
            headers[name] = value
    return headers


def _key(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return by what an answer is found again: all that was sent, but nothing that would be a secret."""
    return hashlib.sha256(repr((body, headers)).encode("utf-8")).digest()


class _Known:
    """The answers of the last seconds, bounded in number; the oldest stand first."""

    def __init__(self, settings: Settings, clock: IReactorTime) -> None:
        self._seconds = clock.seconds
        self._time = settings.authorize_cache
        self._size = settings.authorize_cache_size
        self._answers: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: bytes) -> Answer | None:
        """Return an answer that still stands."""
        until, answer = self._answers.get(key, (0.0, None))
        return answer if self._seconds() < until else None

    def put(self, key: bytes, answer: Answer) -> None:
        """Remember an answer, and forget what does not stand any more or is too much."""
        now = self._seconds()
        self._answers.pop(key, None)
        self._answers[key] = (now + self._time, answer)
        while self._answers:
            until, _ = next(iter(self._answers.values()))
            if until > now and len(self._answers) <= self._size:
                break
            self._answers.popitem(last=False)


class Users(Extension):
    """Carries the site's word of whose session it is from the answer about a handshake to the session."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._expected: OrderedDict[int, tuple[Message, str]] = OrderedDict()

    def __len__(self) -> int:
        """Return for how many handshakes the session is still to come."""
        return len(self._expected)

    def expect(self, handshake: Message, name: str) -> None:
        """Take note of whose session a handshake opens, if it does."""
        self._expected[id(handshake)] = handshake, name
        if len(self._expected) > self._most:  # replies that another extension has spoilt do not come here
            self._expected.popitem(last=False)

    def outgoing(self, reply: Reply, call: Call) -> None:
        """Give it to the session that was opened."""
        if reply.channel == META_HANDSHAKE:
            _, name = self._expected.pop(id(call.message), (None, ""))
            if name and call.session is not None:
                call.session.named = name
