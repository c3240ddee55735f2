"""May this person send this message from this mailbox, now? The only place that answers, and the only one that permits.

DESIGN §5: the connection is connected and its owner active; the person is active in the same organization; and the
person is the owner, or holds a live grant whose scope and cap allow it.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection as database
from django.db.models import Q, QuerySet

from accounts.models import Organization, User
from mailconnect import bulk, receipts
from mailconnect.among import Among
from mailconnect.microsoft.errors import PermitLapsed
from mailconnect.models import DelegationGrant, FirstEmailApproval, MailConnection
from mailconnect.stopping import PERMIT_LIFE_SECONDS

# Refusals that pass by themselves or with the owner's word: the email waits, its sequence goes on.
PASSING: Final = frozenset({"grant_cap", "awaiting_approval"})
_SEAL: Final = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One message that is ready to leave."""

    message_id: int
    key: str
    draft_id: str
    connection_id: int
    person_id: int
    sequence_id: int
    to_address: str
    body_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """The permission for one message to leave, good for 5 seconds. Only `permit()` makes one."""

    ask: Ask
    permitted_at: datetime
    grant: "Grant | None"
    grant_digest: str
    receipt_key: str
    receipt: str
    started: float  # monotonic
    seal: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("A Permit is made by permission.permit() alone.")

    def check_age(self) -> None:
        """Raises `PermitLapsed` when it is too old to start a request with."""
        if time.monotonic() - self.started > PERMIT_LIFE_SECONDS:
            raise PermitLapsed("permit_lapsed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a message may not leave. `grant_id`: the live grant that did not suffice, where there is one."""

    ask: Ask
    reason: str
    grant_id: int | None = None


def permit(asks: Sequence[Ask], *, now: datetime) -> list[Permit | Refusal]:
    """Decide about many messages at once, with the rows locked that a revocation would change.

    The locks are FOR NO KEY UPDATE on PostgreSQL, which every UPDATE that archives, removes or deactivates waits for
    (and is waited for by: then the row is read as that left it). SQLite has one writer: BEGIN IMMEDIATE.
    Call it in the transaction that stamps the permits on the messages and sets them to `sending`: then a revocation
    either comes before (and this refuses) or after (and finds them in flight). Grants with a cap are counted here.
    """
    if not database.in_atomic_block:
        raise RuntimeError("permit() belongs into the transaction that stamps it.")
    started = time.monotonic()
    facts = _Facts(asks, now, lock=True)
    verdicts: list[Permit | Refusal] = []
    for ask in asks:
        grant, refused = facts.judge(ask)
        if refused:
            verdicts.append(_refusal(ask, grant, refused))
        else:
            facts.count(grant)
            verdicts.append(_permitted(ask, facts, grant, now, started))
    facts.save_counts()
    return verdicts


def foresee(asks: Sequence[Ask], *, now: datetime) -> list[Refusal]:
    """The asks that `permit()` would refuse now: asked before a draft is put into somebody's mailbox."""
    facts = _Facts(asks, now, lock=False)
    judged = ((ask, *facts.judge(ask)) for ask in asks)
    return [_refusal(ask, grant, reason) for ask, grant, reason in judged if reason]


def _refusal(ask: Ask, grant: "Grant | None", reason: str) -> Refusal:
    return Refusal(ask=ask, reason=reason, grant_id=grant.pk if grant else None)


def mailbox_name(connection: "MailConnection | _Mailbox") -> str:
    """How a receipt names a mailbox: Microsoft's own ids, which stay true when an address changes hands."""
    return f"{connection.tenant_id}/{connection.object_id}"


def grant_digest(grant: "DelegationGrant | Grant") -> str:
    """A hash of the terms of a grant; they never change, so neither may this."""
    return _digest(
        grant.pk,
        grant.version,
        grant.connection_id,
        grant.grantee_id,
        grant.granted_by_id,
        grant.created_at,
        grant.expires_at,
        grant.daily_cap,
        grant.sequence_id,
        grant.approve_first_email,
    )


@lru_cache(maxsize=4096)
def _digest(
    pk: int,
    version: int,
    connection: int,
    grantee: int | None,
    granted_by: int,
    granted_at: datetime,
    expires_at: datetime | None,
    daily_cap: int | None,
    sequence: int | None,
    approve_first_email: bool,
) -> str:
    terms = {
        "id": pk,
        "version": version,
        "connection": connection,
        "grantee": grantee,
        "granted_by": granted_by,
        "granted_at": granted_at.astimezone(UTC).isoformat(),
        "expires_at": expires_at.astimezone(UTC).isoformat() if expires_at else None,
        "daily_cap": daily_cap,
        "sequence": sequence,
        "approve_first_email": approve_first_email,
    }
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()


def _permitted(ask: Ask, facts: "_Facts", grant: "Grant | None", now: datetime, started: float) -> Permit:
    digest = grant_digest(grant) if grant else ""
    key_id, signature = receipts.sign(
        receipts.Statement(
            message=ask.key,
            mailbox=mailbox_name(facts.connections[ask.connection_id]),
            person=ask.person_id,
            sequence=ask.sequence_id,
            to_address=ask.to_address,
            grant=grant.pk if grant else None,
            grant_version=grant.version if grant else None,
            grant_digest=digest,
            permitted_at=now,
            body_hash=ask.body_hash,
        )
    )
    return Permit(
        ask=ask,
        permitted_at=now,
        grant=grant,
        grant_digest=digest,
        receipt_key=key_id,
        receipt=signature,
        started=started,
        seal=_SEAL,
    )


class _Mailbox(NamedTuple):
    pk: int
    state: str
    owner_id: int
    organization_id: int
    tenant_id: str
    object_id: str
    time_zone: str


class _Person(NamedTuple):
    pk: int
    is_active: bool
    organization_id: int


class Grant(NamedTuple):
    """A live grant, as far as a permit asks for it."""

    pk: int
    version: int
    connection_id: int
    grantee_id: int | None
    granted_by_id: int
    created_at: datetime
    expires_at: datetime | None
    daily_cap: int | None
    sequence_id: int | None
    approve_first_email: bool
    used_on: date | None
    used_count: int


class _Facts:
    """The rows that decide about a set of asks, read with a fixed number of queries."""

    def __init__(self, asks: Sequence[Ask], now: datetime, *, lock: bool) -> None:
        self.now = now
        people = User.objects.order_by("pk")
        connections = MailConnection.objects.order_by("pk")
        grants = DelegationGrant.objects.live(now).order_by("pk")
        if lock:
            # Everybody locks in this order: people, mailboxes, grants, sequences; each by id. So nobody deadlocks,
            # although an initiator's row is shared by all the mailboxes that the person sends from.
            people = people.select_for_update(no_key=True)
            connections = connections.select_for_update(no_key=True)
            grants = grants.select_for_update(no_key=True)
        mailboxes = Among("pk", {ask.connection_id for ask in asks})
        owners = MailConnection.objects.filter(mailboxes).values_list("owner", flat=True)
        persons = Among("pk", {ask.person_id for ask in asks}.union(owners))
        # Values, not models: this is asked for every email, and a model's forty fields cost more than all else here.
        self.people = {row[0]: _Person(*row) for row in people.filter(persons).values_list(*_Person._fields)}
        rows = connections.filter(mailboxes).values_list(*_Mailbox._fields)
        self.connections = {row[0]: _Mailbox(*row) for row in rows}
        self.grants = self._grants_for(asks, grants)
        self.approved = self._approved()
        self.used: dict[Grant, int] = {}  # of those with a cap, today, these permits included
        self.days: dict[int, date] = {}

    def judge(self, ask: Ask) -> tuple[Grant | None, str]:
        """The grant to send under (none for the owner) and, if it may not leave, the reason."""
        connection = self.connections.get(ask.connection_id)
        if connection is None or connection.state != MailConnection.State.CONNECTED:
            return None, "not_connected"
        owner = self.people.get(connection.owner_id)
        if owner is None or not owner.is_active:
            return None, "owner_inactive"
        person = self.people.get(ask.person_id)
        if person is None or not person.is_active or person.organization_id != connection.organization_id:
            return None, "initiator_inactive"
        if person.pk == connection.owner_id:
            return None, ""
        return self._best_grant(ask, connection)

    def _best_grant(self, ask: Ask, connection: _Mailbox) -> tuple[Grant | None, str]:
        """The first grant that allows it; otherwise why not: where one of them only lets the email wait, that."""
        refused: tuple[Grant | None, str] = (None, "no_permission")
        for grant in self.grants.get(connection.pk, []):
            if grant.grantee_id not in (None, ask.person_id):
                continue
            reason = self._objection(grant, ask)
            if not reason:
                return grant, ""
            if refused[1] not in PASSING:
                refused = (grant, reason)
        return refused

    def _objection(self, grant: Grant, ask: Ask) -> str:
        if grant.sequence_id not in (None, ask.sequence_id):
            return "grant_scope"
        if grant.approve_first_email and (grant.pk, ask.sequence_id) not in self.approved:
            return "awaiting_approval"
        if grant.daily_cap is not None and self._used_today(grant) >= grant.daily_cap:
            return "grant_cap"
        return ""

    def _used_today(self, grant: Grant) -> int:
        before = grant.used_count if grant.used_on == self._today(grant) else 0
        return self.used.get(grant, before)

    def _today(self, grant: Grant) -> date:
        """The mailbox's day: a cap is a day's cap where its owner lives."""
        mailbox = self.connections[grant.connection_id]
        if mailbox.pk not in self.days:
            zones = Organization.objects.filter(pk=mailbox.organization_id).values_list("time_zone", flat=True)
            self.days[mailbox.pk] = _day_in(mailbox.time_zone or zones.get(), self.now)
        return self.days[mailbox.pk]

    def count(self, grant: Grant | None) -> None:
        if grant is not None and grant.daily_cap is not None:
            self.used[grant] = self._used_today(grant) + 1

    def save_counts(self) -> None:
        table = DelegationGrant._meta.db_table
        bulk.run(
            "id bigint, day date, count integer",
            [(grant.pk, self._today(grant), count) for grant, count in self.used.items()],
            f"UPDATE {table} SET used_on = v.day, used_count = v.count FROM v WHERE {table}.id = v.id",  # noqa: S608
        )

    def _grants_for(self, asks: Sequence[Ask], grants: QuerySet[DelegationGrant]) -> dict[int, list[Grant]]:
        """Live grants by mailbox, of the people who ask; specific ones before those to the entire team."""
        owners = {pk: connection.owner_id for pk, connection in self.connections.items()}
        delegated = {
            (ask.connection_id, ask.person_id) for ask in asks if owners.get(ask.connection_id) != ask.person_id
        }
        if not delegated:
            return {}
        mailboxes, people = zip(*delegated, strict=True)
        of_people = Q(Among("grantee", set(people))) | Q(grantee=None)
        rows = grants.filter(of_people, Among("connection", set(mailboxes))).values_list(*Grant._fields)
        by_mailbox: dict[int, list[Grant]] = {}
        for grant in sorted(map(Grant._make, rows), key=lambda grant: grant.grantee_id is None):
            by_mailbox.setdefault(grant.connection_id, []).append(grant)
        return by_mailbox

    def _approved(self) -> set[tuple[int, int]]:
        asking = [grant.pk for grants in self.grants.values() for grant in grants if grant.approve_first_email]
        if not asking:
            return set()
        approvals = FirstEmailApproval.objects.filter(grant__in=asking, approved_at__isnull=False)
        return set(approvals.values_list("grant_id", "sequence_id"))


def _day_in(zone_name: str, now: datetime) -> date:
    try:
        zone = ZoneInfo(zone_name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        zone = ZoneInfo("UTC")  # one mailbox's odd zone must not stop the others of its batch
    return now.astimezone(zone).date()
