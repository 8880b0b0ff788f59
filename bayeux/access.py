"""Who may use which channels, by the rules of the configuration: the tables ``[[channel]]``.

The patterns that select one channel stand in one line, from the most to the least specific: its own name,
then ``parent/*``, ``parent/**``, and ``/**`` of each parent further up.  So one of two rules for a channel
is always the more specific, whatever their order, and it alone decides: ``/a/*`` and ``/a/b/**`` never
select the same.  And of two patterns that have a channel in common one covers the other: what a
subscription to a pattern can select is decided by the nearest rule that covers it all, and by each rule
for a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bayeux.channels import TOKEN_CHANNEL, covering
from bayeux.credentials import Credential, may_publish, may_subscribe
from bayeux.errors import BayeuxError, MissingClientID
from bayeux.messages import Authenticated, Message, SignedMessage
from bayeux.policy import Policy, Verdict
from bayeux.rules import ChannelRule
from bayeux.session import Link, Session
from bayeux.tables import check_channels


class Access(Policy):
    """Lets the most specific rule decide about a channel, and the policy ``before`` where there is none.

    It knows what a session's token opens, and what has been signed.  Raises ``BadRule`` for a rule that
    cannot be meant.
    """

    def __init__(self, rules: Iterable[ChannelRule], before: Policy | None = None) -> None:
        self._before = before or Policy()
        self._rules: dict[str, ChannelRule] = {}
        self._inside: dict[str, list[ChannelRule]] = {}
        """For each pattern, the rules for a part of what it selects."""
        self.edition = 0
        """How often the rules have been replaced: what they said in another one may not be so."""
        self._take(rules)

    def replace(self, rules: Iterable[ChannelRule]) -> bool:
        """Decide by these rules from now on; returns whether they are others than before.

        Raises ``BadRule``, and then nothing has changed.
        """
        before = self._rules
        self._take(rules)
        if self._rules == before:
            return False
        self.edition += 1
        return True

    def _take(self, rules: Iterable[ChannelRule]) -> None:
        rules = tuple(rules)
        check_channels(rules)
        inside: dict[str, list[ChannelRule]] = {}
        for rule in rules:
            for wider in covering(rule.pattern)[1:]:
                inside.setdefault(wider, []).append(rule)
        self._rules = {rule.pattern: rule for rule in rules}
        self._inside = inside

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        """Ask the policy before."""
        return self._before.can_handshake(message, link)

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        """Allow what every rule allows that is for any channel of the pattern (S-10, Y-19)."""
        credentials = session.credentials
        if isinstance(message, Authenticated):
            if not may_subscribe([message.credential], pattern):
                return False  # a grant has to be for all that is asked for (Y-15)
            credentials = (*credentials, message.credential)
        verdict = self.decide(pattern, credentials)
        return self._before.can_subscribe(session, pattern, message, link) if verdict is None else verdict

    def decide(self, pattern: str, credentials: Sequence[Credential]) -> bool | None:
        """Say whether the rules let whoever has these credentials subscribe.

        None: no rule forbids it, but there are channels for which there is none.
        """
        for rule in self._inside.get(pattern, ()):
            if not _lets_subscribe(rule, rule.pattern, credentials):
                return False
        nearest = self._nearest(pattern)
        return None if nearest is None else _lets_subscribe(nearest, pattern, credentials)

    def can_publish(self, session: Session | None, channel: str, message: Message,
                    link: Link) -> Verdict:
        """Decide by the most specific rule; what is signed may be published wherever anybody may (Y-11)."""
        rule = self._nearest(channel)
        if rule is None or channel == TOKEN_CHANNEL:
            return self._before.can_publish(session, channel, message, link)
        if rule.publish == "nobody":
            return False
        if rule.publish == "anyone" or isinstance(message, SignedMessage):
            return True
        if rule.publish == "signed":
            raise BayeuxError(401, "Signature required")
        if session is None:
            raise MissingClientID
        return rule.publish == "session" or may_publish(session.credentials, channel)

    def _nearest(self, pattern: str) -> ChannelRule | None:
        """Return the most specific rule for all that a pattern selects, or a channel."""
        rules = self._rules
        if rules:
            for wider in covering(pattern):
                if wider in rules:
                    return rules[wider]
        return None


def _lets_subscribe(rule: ChannelRule, part: str, credentials: Sequence[Credential]) -> bool:
    """Say whether a rule allows what ``part`` and its own pattern have in common."""
    if rule.subscribe == "token":
        return may_subscribe(credentials, part)
    return rule.subscribe == "anyone"
