"""Extensions of a client: what looks at messages, and changes them, on their way out and in (section 19)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bayeux.client.envelopes import Message


class ClientExtension:
    """Subclass it, override what is needed, and give it to ``BayeuxClient(extensions=[...])``.

    On the way out they come in the order in which they were given, on the way in in reverse (XG-3).  A hook
    that raises costs only what it would have done: the error is reported.
    """

    def outgoing(self, message: Message) -> None:
        """Look at a message right before it is sent, and perhaps change it; ``add`` helps with its ``ext``.

        A message that is sent again comes again, as it was at first.
        """

    def incoming(self, message: Message) -> bool | None:
        """Look at a message as it comes, and perhaps change it; return False to keep an event from all."""
        return None


def add(message: Message, name: str, value: object) -> None:
    """Set one key of a message's ``ext``, leaving the others alone (XG-2)."""
    extra = message.get("ext")
    message["ext"] = {**(extra if isinstance(extra, dict) else {}), name: value}


class ClientExtensions:
    """All extensions of one client; ``report`` is told what a hook raises."""

    def __init__(self, extensions: Iterable[ClientExtension], report: Callable[[Exception], None]) -> None:
        self._all = tuple(extensions)
        self.report = report

    def outgoing(self, message: Message) -> None:
        """Run the hooks for a message that goes out."""
        for extension in self._all:
            try:
                extension.outgoing(message)
            except Exception as error:
                self.report(error)

    def incoming(self, message: Message) -> bool:
        """Run the hooks for a message that has come; says whether it is to be handed on if it is an event."""
        wanted = True
        for extension in reversed(self._all):
            try:
                wanted &= extension.incoming(message) is not False
            except Exception as error:
                self.report(error)
        return wanted
