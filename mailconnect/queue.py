"""The queue of mailboxes: which have something to do, when, and who works on one (claimed by lease, fenced by epoch).

Leases run by the database's clock, so that workers on machines whose clocks differ agree; a worker itself stops by its
monotonic clock, a little earlier. Of what a mailbox has to do, this knows nothing: its users tell the next moment.
"""

# ruff: noqa: S608 - SQL is made of constants; values are parameters

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db import connection as database
from django.db import transaction
from django.db.models import Case, F, Q, When

from mailconnect import bulk
from mailconnect.microsoft.errors import PermitLapsed
from mailconnect.models import MailConnection

LEASE_SECONDS = 60
# A request begun this shortly before the end would hardly be settled in time.
LAST_START_SECONDS = 10
# A worker that is frozen in the middle of a transaction keeps its rows from everybody, a revocation too.
FROZEN_SECONDS = 10
# How PostgreSQL finds what a worker asks for: a few hundred rows by their ids, in tables that grow by the second. With
# statistics of an hour ago it would read and hash whole tables. Joins go in the order in which they are written. A row
# that is looked at costs as much as a page: else, where it takes few rows of a table for fit, it compares them all with
# each of the round's.
_BY_INDEX = {
    "join_collapse_limit": "1",
    "max_parallel_workers_per_gather": "0",
    "cpu_tuple_cost": "1",
    "random_page_cost": "0.1",
    **dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material", "jit"), "off"),
}
_TABLE = MailConnection._meta.db_table
_FIELDS = {field.attname: field for field in MailConnection._meta.concrete_fields}
_NOW = {"postgresql": "statement_timestamp()", "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"}
_LATER = {
    "postgresql": "statement_timestamp() + interval '{} seconds'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+{} seconds')",
}
# A rest was told from outside of the lease: whoever works on the mailbox does not know of it, and leaves it in place.
OWN_LIMIT = "tenant_limit"
_RESTS = f"{_TABLE}.held_reason = '{OWN_LIMIT}' AND {_TABLE}.held_until > {_NOW[database.vendor]}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right to work on a mailbox. Its epoch is larger than that of any lease before it."""

    connection_id: int
    owner: UUID
    epoch: int
    started: float  # monotonic, read before the database was asked

    def check(self) -> None:
        """Raises `PermitLapsed` when it is too late to start a request under it."""
        if time.monotonic() - self.started > LEASE_SECONDS - LAST_START_SECONDS:
            raise PermitLapsed("lease_lapsed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What is known of a mailbox when its work is done for now."""

    lease: Lease
    due_at: datetime | None
    held_until: datetime | None
    held_reason: str
    failures: int


def ring(connection_ids: Iterable[int], *, at: datetime) -> None:
    """Something may be due in these mailboxes at `at`: look no later than that."""
    sooner = Case(When(Q(due_at=None) | Q(due_at__gt=at), then=at), default=F("due_at"))
    for connection_id in sorted(set(connection_ids)):  # one order for all, against deadlocks
        MailConnection.objects.filter(pk=connection_id).update(due_at=sooner)


def rest(connection_id: int, *, until: datetime) -> None:
    """Microsoft refuses mail of the mailbox for its company's limit: nothing leaves before `until`."""
    shorter = Q(held_until=None) | Q(held_until__lt=until)
    MailConnection.objects.filter(shorter, pk=connection_id).update(held_until=until, held_reason=OWN_LIMIT)


def lease(owner: UUID, *, now: datetime, limit: int, columns: Sequence[str] = ()) -> dict[Lease, MailConnection]:
    """Take the connected mailboxes that are due and that nobody works on, the longest waiting first.

    Returns their rows as they are under the lease, with these columns (others are read when they are asked for).
    `due_at` becomes the end of the lease: if its holder dies, the mailbox is due again then. A lease that ends later
    than any could was given before the database's clock was set back: it counts as ended.
    """
    started = time.monotonic()
    clock, until, beyond = _clock()
    chosen = (
        f"SELECT id FROM {_TABLE} WHERE state = 'connected' AND due_at <= %s "
        f"AND (lease_until IS NULL OR lease_until <= {clock} OR lease_until > {beyond}) ORDER BY due_at LIMIT %s"
    )
    if database.vendor == "postgresql":
        # `IN (…)` can become a sequential scan; an array is looked up in the index.
        which = f"= ANY(ARRAY({chosen} FOR NO KEY UPDATE SKIP LOCKED))"
    else:
        which = f"IN ({chosen})"
    names = ("id", "lease_epoch", *columns)
    taken = bulk.fetch(
        f"UPDATE {_TABLE} SET lease_owner = %s, lease_until = {until}, due_at = {until}, "
        f"lease_epoch = lease_epoch + 1 WHERE id {which} RETURNING {', '.join(names)}",
        [owner if database.vendor == "postgresql" else owner.hex, bulk.plain(now), limit],
    )
    return {Lease(row.pk, owner, row.lease_epoch, started): row for row in _instances(names, taken)}


def fence(leases: Iterable[Lease]) -> set[int]:
    """Lock the mailboxes whose lease still stands, for the transaction; returns their ids.

    Every transaction that changes what depends on a lease begins with it. A worker that was stopped and woke up after
    another took over finds its mailbox missing here, and changes nothing.
    """
    if not database.in_atomic_block:
        raise RuntimeError("fence() belongs into the transaction that it guards.")
    epochs = {lease.connection_id: lease.epoch for lease in leases}
    if not epochs:
        return set()
    ids, bound = bulk.in_list(epochs)
    lock = " FOR NO KEY UPDATE" if database.vendor == "postgresql" else ""
    found = bulk.fetch(
        f"SELECT id, lease_epoch FROM {_TABLE} WHERE id {ids} AND lease_owner IS NOT NULL ORDER BY id{lock}", bound
    )
    return {connection_id for connection_id, epoch in found if epoch == epochs[connection_id]}


def count_sent(rows: Sequence[tuple[Lease, int, date, datetime | None]]) -> None:
    """Per mailbox: so many emails were permitted on its day `date`, and the next may leave at the time given.

    In the transaction that permits them, so that the daily limit and the spacing survive a crash.
    """
    bulk.run(
        "id bigint, count integer, day date, next_at timestamptz",
        [(lease.connection_id, count, day, next_at) for lease, count, day, next_at in rows],
        f"UPDATE {_TABLE} SET sent_count = v.count + CASE WHEN sent_on = v.day THEN sent_count ELSE 0 END, "
        "sent_on = v.day, "
        f"held_until = CASE WHEN {_RESTS} THEN {_TABLE}.held_until ELSE COALESCE(v.next_at, held_until) END, "
        f"held_reason = CASE WHEN {_RESTS} OR v.next_at IS NULL THEN held_reason ELSE 'spacing' END "
        f"FROM v WHERE {_TABLE}.id = v.id",
    )


def remember_settle_times(seconds_by_mailbox: dict[int, int]) -> None:
    """An accepted email was seen in Drafts for so long before it had moved to Sent Items."""
    bulk.run(
        "id bigint, seconds integer",
        list(seconds_by_mailbox.items()),
        f"UPDATE {_TABLE} SET longest_settle_seconds = v.seconds "
        f"FROM v WHERE {_TABLE}.id = v.id AND longest_settle_seconds < v.seconds",
    )


def release(releases: Sequence[Release]) -> None:
    """Give mailboxes back, in a transaction that has fenced them.

    A bell that was rung meanwhile is not lost: then `due_at` is no longer the end of the lease, and the sooner counts.
    """
    sooner = {"postgresql": "LEAST(due_at, v.next)", "sqlite": "MIN(due_at, COALESCE(v.next, due_at))"}
    bulk.run(
        "id bigint, epoch bigint, next timestamptz, held_until timestamptz, held_reason text, failures integer",
        [
            (one.lease.connection_id, one.lease.epoch, one.due_at, one.held_until, one.held_reason, one.failures)
            for one in releases
        ],
        f"UPDATE {_TABLE} SET lease_owner = NULL, lease_until = NULL, "
        f"due_at = CASE WHEN due_at = lease_until THEN v.next ELSE {sooner[database.vendor]} END, "
        f"held_until = CASE WHEN {_RESTS} THEN {_TABLE}.held_until ELSE v.held_until END, "
        f"held_reason = CASE WHEN {_RESTS} THEN {_TABLE}.held_reason ELSE v.held_reason END, failures = v.failures "
        f"FROM v WHERE {_TABLE}.id = v.id AND lease_epoch = v.epoch AND lease_owner IS NOT NULL",
    )


def begin_session() -> None:
    """This connection to PostgreSQL serves a worker from here on. One that is frozen in a transaction is ended."""
    for name, value in _session().items():
        bulk.fetch(f"SET {name} = {value}")


def end_session() -> None:
    for name in _session():
        bulk.fetch(f"RESET {name}")


def _session() -> dict[str, str]:
    if database.vendor != "postgresql":
        return {}
    return {"idle_in_transaction_session_timeout": f"'{FROZEN_SECONDS}s'", **_BY_INDEX}


def next_moment() -> datetime | None:
    """When the next mailbox becomes due; None if none will."""
    connected = MailConnection.objects.connected().filter(due_at__isnull=False)
    return connected.order_by("due_at").values_list("due_at", flat=True).first()


def mark_restored(now: datetime) -> None:
    """The database was restored from a backup: from here on, what may have left since is looked for before drafting."""
    MailConnection.objects.update(restored_at=now, lease_owner=None, lease_until=None, lease_epoch=F("lease_epoch") + 1)


def give_back(owner: UUID) -> None:
    """End all leases of a worker that ends: its mailboxes are due at once, for whoever comes next."""
    clock, _, _ = _clock()
    with transaction.atomic():
        bulk.fetch(
            f"UPDATE {_TABLE} SET lease_owner = NULL, lease_until = NULL, due_at = {clock} WHERE lease_owner = %s",
            [owner if database.vendor == "postgresql" else owner.hex],
        )


def _instances(names: Sequence[str], rows: Sequence[bulk.Row]) -> list[MailConnection]:
    """Mailboxes of rows that `bulk.fetch` found, as a `RawQuerySet` makes them of those of Django's cursor."""
    compiler = MailConnection.objects.all().query.get_compiler(connection=database)
    columns = [_FIELDS[name].get_col(_TABLE) for name in names]
    values = compiler.apply_converters(rows, compiler.get_converters(columns))
    return [MailConnection.from_db(database.alias, names, row) for row in values]


def _clock() -> tuple[str, str, str]:
    """The database's clock, the end of a lease that begins now, and a time beyond all leases, as SQL."""
    later = _LATER[database.vendor]
    return _NOW[database.vendor], later.format(LEASE_SECONDS), later.format(2 * LEASE_SECONDS)
