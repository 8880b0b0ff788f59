"""The load driver: very many clients of any Bayeux server, and what became of their messages.

``bayeux load URL`` starts worker processes; each has its share of the clients on one thread, with an epoll
loop of its own.  What the command does meanwhile (progress, the server's CPU, the report) is done in the
first process, so that it does not get in the way.

Why not Twisted: the driver must not be what is measured.  To read a hundred bytes from one of a thousand
sockets costs 2.5 times as much by Twisted's epoll reactor as by ``epoll`` itself, to read and to answer
2.2 to 2.5 times (27 to 29 us beside 12; CPython 3.11, Twisted 26.10, loopback).  A delivery by long-polling
would then cost the driver about as much as a good server.
"""

EXTRA = "rich, hdrhistogram and matplotlib are needed: pip install 'txbayeux[load]'"


class LoadError(Exception):
    """The load cannot be put on the server as asked; the text says why, and what to do."""
