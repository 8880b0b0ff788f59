"""What is wanted to be subscribed to, and what the session is subscribed to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayeux.channels import META_SUBSCRIBE, META_UNSUBSCRIBE, is_service
from bayeux.client.outbox import Request


@dataclass(eq=False, slots=True)
class Topic:
    """One channel or pattern."""

    name: str
    wanted: bool = True
    held: bool = False
    """Whether the session has it, as far as the server has said."""
    asked: Request | None = None
    """What is to change that, on its way."""
    waits: bool = False
    """Whether it is not to be asked for now, but later."""

    @property
    def is_settled(self) -> bool:
        """Say whether there is nothing to be asked."""
        return self.wanted == self.held


class Topics:
    """All topics of a client; they outlive its sessions.

    Answers on service channels come to who has asked, without a subscription: of those no server is told.
    """

    def __init__(self) -> None:
        self._all: dict[str, Topic] = {}

    def __iter__(self) -> Iterator[Topic]:
        return iter(list(self._all.values()))

    def want(self, name: str) -> Topic:
        """Want a topic from now on."""
        topic = self._all.setdefault(name, Topic(name))
        topic.wanted = True
        return topic

    def unwant(self, name: str) -> Topic:
        """Want a topic no more."""
        topic = self._all.setdefault(name, Topic(name))
        topic.wanted = False
        return topic

    def ask(self, topic: Topic) -> Request | None:
        """Return what has to be sent for a topic now, by the session that there is.

        None if nothing has to be; a topic that is not wanted is then forgotten.
        """
        if topic.asked is not None or topic.waits:
            return None
        if is_service(topic.name):
            topic.held = topic.wanted
        if topic.is_settled:
            if not topic.wanted:
                self._all.pop(topic.name, None)
            return None
        channel = META_SUBSCRIBE if topic.wanted else META_UNSUBSCRIBE
        topic.asked = Request(channel, {"subscription": topic.name}, topic=topic)
        return topic.asked

    def forget(self, topic: Topic) -> None:
        """Have nothing to do with a topic any more, as it was refused."""
        self._all.pop(topic.name, None)

    def renew(self) -> list[Request]:
        """Forget what the last session had and was asked; returns those requests, which are void."""
        void = [topic.asked for topic in self._all.values() if topic.asked is not None]
        for topic in list(self._all.values()):
            topic.held = topic.waits = False
            topic.asked = None
            if not topic.wanted:
                del self._all[topic.name]
        return void
