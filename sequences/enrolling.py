"""Candidates begin a sequence, thousands in one transaction, each with its mailbox and its time; or are taken out."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Lower

from accounts.auditing import record
from accounts.models import User
from mailconnect.among import Among, among
from mailconnect.models import MailConnection
from mailconnect.queue import ring
from sequences.models import Candidate, Enrollment, Message, Sequence, Step, Suppression
from sequences.pausing import mailboxes_of
from sequences.planning import counts_from, due_again, mailbox_of
from sequences.scheduling import NeverOpen

BATCH = 5_000
FIRST = 1  # the position of the first step
# Emails that may still leave, or may have left: who has one is not started anew.
UNDER_WAY = ("drafting", "drafted", "sending", "accepted", "unknown")
Stop = tuple[int, datetime]  # where an enrollment stands: its next step, and what that step's delay counts from
INSERT = """
INSERT INTO sequences_enrollment (sequence_id, connection_id, enrolled_by_id, state, reason, detail, next_position,
    due_at, created_at, candidate_id)
SELECT %s, %s, %s, %s, %s, '', %s, %s, %s, id FROM sequences_candidate WHERE id {among}
ON CONFLICT (sequence_id, candidate_id) DO NOTHING
"""


class EnrollRefused(ValueError):
    """Nobody can be enrolled into this sequence."""

    reason = "archived"

    def __init__(self) -> None:
        super().__init__("This sequence is archived. Choose another, or make a new one.")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the candidates that were to be enrolled."""

    enrolled: int = 0
    continued: int = 0  # had been taken out, and goes on where it stopped
    already: int = 0  # is in the sequence, or has been through it
    suppressed: int = 0  # asked not to be written to, or the address bounced
    own_mailbox: int = 0  # the address that the sequence sends from
    # Of those enrolled:
    elsewhere: int = 0  # also active in another sequence
    colleagues: int = 0  # a member of the own organization
    held: int = 0  # waits for a person, since the sending window never opens

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(**{name: count + getattr(other, name) for name, count in asdict(self).items()})

    def counts(self) -> dict[str, int]:
        """Those that are not zero, for example to keep them on a row."""
        return {name: count for name, count in asdict(self).items() if count}


def enroll(*, sequence: Sequence, candidate_ids: Iterable[int], actor: User, now: datetime) -> Outcome:
    """Let candidates of the organization begin `sequence`, or go on where a colleague had taken them out.

    Their next email's time is counted from `now` if the sequence is running, else once it starts. Ids of strangers are
    passed over. Whether `actor` may is the caller's question. Raises `EnrollRefused`.
    """
    ids = list(dict.fromkeys(candidate_ids))
    outcome = Outcome()
    for start in range(0, len(ids), BATCH):
        outcome += enroll_batch(sequence.pk, ids[start : start + BATCH], actor=actor, now=now)
    if outcome.enrolled or outcome.continued:
        record(
            organization=sequence.organization,
            actor=actor,
            action="candidates.enrolled",
            target=sequence,
            now=now,
            **outcome.counts(),
        )
    return outcome


@transaction.atomic
def enroll_batch(sequence_id: int, candidate_ids: Collection[int], *, actor: User, now: datetime) -> Outcome:
    """As `enroll`, for a few thousand in one transaction; the caller writes down who did it."""
    _without_compiling()
    # One at a time per sequence: two enrollments at once enroll once, and a start misses nobody.
    locked = Sequence.objects.select_for_update(of=("self",), no_key=True)
    sequence = locked.select_related("organization", "connection").get(pk=sequence_id)
    if sequence.state == Sequence.State.ARCHIVED:
        raise EnrollRefused
    asked = _Asked(sequence, candidate_ids)
    own = asked.own_mailboxes()
    times = _Times(sequence, now)
    barred = asked.suppressed | own
    taken_out = {pk: stop for pk, stop in asked.taken_out().items() if pk not in barred and stop[0] in times.steps}
    new = {pk: (FIRST, now) for pk in asked.addresses if pk not in asked.present | barred}
    begun = {*new, *taken_out}
    _insert(sequence, times.of(new, asked.zones), actor, now)
    _continue(sequence, times.of(taken_out, asked.zones), actor)
    for connection_id, due_at in times.soonest.items():
        transaction.on_commit(partial(ring, [connection_id], at=due_at))
    return Outcome(
        enrolled=len(new),
        continued=len(taken_out),
        already=len(asked.present - taken_out.keys() - barred),
        suppressed=len(asked.suppressed),
        own_mailbox=len(own - asked.suppressed),
        elsewhere=len(begun & asked.elsewhere),
        colleagues=len(begun & asked.colleagues()) if begun else 0,
        held=times.held,
    )


@transaction.atomic
def unenroll(*, enrollment: Enrollment, actor: User, now: datetime) -> bool:
    """Take a candidate out: nothing more leaves, but what is being sent at this moment. False if it had ended.

    An email that is only planned or drafted is not permitted any more, since its enrollment is not active.
    """
    under_way = Enrollment.objects.filter(pk=enrollment.pk, state__in=(Enrollment.State.ACTIVE, Enrollment.State.HELD))
    if not under_way.update(state=Enrollment.State.STOPPED, reason="unenrolled", detail="", due_at=None):
        return False
    record(
        organization=enrollment.sequence.organization,
        actor=actor,
        action="candidate.unenrolled",
        target=enrollment,
        now=now,
        sequence=enrollment.sequence_id,
    )
    return True


class _Asked:
    """The candidates that are to be enrolled into a sequence, and what is known of them: sets of their ids."""

    def __init__(self, sequence: Sequence, candidate_ids: Collection[int]) -> None:
        self.sequence = sequence
        self.organization_id = sequence.organization_id
        own = [row for row in self._looked_up(candidate_ids) if row[1] == self.organization_id]
        self.addresses = {pk: email.lower() for pk, _, email, *_ in own}
        self.zones = {pk: zone for pk, _, _, zone, *_ in own if zone}
        self.present = {pk for pk, *_, present, _, _ in own if present}
        self.suppressed = {pk for pk, *_, suppressed, _ in own if suppressed}
        self.elsewhere = {pk for pk, *_, elsewhere in own if elsewhere}

    def _looked_up(self, candidate_ids: Collection[int]) -> list[tuple[int, int, str, str, int, int, int]]:
        """Each candidate by its id, and what belongs to it by its index.

        An import outruns the database's statistics, and a join, EXISTS or IN (or the organization as a condition) would
        let it read whole tables that it believes to be small.
        """
        theirs = Enrollment.objects.filter(candidate=OuterRef("pk")).order_by()
        active = theirs.filter(state=Enrollment.State.ACTIVE).exclude(sequence=self.sequence)
        suppressions = Suppression.objects.annotate(address=Lower("email")).filter(
            organization=OuterRef("organization"), address=Lower(OuterRef("email"))
        )
        rows = (
            Candidate.objects.filter(Among("pk", candidate_ids), erased_at=None)
            .order_by("pk")
            .values_list(
                "pk",
                "organization_id",
                "email",
                "time_zone",
                Subquery(theirs.filter(sequence=self.sequence).values("pk")[:1]),
                Subquery(suppressions.values("pk")[:1]),
                Subquery(active.values("pk")[:1]),
            )
        )
        return list(rows)

    def taken_out(self) -> dict[int, Stop]:
        """Whom a colleague had taken out while no email was on its way, and where."""
        if not self.present:
            return {}
        theirs = Enrollment.objects.filter(Among("candidate", self.present), sequence=self.sequence)
        under_way = Message.objects.filter(enrollment=OuterRef("pk"), state__in=UNDER_WAY)
        stopped = theirs.filter(~Exists(under_way), state=Enrollment.State.STOPPED, reason="unenrolled")
        return {each.candidate_id: (each.next_position, counts_from(each, self.sequence)) for each in stopped}

    def own_mailboxes(self) -> set[int]:
        """A mail from a mailbox to itself would come back as a reply."""
        mailboxes = MailConnection.objects.filter(pk__in=mailboxes_of(self.sequence))
        return self._with_address(mailboxes.values_list(Lower("address"), flat=True))

    def colleagues(self) -> set[int]:
        members = User.objects.filter(organization=self.organization_id, is_active=True)
        return self._with_address(members.values_list("email", flat=True))

    def _with_address(self, addresses: Iterable[str]) -> set[int]:
        found = set(addresses)
        return {pk for pk, address in self.addresses.items() if address in found} if found else set()


@dataclass(frozen=True)
class _Next:
    """What comes next for an enrollment: what its columns say."""

    position: int
    connection_id: int | None
    due_at: datetime | None
    state: str = Enrollment.State.ACTIVE
    reason: str = ""


class _Times:
    """What comes next in a sequence from `now` on: asked once per time zone, not once per candidate."""

    def __init__(self, sequence: Sequence, now: datetime) -> None:
        self.sequence, self.now = sequence, now
        self.steps: dict[int, Step] = {step.position: step for step in sequence.steps.select_related("connection")}
        # Else the start plans them.
        self.is_running = sequence.state == Sequence.State.ACTIVE or sequence.starting_at is not None
        self.soonest: dict[int, datetime] = {}  # by mailbox
        self.held = 0

    def of(self, stops: Mapping[int, Stop], zones: Mapping[int, str]) -> dict[_Next, list[int]]:
        """The candidates by what comes next for them."""
        alike: dict[tuple[Stop, str], list[int]] = defaultdict(list)
        for pk, stop in stops.items():
            alike[stop, zones.get(pk, "") if self.sequence.in_candidate_time else ""].append(pk)
        upcoming: dict[_Next, list[int]] = defaultdict(list)
        for ((position, previous), zone), ids in alike.items():
            upcoming[self._next(position, previous, zone)] += ids
        self.held += sum(len(ids) for each, ids in upcoming.items() if each.state == Enrollment.State.HELD)
        return upcoming

    def _next(self, position: int, previous: datetime, zone: str) -> _Next:
        step = self.steps.get(position)
        mailbox = mailbox_of(step, self.sequence) if step else self.sequence.connection
        connection_id = mailbox.pk if mailbox else None
        if not (self.is_running and step):
            return _Next(position, connection_id, None)
        try:
            due = due_again(
                step=step, sequence=self.sequence, candidate_zone=zone, previous=previous, now=self.now
            ).moment
        except NeverOpen as never:
            return _Next(position, connection_id, None, Enrollment.State.HELD, never.reason)
        if connection_id:
            self.soonest[connection_id] = min(due, self.soonest.get(connection_id, due))
        return _Next(position, connection_id, due)


def _without_compiling() -> None:
    """PostgreSQL compiles what it believes to take long: half a second for a question of 70 ms."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL jit = off")


def _insert(sequence: Sequence, comers: Mapping[_Next, list[int]], actor: User, now: datetime) -> None:
    adapted = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        for upcoming, ids in comers.items():
            where = (sequence.pk, upcoming.connection_id, actor.pk)
            when = (upcoming.state, upcoming.reason, upcoming.position, adapted(upcoming.due_at), adapted(now))
            condition, among_ids = among(ids)
            cursor.execute(INSERT.format(among=condition), (*where, *when, among_ids))


def _continue(sequence: Sequence, comers: Mapping[_Next, list[int]], actor: User) -> None:
    for upcoming, ids in comers.items():
        Enrollment.objects.filter(Among("candidate", ids), sequence=sequence).update(
            connection=upcoming.connection_id,
            enrolled_by=actor,
            state=upcoming.state,
            reason=upcoming.reason,
            detail="",
            due_at=upcoming.due_at,
        )
