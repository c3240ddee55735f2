"""The numbers of sequences, and their rows page by page: at a cost that does not grow with a million rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connection as database
from django.db.models import Count as CountOf
from django.db.models import Exists, IntegerField, Model, OuterRef, QuerySet, Subquery

from accounts.models import User
from sequences.models import Enrollment, Message, Sequence, Step

CAP = 10_000  # counted exactly up to here; beyond it "10,000+" is as good to know
CAP_IN_LISTS = 1_000
PAGE = 50
# What a list counts: its table and state.
COUNTED = {
    "active": (Enrollment._meta.db_table, Enrollment.State.ACTIVE.value),
    "held": (Enrollment._meta.db_table, Enrollment.State.HELD.value),
    "sent": (Message._meta.db_table, Message.State.SENT.value),
}
Row = TypeVar("Row", bound=Model)


class CappedCount(Subquery):
    """How many rows a limited subquery has."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS capped)"
    output_field = IntegerField()


@dataclass(frozen=True)
class Count:
    """A number of rows, counted up to a cap."""

    number: int
    cap: int = CAP

    def __str__(self) -> str:
        return f"{self.cap:,}+" if self.number > self.cap else f"{self.number:,}"

    def __bool__(self) -> bool:
        return self.number > 0


def numbers(sequence: Sequence) -> dict[str, Count]:
    """How far a sequence is, in one query: enrollments and messages by their state."""
    enrollments = Enrollment.objects.filter(sequence=sequence.pk)
    emails = Message.objects.filter(sequence=sequence.pk)
    counted = {"enrolled": _capped(enrollments, CAP), "emails": _capped(emails, CAP)}
    counted |= {state: _capped(enrollments.filter(state=state), CAP) for state in Enrollment.State}
    counted |= {f"emails_{state}": _capped(emails.filter(state=state), CAP) for state in ("sent", "failed", "unknown")}
    found = Sequence.objects.filter(pk=sequence.pk).annotate(**counted).values(*counted).get()
    return {name: Count(number) for name, number in found.items()}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A sequence in a list."""

    sequence: Sequence
    active: Count
    held: Count
    sent: Count
    steps: int


def lines(sequences: Iterable[Sequence]) -> list[Line]:
    """What a list says of each sequence, counted up to `CAP_IN_LISTS`, in two queries for all of them.

    The counts name each sequence by its id rather than refer to an outer row: a planner that cannot see which one is
    meant takes every sequence for as big as the biggest, and reads the whole table for each.
    """
    shown = list(sequences)
    ids = [sequence.pk for sequence in shown]
    counts = _counts([(table, pk, state) for pk in ids for table, state in COUNTED.values()])
    written = Step.objects.filter(sequence__in=ids).order_by().values_list("sequence").annotate(CountOf("pk"))
    steps = dict(written)
    return [
        Line(
            sequence=sequence,
            steps=steps.get(sequence.pk, 0),
            **{
                name: Count(counts[table, sequence.pk, state], CAP_IN_LISTS) for name, (table, state) in COUNTED.items()
            },
        )
        for sequence in shown
    ]


def _counts(wanted: list[tuple[str, int, str]]) -> dict[tuple[str, int, str], int]:
    """Rows per table, sequence and state, in one query."""
    if not wanted:
        return {}
    one = "SELECT %s, COUNT(*) FROM (SELECT 1 FROM {table} WHERE sequence_id = %s AND state = %s LIMIT %s) AS capped"
    parts = [one.format(table=table) for table, _, _ in wanted]
    values = [value for number, (_, pk, state) in enumerate(wanted) for value in (number, pk, state, CAP_IN_LISTS + 1)]
    with database.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        return {wanted[number]: count for number, count in cursor.fetchall()}


def needing(user: User) -> QuerySet[Sequence]:
    """The sequences of `user` in which an enrollment waits for a word."""
    held = Enrollment.objects.filter(sequence=OuterRef("pk"), state=Enrollment.State.HELD)
    return Sequence.objects.of(user).filter(Exists(held), owner=user).exclude(state=Sequence.State.ARCHIVED)


def held_reasons(sequence: Sequence) -> dict[str, Count]:
    """Why enrollments are held, and how many for each reason: of the first `CAP`."""
    held = Enrollment.objects.filter(sequence=sequence, state=Enrollment.State.HELD).order_by("id")
    reasons: dict[str, int] = {}
    for reason in held.values_list("reason", flat=True)[: CAP + 1]:
        reasons[reason] = reasons.get(reason, 0) + 1
    return {reason: Count(number) for reason, number in sorted(reasons.items())}


def _capped(rows: QuerySet[Any], cap: int) -> CappedCount:
    return CappedCount(rows.order_by().values("pk")[: cap + 1])


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows in order of their ids, newest first, and where the neighbours begin (none: there are none)."""

    rows: list[Row]
    newer: int | None
    older: int | None


def page(rows: QuerySet[Row], *, before: int | None = None, after: int | None = None) -> Page[Row]:
    """The rows before an id or after it; without either the newest. Deep pages cost what the first one costs."""
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: PAGE + 1])
        more, shown = len(found) > PAGE, found[:PAGE][::-1]
        return Page(shown, newer=shown[0].pk if more else None, older=shown[-1].pk if shown else None)
    older = rows if before is None else rows.filter(pk__lt=before)
    found = list(older.order_by("-pk")[: PAGE + 1])
    more, shown = len(found) > PAGE, found[:PAGE]
    newer = shown[0].pk if before is not None and shown else None
    return Page(shown, newer=newer, older=shown[-1].pk if more else None)
