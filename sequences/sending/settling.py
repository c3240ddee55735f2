"""What becomes of emails and enrollments, written for many at once. Each function is one statement, or none.

All of it runs in transactions that have fenced the mailboxes' leases (`queue.fence`).
"""

# ruff: noqa: S608 - SQL is made of constants; values are parameters

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailconnect import bulk
from mailconnect.permission import Permit
from sequences.models import Enrollment
from sequences.models import Sequence as SequenceRow
from sequences.planning import due_for, mailbox_of
from sequences.scheduling import NeverOpen
from sequences.sending.letters import EnrollmentChange, Letter, MessageChange

# A draft whose maker died is looked for after this; one that is being sent, after that.
LOOK_FOR_DRAFT = timedelta(seconds=90)
LOOK_FOR_SENT = timedelta(seconds=90)
Place = tuple[int, datetime]  # the mailbox in whose queue something waits, and when it is due


@dataclass(frozen=True, slots=True)
class Step:
    """An enrollment that goes on: to its next step, or to its end."""

    enrollment_id: int
    position: int  # of the email that left
    next_position: int
    connection_id: int
    due_at: datetime | None
    left_at: datetime
    state: str
    reason: str


def begin(letters: Sequence[Letter], now: datetime) -> set[int]:
    """Store the frozen emails; those in `drafting` take their enrollments out of the queue. Returns enrollments' ids.

    A row that ended without having left begins anew, without the permit that its old text had. An enrollment that is no
    longer due as it was, or whose sequence is no longer active, is left alone.
    """
    rows = [
        (
            *(letter.enrollment_id, letter.step_id, letter.plan.sequence.pk, letter.mailbox.id, letter.position),
            *(letter.key, letter.state, letter.to_address, letter.to_name, letter.subject, letter.html),
            *(letter.body_hash, letter.reply_to_id, letter.replaces_draft, letter.mailbox.lease.epoch),
            *(now + LOOK_FOR_DRAFT, now),
        )
        for letter in letters
    ]
    begun = bulk.run(
        "enrollment bigint, step bigint, sequence bigint, mailbox bigint, position bigint, key uuid, "
        "state text, to_address text, to_name text, subject text, html text, hash text, reply_to bigint, draft text, "
        "epoch bigint, check_at timestamptz, now timestamptz",
        rows,
        _BEGIN,
    )
    ids = {enrollment: message for message, enrollment in begun}
    for letter in letters:
        letter.message_id = ids.get(letter.enrollment_id, 0)
    return set(ids)


def take_out(enrollment_ids: Sequence[int]) -> None:
    """Their emails are under way: out of the queue until those have settled."""
    bulk.run(
        "id bigint",
        [(pk,) for pk in enrollment_ids],
        "UPDATE sequences_enrollment SET due_at = NULL FROM v WHERE sequences_enrollment.id = v.id",
    )


def stamp(permitted: Sequence[tuple[Letter, Permit]]) -> set[int]:
    """Put the permits on the rows and set them to `sending`, where the sequence's own rules still allow it.

    Returns the ids of those that may leave: the sequence is active and still the person's, the enrollment is active,
    the address is not suppressed.
    """
    rows = [
        (
            *(letter.message_id, letter.mailbox.lease.epoch, letter.draft_id),
            *(letter.internet_message_id, letter.conversation_id, permit.permitted_at, permit.ask.person_id),
            *((permit.grant.pk, permit.grant.version) if permit.grant else (None, None)),
            *(permit.grant_digest, permit.receipt_key, permit.receipt, permit.permitted_at + LOOK_FOR_SENT),
        )
        for letter, permit in permitted
    ]
    stamped = bulk.run(
        "id bigint, epoch bigint, draft text, internet_id text, conversation text, "
        "now timestamptz, person bigint, grant_id bigint, version integer, digest text, receipt_key text, "
        "receipt text, check_at timestamptz",
        rows,
        _STAMP,
    )
    return {pk for (pk,) in stamped}


def accept(letters: Sequence[Letter], now: datetime, look_at: datetime) -> None:
    bulk.run(
        "id bigint, epoch bigint",
        [(letter.message_id, letter.mailbox.lease.epoch) for letter in letters],
        "UPDATE sequences_message SET state = 'accepted', accepted_at = %s, check_at = %s FROM v "
        "WHERE sequences_message.id = v.id AND state || '' = 'sending' AND sequences_message.epoch = v.epoch",
        now,
        look_at,
    )


def next_step(letter: Letter, left_at: datetime) -> Step:
    """Where the enrollment goes now that this email has left."""
    plan, position = letter.plan, letter.position
    later = min((number for number in plan.steps if number > position), default=None)
    state, reason, due_at, connection_id = Enrollment.State.FINISHED, "", None, letter.mailbox.id
    if later is not None:
        step = plan.steps[later]
        mailbox = mailbox_of(step, plan.sequence)
        state, connection_id = Enrollment.State.ACTIVE, mailbox.pk if mailbox else letter.mailbox.id
        try:
            due_at = due_for(
                step=step, sequence=plan.sequence, candidate_zone=letter.candidate_zone, previous=left_at
            ).moment
        except NeverOpen as problem:
            state, reason = Enrollment.State.HELD, problem.reason
    return Step(letter.enrollment_id, position, later or position + 1, connection_id, due_at, left_at, state, reason)


def advance(steps: Sequence[Step]) -> list[Place]:
    """Go on with the enrollments, though not before a candidate who is away is back. Returns where they wait now.

    One that was held or stopped meanwhile stays so, but remembers how far it came.
    """
    found = bulk.run(
        "id bigint, position bigint, next_position bigint, mailbox bigint, due_at timestamptz, "
        "left_at timestamptz, state text, reason text",
        [
            (
                *(step.enrollment_id, step.position, step.next_position, step.connection_id),
                *(step.due_at, step.left_at, step.state, step.reason),
            )
            for step in steps
        ],
        "UPDATE sequences_enrollment SET next_position = v.next_position, "
        f"connection_id = COALESCE({_MAILBOX_OF_STEP.replace('next_position', 'v.next_position')}, v.mailbox), "
        "last_sent_at = v.left_at, due_at = CASE WHEN sequences_enrollment.state <> 'active' THEN NULL "
        "WHEN v.due_at < away_until THEN away_until ELSE v.due_at END, "
        "reason = CASE WHEN sequences_enrollment.state = 'active' THEN v.reason ELSE sequences_enrollment.reason END, "
        "state = CASE WHEN sequences_enrollment.state = 'active' THEN v.state ELSE sequences_enrollment.state END "
        "FROM v WHERE sequences_enrollment.id = v.id AND sequences_enrollment.next_position = v.position "
        "RETURNING sequences_enrollment.connection_id, sequences_enrollment.due_at",
    )
    return _places(found)


def change_messages(changes: Sequence[MessageChange]) -> None:
    """The states that are not the usual way. One that has not left loses the permit that it had for a moment."""
    rows = [
        (
            *(change.letter.message_id, change.letter.mailbox.lease.epoch, change.state, change.reason[:60]),
            *(change.check_at, change.letter.attempts if change.attempts is None else change.attempts),
            *(change.letter.draft_id, change.sent.id if change.sent else ""),
            change.sent.internet_message_id if change.sent else change.letter.internet_message_id,
            change.sent.conversation_id if change.sent else change.letter.conversation_id,
            change.sent.sent_at if change.sent else None,
            *(change.still or (None, None)),
        )
        for change in changes
        if change.letter.message_id
    ]
    bulk.run(
        "id bigint, epoch bigint, state text, reason text, check_at timestamptz, attempts integer, draft text, "
        "sent_id text, internet_id text, conversation text, sent_at timestamptz, still text, still_draft text",
        rows,
        _CHANGE,
    )


def change_enrollments(changes: Sequence[EnrollmentChange]) -> list[Place]:
    """Only of enrollments that are still active: what people have decided meanwhile stays. Returns where they wait."""
    found = bulk.run(
        "id bigint, state text, reason text, detail text, due_at timestamptz",
        [(one.enrollment_id, one.state, one.reason, one.detail, one.due_at) for one in changes],
        "UPDATE sequences_enrollment SET state = v.state, reason = v.reason, detail = v.detail, "
        f"connection_id = COALESCE({_MAILBOX_OF_STEP}, connection_id), "
        "due_at = CASE WHEN v.due_at < away_until THEN away_until ELSE v.due_at END "
        "FROM v WHERE sequences_enrollment.id = v.id AND sequences_enrollment.state = 'active' "
        "RETURNING sequences_enrollment.connection_id, sequences_enrollment.due_at",
    )
    return _places(found)


def _places(rows: Sequence[bulk.Row]) -> list[Place]:
    return [(mailbox, due_at) for mailbox, moment in rows if (due_at := bulk.moment(moment))]


def refile(enrollment_ids: Sequence[int]) -> list[Place]:
    """Enrollments that are due in another mailbox than the one they were filed under. Returns where they wait now."""
    found = bulk.run(
        "id bigint",
        [(pk,) for pk in enrollment_ids],
        f"UPDATE sequences_enrollment SET connection_id = COALESCE({_MAILBOX_OF_STEP}, connection_id) "
        "FROM v WHERE sequences_enrollment.id = v.id "
        "RETURNING sequences_enrollment.connection_id, sequences_enrollment.due_at",
    )
    return _places(found)


def hold_sequences(rows: Sequence[tuple[int, datetime, str]]) -> None:
    """Locked by id first, as everybody does: an UPDATE takes its rows in any order."""
    if not rows:
        return
    wanted = SequenceRow.objects.filter(pk__in=[pk for pk, *_ in rows]).order_by("pk")
    list(wanted.select_for_update(no_key=True).values_list("pk"))
    bulk.run(
        "id bigint, until timestamptz, reason text",
        rows,
        "UPDATE sequences_sequence SET held_until = v.until, held_reason = v.reason "
        "FROM v WHERE sequences_sequence.id = v.id",
    )


# What a row depends on is asked in a subquery of its own: joined, all active rows could be gone through. (For the same
# reason no index fits `state || ''`.)
#
# As the sequence is now: a plan in memory may be older than a change of its mailboxes, and an enrollment in the queue
# of one that the sequence no longer sends from would wait there for ever.
_MAILBOX_OF_STEP = """(
    SELECT COALESCE(t.connection_id, s.connection_id) FROM sequences_step t
    JOIN sequences_sequence s ON s.id = t.sequence_id
    WHERE t.sequence_id = sequences_enrollment.sequence_id AND t.position = next_position)"""
_BEGIN = """
INSERT INTO sequences_message (
    enrollment_id, step_id, sequence_id, connection_id, key, state, reason, to_address, to_name, subject, body_html,
    body_hash, reply_to_id, draft_id, sent_id, internet_message_id, conversation_id, epoch, attempts, check_at,
    planned_at, grant_digest, receipt_key, receipt)
SELECT v.enrollment, v.step, v.sequence, v.mailbox, v.key, v.state, '', v.to_address, v.to_name, v.subject, v.html,
    v.hash, v.reply_to, v.draft, '', '', '', v.epoch, 0, CASE WHEN v.state = 'drafting' THEN v.check_at END,
    v.now, '', '', ''
FROM v
WHERE (
    SELECT e.state = 'active' AND e.due_at IS NOT NULL AND e.next_position = v.position AND s.state = 'active'
    FROM sequences_enrollment e JOIN sequences_sequence s ON s.id = e.sequence_id WHERE e.id = v.enrollment)
ON CONFLICT (enrollment_id, step_id) DO UPDATE SET
    connection_id = excluded.connection_id, state = excluded.state,
    reason = CASE WHEN sequences_message.reason IN ('redrafted', 'resubmitted')
        THEN sequences_message.reason ELSE '' END,
    to_address = excluded.to_address, to_name = excluded.to_name, subject = excluded.subject,
    body_html = excluded.body_html, body_hash = excluded.body_hash, reply_to_id = excluded.reply_to_id,
    draft_id = excluded.draft_id, epoch = excluded.epoch, attempts = 0, check_at = excluded.check_at,
    planned_at = excluded.planned_at, permitted_at = NULL, permitted_to_id = NULL, grant_id = NULL,
    grant_version = NULL, grant_digest = '', receipt_key = '', receipt = ''
WHERE sequences_message.state IN ('planned', 'refused', 'failed', 'cancelled')
RETURNING id, enrollment_id
"""
_STAMP = """
UPDATE sequences_message SET
    state = 'sending', attempts = 0, draft_id = v.draft, internet_message_id = v.internet_id,
    conversation_id = v.conversation, drafted_at = COALESCE(drafted_at, v.now), sending_at = v.now,
    permitted_at = v.now, permitted_to_id = v.person, grant_id = v.grant_id, grant_version = v.version,
    grant_digest = v.digest, receipt_key = v.receipt_key, receipt = v.receipt, check_at = v.check_at
FROM v
WHERE sequences_message.id = v.id AND sequences_message.epoch = v.epoch
    AND sequences_message.state || '' IN ('drafting', 'drafted')
    AND (
        SELECT e.state = 'active' AND s.state = 'active' AND s.owner_id = v.person AND NOT EXISTS (
            SELECT 1 FROM sequences_suppression x
            WHERE x.organization_id = s.organization_id AND LOWER(x.email) = LOWER(sequences_message.to_address))
        FROM sequences_enrollment e JOIN sequences_sequence s ON s.id = e.sequence_id
        WHERE e.id = sequences_message.enrollment_id)
RETURNING sequences_message.id
"""
_HAS_NOT_LEFT = "v.state IN ('planned', 'drafting', 'drafted', 'cancelled')"  # so it has no permit any more
_CHANGE = f"""
UPDATE sequences_message SET
    state = v.state, reason = v.reason, check_at = v.check_at, attempts = v.attempts, draft_id = v.draft,
    internet_message_id = v.internet_id, conversation_id = v.conversation,
    sent_id = CASE WHEN v.sent_id = '' THEN sequences_message.sent_id ELSE v.sent_id END,
    sent_at = COALESCE(v.sent_at, CASE WHEN v.state = 'sent' THEN accepted_at END, sequences_message.sent_at),
    permitted_at = CASE WHEN {_HAS_NOT_LEFT} THEN NULL ELSE permitted_at END,
    permitted_to_id = CASE WHEN {_HAS_NOT_LEFT} THEN NULL ELSE permitted_to_id END,
    grant_id = CASE WHEN {_HAS_NOT_LEFT} THEN NULL ELSE grant_id END,
    receipt = CASE WHEN {_HAS_NOT_LEFT} THEN '' ELSE receipt END
FROM v WHERE sequences_message.id = v.id AND sequences_message.epoch = v.epoch
    AND (v.still IS NULL OR (v.still = sequences_message.state AND v.still_draft = sequences_message.draft_id))
"""
