"""Read from a connected mailbox, outside of the sending path."""

from collections.abc import Callable
from functools import lru_cache
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
        return question(client(token, connection_id))
    except TokenRejected:
        tokens.drop_access_token(connection_id, token)
        return question(client(tokens.access_token(connection_id), connection_id))


def client(token: str, connection_id: int = 0) -> GraphClient:
    """A client for the mailbox of this token; a mailbox that is not connected yet has no id."""
    return GraphClient(_wire(graph_root()), connection_id, token)


@lru_cache(maxsize=4)
def _wire(root: str) -> Wire:
    return Wire(root)
