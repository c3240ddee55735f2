"""The one door out: drafts, permitted emails and questions about them go to Microsoft here, and come back as outcomes.

Network threads call it, outside of any transaction. Nothing is repeated, but for one call with a new access token where
Microsoft no longer takes the old one: such a call surely did nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from django.db import connections

from mailconnect import mailbox_settings, tokens, vault
from mailconnect.mailbox_settings import MailboxSettings
from mailconnect.microsoft.errors import (
    MicrosoftUnavailable,
    OperatorProblem,
    OutcomeUnknown,
    PermitLapsed,
    ReconnectNeeded,
    Refused,
    Throttled,
    TokenRejected,
    Unreachable,
)
from mailconnect.microsoft.graph import Draft, GraphClient, MailItem, graph_root
from mailconnect.microsoft.wire import Wire
from mailconnect.permission import Permit
from mailconnect.queue import Lease

__all__ = ["Draft", "Kind", "MailItem", "Outbox", "Outcome"]

Observe = Callable[[str], None]


class Kind(StrEnum):
    """What came of a call. Up to `REFUSED` it surely did nothing."""

    DONE = "done"
    LAPSED = "lapsed"  # our own permit or lease was too old to start it
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    UNAVAILABLE = "unavailable"  # no access token at the moment: sign-in is unwell
    OPERATOR = "operator"  # no access token until the operator mends something
    RECONNECT = "reconnect"  # no access token until the owner signs in again
    REFUSED = "refused"
    UNKNOWN = "unknown"  # it may have been done


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """`reason`: Graph's code where it refused. `delay`: the seconds that Microsoft asks us to wait, or 0."""

    kind: Kind
    reason: str = ""
    status: int = 0
    delay: float = 0.0
    items: tuple[MailItem, ...] = ()
    settings: MailboxSettings | None = None


DONE = Outcome(kind=Kind.DONE)


def unobserved(point: str) -> None:
    pass


class Outbox:
    """Shared by the threads of a pump. `observe` is told each point that a request passes."""

    def __init__(self, *, observe: Observe = unobserved, wire: Wire | None = None) -> None:
        self._wire = wire or Wire(graph_root())
        self._observe = observe
        self._clients: dict[int, tuple[GraphClient, str]] = {}
        self._told: dict[str, Callable[[], None]] = {}
        if observe is not unobserved:
            self._told = {point: partial(observe, point) for point in ("draft.during", "send.passed", "send.during")}

    def admit(self, connection_ids: Iterable[int], now: datetime) -> None:
        """Read the access tokens of these mailboxes, with one query. A mailbox not admitted asks for its own."""
        for connection_id, token in vault.fresh_access_tokens(connection_ids, now).items():
            self._clients[connection_id] = (GraphClient(self._wire, connection_id, token), token)

    def draft(self, lease: Lease, draft: Draft, *, replaces: str = "") -> Outcome:
        """Put it into Drafts, after the draft of an earlier attempt is removed."""

        def call(graph: GraphClient) -> Outcome:
            if replaces:
                graph.delete_draft(replaces, gate=lease.check)
            item = graph.create_draft(draft, gate=lease.check, sent=self._told.get("draft.during"))
            return Outcome(kind=Kind.DONE, items=(item,))

        return self._observed("draft", lease.connection_id, call)

    def send(self, permit: Permit) -> Outcome:
        def call(graph: GraphClient) -> Outcome:
            graph.send(permit, passed=self._told.get("send.passed"), sent=self._told.get("send.during"))
            return DONE

        outcome = self._observed("send", permit.ask.connection_id, call)
        if outcome.kind == Kind.THROTTLED and outcome.status != 429:
            # A gateway's 503 with a delay: most likely nothing was done, but only 429 says so for sure.
            return Outcome(kind=Kind.UNKNOWN, reason=outcome.reason, status=outcome.status, delay=outcome.delay)
        return outcome

    def find(self, connection_id: int, key: str) -> Outcome:
        """All that carries our key, in the whole mailbox."""
        return self._observed(
            "find", connection_id, lambda graph: Outcome(kind=Kind.DONE, items=tuple(graph.find_by_key(key)))
        )

    def sent_since(self, connection_id: int, moment: datetime) -> Outcome:
        return self._observed(
            "sent_since", connection_id, lambda graph: Outcome(kind=Kind.DONE, items=tuple(graph.sent_since(moment)))
        )

    def remove_drafts(self, lease: Lease, draft_ids: Iterable[str]) -> Outcome:
        """Only under the lease: without it, what was a draft when we looked may be an email on its way by now."""

        def call(graph: GraphClient) -> Outcome:
            for draft_id in draft_ids:
                graph.delete_draft(draft_id, gate=lease.check)
            return DONE

        return self._observed("remove", lease.connection_id, call)

    def disarm(self, lease: Lease, draft_ids: Iterable[str]) -> Outcome:
        """From here on nobody can submit these drafts, whatever they hold. What has left already has left."""

        def call(graph: GraphClient) -> Outcome:
            for draft_id in draft_ids:
                graph.disarm(draft_id, gate=lease.check)
            return DONE

        return self._observed("disarm", lease.connection_id, call)

    def settings(self, connection_id: int) -> Outcome:
        def call(graph: GraphClient) -> Outcome:
            return Outcome(kind=Kind.DONE, settings=mailbox_settings.parse(graph.mailbox_settings()))

        return self._observed("settings", connection_id, call)

    def close_thread(self) -> None:
        """This thread's connections, to Microsoft and to the database, are no longer needed."""
        self._wire.close()
        connections.close_all()

    def _observed(self, call: str, connection_id: int, question: Callable[[GraphClient], Outcome]) -> Outcome:
        self._observe(f"{call}.before")
        outcome = self._outcome(connection_id, question)
        self._observe(f"{call}.after")
        return outcome

    def _outcome(self, connection_id: int, question: Callable[[GraphClient], Outcome]) -> Outcome:
        try:
            return self._asked(connection_id, question)
        except OutcomeUnknown as error:
            return Outcome(kind=Kind.UNKNOWN, reason=error.reason)
        except Throttled as error:
            return Outcome(kind=Kind.THROTTLED, reason=error.reason, delay=error.delay, status=error.status)
        except Refused as error:
            return Outcome(kind=Kind.REFUSED, reason=error.reason, status=error.status)
        except PermitLapsed as error:
            return Outcome(kind=Kind.LAPSED, reason=error.reason)
        except (Unreachable, TokenRejected) as error:
            return Outcome(kind=Kind.UNREACHABLE, reason=error.reason)
        except ReconnectNeeded as error:
            return Outcome(kind=Kind.RECONNECT, reason=error.reason)
        except OperatorProblem as error:
            return Outcome(kind=Kind.OPERATOR, reason=error.reason)
        except MicrosoftUnavailable as error:
            return Outcome(kind=Kind.UNAVAILABLE, reason=error.reason)

    def _asked(self, connection_id: int, question: Callable[[GraphClient], Outcome]) -> Outcome:
        graph, token = self._clients.get(connection_id) or self._renewed(connection_id)
        try:
            return question(graph)
        except TokenRejected:
            graph, _ = self._renewed(connection_id, rejected=token)
            return question(graph)

    def _renewed(self, connection_id: int, rejected: str = "") -> tuple[GraphClient, str]:
        """A client with a token that Microsoft did not reject; the rare case in which this asks the database."""
        try:
            if rejected:
                tokens.drop_access_token(connection_id, rejected)
            token = tokens.access_token(connection_id)
        finally:
            connections.close_all()
        client = (GraphClient(self._wire, connection_id, token), token)
        self._clients[connection_id] = client
        return client
