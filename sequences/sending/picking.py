"""Find work: leased mailboxes with their facts, a few due enrollments of each, and the emails to look after.

What it costs does not depend on how much waits: the due enrollments of one mailbox and one sequence lie together in the
index `enrollments_due`, and only sequences that are active now are looked into.
"""

# ruff: noqa: S608 - SQL is made of constants; values are parameters

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection as database
from django.db.models import Exists, OuterRef
from django.db.models.functions import Lower

from accounts.models import Organization, User
from mailconnect import bulk, queue
from mailconnect.among import Among
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Message, Step, Suppression
from sequences.models import Sequence as SequenceRow
from sequences.sending.letters import Letter, Mailbox, Plan

LOOKS_AT_ONCE = 100  # per mailbox
KNOWN_FOR_SECONDS = 5.0
# A sequence's place in a mailbox's queue, for each mailbox that it sends from. `opens`: it waits until then; the
# owner's word ends the wait for it. (`state || ''`: by its mailbox a sequence is found, not among all active ones.)
_PLACES = """
WITH place AS MATERIALIZED (
    SELECT p.mailbox, p.sequence, CASE
        WHEN s.held_reason = 'awaiting_approval' AND EXISTS (
            SELECT 1 FROM mailconnect_firstemailapproval a
            WHERE a.sequence_id = s.id AND a.approved_at IS NOT NULL) THEN NULL
        ELSE s.held_until END AS opens
    FROM (
        SELECT connection_id AS mailbox, id AS sequence FROM sequences_sequence
        WHERE connection_id {ids} AND state || '' = 'active'
        UNION
        SELECT connection_id, sequence_id FROM sequences_step WHERE connection_id {ids}
    ) p JOIN sequences_sequence s ON s.id = p.sequence AND s.state || '' = 'active'
)
"""
_DUE = """
    SELECT id{due_at} FROM sequences_enrollment
    WHERE connection_id = place.mailbox AND sequence_id = place.sequence AND state = 'active'
    AND due_at IS NOT NULL AND due_at <= %s ORDER BY due_at, id LIMIT {limit}
"""

_LOOKED_AFTER = (
    *("pk", "enrollment_id", "step_id", "step__position", "connection_id", "sequence_id", "key", "state", "reason"),
    *("to_address", "body_hash", "draft_id", "internet_message_id", "conversation_id", "attempts"),
    *("planned_at", "sending_at", "accepted_at", "enrollment__candidate__time_zone"),
)
# All that sending asks of a mailbox: half of its columns.
_OF_MAILBOX = (
    *("owner_id", "organization_id", "signature_on", "signature_html", "daily_limit", "spacing_seconds"),
    *("send_while_away", "time_zone", "working_days", "working_from", "working_until", "automatic_replies"),
    *("away_from", "away_until", "settings_read_at", "held_until", "held_reason", "failures", "sent_on", "sent_count"),
    *("longest_settle_seconds", "restored_at"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """A message that there is already for an enrollment: of the step that is due, or of an earlier one."""

    id: int
    enrollment_id: int
    step_id: int
    position: int
    connection_id: int
    key: UUID
    state: str
    subject: str
    body_html: str
    body_hash: str
    to_address: str
    to_name: str
    draft_id: str
    sent_id: str
    conversation_id: str
    reply_to_id: int | None
    reason: str


@dataclass(slots=True)
class Addressee:
    """A candidate, as far as an email needs one: a model costs ten times as much."""

    email: str
    first_name: str
    last_name: str
    company: str
    role_title: str
    fields: dict[str, Any]
    time_zone: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(slots=True, kw_only=True)
class Due:
    """An enrollment whose next step is due."""

    id: int
    sequence_id: int
    mailbox: Mailbox
    position: int
    due_at: datetime
    created_at: datetime
    candidate: Addressee
    suppressed: bool
    messages: list[Known]


class Memory:
    """What changes rarely and is needed for every email: people, organizations, sequences with their steps.

    Kept for seconds: what was changed meanwhile counts from then on. (A pause counts at once: statements see to it.)
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._users: dict[int, User] = {}
        self._organizations: dict[int, Organization] = {}
        self._plans: dict[int, Plan] = {}

    def refresh(self) -> None:
        if time.monotonic() > self._until:
            self.forget()
            self._until = time.monotonic() + KNOWN_FOR_SECONDS

    def forget(self) -> None:
        for known in (self._users, self._organizations, self._plans):
            known.clear()

    def introduce(self, connections: Collection[MailConnection]) -> None:
        """Give them their owners and organizations, as the objects that are known already."""
        if strangers := {row.owner_id for row in connections} - self._users.keys():
            self._users |= {user.pk: user for user in User.objects.filter(Among("pk", strangers))}
        if unknown := {row.organization_id for row in connections} - self._organizations.keys():
            self._organizations |= Organization.objects.in_bulk(unknown)
        for row in connections:
            row.owner, row.organization = self._users[row.owner_id], self._organizations[row.organization_id]

    def plans(self, sequences: Iterable[int], mailboxes: Collection[Mailbox]) -> dict[int, Plan]:
        """Sequences by id, with all that rendering and scheduling ask of them; the mailboxes are those under lease."""
        wanted = set(sequences)
        if missing := wanted - self._plans.keys():
            self._plans |= self._read(missing, {mailbox.id: mailbox.connection for mailbox in mailboxes})
        return {pk: self._plans[pk] for pk in wanted}

    def _read(self, ids: Collection[int], connections: dict[int, MailConnection]) -> dict[int, Plan]:
        plans = {row.pk: Plan(row, {}) for row in SequenceRow.objects.filter(Among("pk", ids))}
        steps = list(Step.objects.filter(Among("sequence", ids)))
        named = {step.connection_id for step in steps} | {plan.sequence.connection_id for plan in plans.values()}
        if missing := named - {None, *connections}:
            connections = connections | MailConnection.objects.in_bulk(missing)
        for plan in plans.values():
            sequence = plan.sequence
            sequence.connection = connections[sequence.connection_id] if sequence.connection_id else None
            sequence.organization = self._organization(sequence.organization_id)
        for step in steps:
            step.connection = connections[step.connection_id] if step.connection_id else None
            plans[step.sequence_id].steps[step.position] = step
        return plans

    def _organization(self, pk: int) -> Organization:
        if pk not in self._organizations:
            self._organizations[pk] = Organization.objects.get(pk=pk)
        return self._organizations[pk]


def lease_mailboxes(owner: UUID, memory: Memory, *, now: datetime, limit: int) -> list[Mailbox]:
    leased = queue.lease(owner, now=now, limit=limit, columns=_OF_MAILBOX)
    memory.introduce(leased.values())
    return [
        Mailbox(
            lease=lease,
            connection=row,
            held_until=row.held_until,
            held_reason=row.held_reason,
            failures=row.failures,
        )
        for lease, row in leased.items()
    ]


def due_places(mailboxes: Collection[int], *, now: datetime, limit: int) -> dict[int, dict[int, list[int]]]:
    """Per mailbox and sequence, the ids of up to `limit` enrollments that are due, the longest waiting first."""
    if not mailboxes:
        return {}
    ids, bound = bulk.in_list(mailboxes)
    if database.vendor == "postgresql":
        source = f"place CROSS JOIN LATERAL ({_DUE.format(due_at=', due_at', limit=limit)}) e"
    else:
        source = f"place JOIN sequences_enrollment e ON e.id IN ({_DUE.format(due_at='', limit=limit)})"
    rows = bulk.fetch(
        f"{_PLACES.format(ids=ids)} SELECT place.mailbox, place.sequence, e.id FROM {source} "
        "WHERE opens IS NULL OR opens <= %s ORDER BY e.due_at, e.id",
        [*bound, *bound, bulk.plain(now), bulk.plain(now)],
    )
    found: dict[int, dict[int, list[int]]] = {}
    for mailbox, sequence, enrollment in rows:
        found.setdefault(mailbox, {}).setdefault(sequence, []).append(enrollment)
    return found


def due_enrollments(chosen: dict[int, Mailbox]) -> list[Due]:
    """The facts of these enrollments (by id, with the mailbox that each is due in), as planning needs them."""
    if not chosen:
        return []
    earlier = _messages_of(chosen)
    rows = Enrollment.objects.filter(Among("pk", chosen))
    names = ("pk", "sequence_id", "state", "next_position", "due_at", "created_at")
    values = rows.annotate(suppressed=_is_suppressed("candidate__email")).values_list(
        *names, "suppressed", *(f"candidate__{name}" for name in Addressee.__slots__)
    )
    return [
        Due(
            id=pk,
            sequence_id=sequence_id,
            mailbox=chosen[pk],
            position=position,
            due_at=due_at,
            created_at=created_at,
            candidate=Addressee(*candidate),
            suppressed=is_suppressed,
            messages=earlier.get(pk, []),
        )
        for pk, sequence_id, state, position, due_at, created_at, is_suppressed, *candidate in values
        # Asked here: as a condition it would send PostgreSQL through all that is due, instead of to these ids.
        if due_at and state == Enrollment.State.ACTIVE
    ]


def standing(message_ids: Collection[int]) -> dict[int, tuple[bool, bool]]:
    """Per message: whether its enrollment is active, and whether its address is suppressed."""
    if not message_ids:
        return {}
    rows = Message.objects.filter(Among("pk", message_ids)).annotate(suppressed=_is_suppressed("to_address"))
    return {
        pk: (state == Enrollment.State.ACTIVE, suppressed)
        for pk, state, suppressed in rows.values_list("pk", "enrollment__state", "suppressed")
    }


def _is_suppressed(address: str) -> Exists:
    """Of rows that have a sequence: whether `address`, a field, is suppressed in its organization."""
    by_address = Suppression.objects.annotate(lower=Lower("email"))
    return Exists(by_address.filter(organization=OuterRef("sequence__organization"), lower=Lower(OuterRef(address))))


def _messages_of(enrollments: Iterable[int]) -> dict[int, list[Known]]:
    fields = ("pk", "enrollment_id", "step_id", "step__position", "connection_id", "key", "state", "subject")
    texts = (
        "body_html",
        "body_hash",
        "to_address",
        "to_name",
        "draft_id",
        "sent_id",
        "conversation_id",
        "reply_to_id",
        "reason",
    )
    rows = Message.objects.filter(Among("enrollment", enrollments)).values_list(*fields, *texts)
    found: dict[int, list[Known]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Known(*row))
    return found


def to_look_after(mailboxes: dict[int, Mailbox], memory: Memory, *, now: datetime) -> list[Letter]:
    """The messages whose `check_at` has come, now under these leases: under an older one nothing can change them."""
    if not mailboxes:
        return []
    ids, bound = bulk.in_list(mailboxes)
    due = (
        "SELECT id FROM sequences_message WHERE connection_id = c.id AND check_at IS NOT NULL AND check_at <= %s "
        f"ORDER BY check_at LIMIT {LOOKS_AT_ONCE}"
    )
    if database.vendor == "postgresql":
        source = f"mailconnect_mailconnection c CROSS JOIN LATERAL ({due}) m"
    else:
        source = f"mailconnect_mailconnection c JOIN sequences_message m ON m.id IN ({due})"
    parameters = [bulk.plain(now), *bound]
    found = [pk for (pk,) in bulk.fetch(f"SELECT m.id FROM {source} WHERE c.id {ids}", parameters)]
    if not found:
        return []
    epochs = [(mailbox.lease.connection_id, mailbox.lease.epoch) for mailbox in mailboxes.values()]
    which, which_bound = bulk.in_list(found)
    bulk.run(
        "id bigint, epoch bigint",
        epochs,
        "UPDATE sequences_message SET epoch = v.epoch FROM v "
        "JOIN mailconnect_mailconnection c ON c.id = v.id AND c.lease_epoch = v.epoch "
        f"WHERE connection_id = v.id AND sequences_message.id {which}",
        *which_bound,
    )
    rows = list(Message.objects.filter(Among("pk", found)).values(*_LOOKED_AFTER))
    plans = memory.plans({row["sequence_id"] for row in rows}, mailboxes.values())
    return [_taken_up(row, mailboxes[row["connection_id"]], plans[row["sequence_id"]]) for row in rows]


def _taken_up(row: dict[str, Any], mailbox: Mailbox, plan: Plan) -> Letter:
    began = {Message.State.SENDING: row["sending_at"], Message.State.ACCEPTED: row["accepted_at"]}
    return Letter(
        mailbox=mailbox,
        plan=plan,
        message_id=row["pk"],
        step_id=row["step_id"],
        position=row["step__position"],
        enrollment_id=row["enrollment_id"],
        candidate_zone=row["enrollment__candidate__time_zone"],
        key=row["key"],
        state=row["state"],
        reason=row["reason"],
        to_address=row["to_address"],
        body_hash=row["body_hash"],
        draft_id=row["draft_id"],
        internet_message_id=row["internet_message_id"],
        conversation_id=row["conversation_id"],
        attempts=row["attempts"],
        began_at=began.get(row["state"], row["planned_at"]),
    )


def next_due(mailboxes: Collection[int]) -> dict[int, tuple[datetime | None, datetime | None]]:
    """Per mailbox: when the next enrollment of an active sequence is due, and when the next message is looked after.

    Asked in the transaction that has locked the mailboxes: what is enrolled later rings after that.
    """
    ids, bound = bulk.in_list(mailboxes)
    rows = bulk.fetch(
        f"{_PLACES.format(ids=ids)}, first AS (SELECT mailbox, opens, (SELECT MIN(due_at) FROM sequences_enrollment "
        "WHERE connection_id = place.mailbox AND sequence_id = place.sequence AND state = 'active' "
        "AND due_at IS NOT NULL) AS due_at FROM place), "
        "soonest AS MATERIALIZED (SELECT mailbox, MIN(CASE WHEN opens > due_at THEN opens ELSE due_at END) AS due_at "
        "FROM first GROUP BY mailbox) "
        "SELECT c.id, soonest.due_at, (SELECT MIN(check_at) FROM sequences_message m "
        "WHERE m.connection_id = c.id AND m.check_at IS NOT NULL) "
        f"FROM mailconnect_mailconnection c LEFT JOIN soonest ON soonest.mailbox = c.id WHERE c.id {ids}",
        [*bound, *bound, *bound],
    )
    return {pk: (bulk.moment(enrollment), bulk.moment(message)) for pk, enrollment, message in rows}
