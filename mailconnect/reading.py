"""Read from a mailbox, outside of the sending path."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mailconnect import tokens
from mailconnect.microsoft.errors import TokenRejected
from mailconnect.microsoft.graph import GraphClient, graph_root
from mailconnect.microsoft.wire import Wire

T = TypeVar("T")


def ask(connection_id: int, question: Callable[[GraphClient], T]) -> T:
    """Ask Graph; once more with a new token where it no longer takes the stored one. Not in a transaction."""
    token = tokens.access_token(connection_id)
    try:
        with mailbox(token, connection_id) as graph:
            return question(graph)
    except TokenRejected:
        tokens.drop_access_token(connection_id, token)
    with mailbox(tokens.access_token(connection_id), connection_id) as graph:
        return question(graph)


@contextmanager
def mailbox(token: str, connection_id: int = 0) -> Iterator[GraphClient]:
    """The mailbox of this token, over a connection of its own. One that is not connected yet has no id."""
    wire = Wire(graph_root())
    try:
        yield GraphClient(wire, connection_id, token)
    finally:
        wire.close()
