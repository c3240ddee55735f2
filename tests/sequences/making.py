"""Sequences, steps and candidates for tests that begin after they are there."""

from datetime import UTC, datetime
from typing import Any

from accounts.models import User
from mailconnect.models import MailConnection
from sequences.models import Candidate, Enrollment, Message, Sequence, Step

LONG_AGO = datetime(2026, 1, 5, 9, tzinfo=UTC)
BODY = "<p>Hi {{ first_name }}</p>"


def sequence_of(owner: User, connection: MailConnection | None, *, steps: int = 1, **fields: Any) -> Sequence:
    """A draft with so many steps: a new thread, then replies a business day apart."""
    sequence = Sequence.objects.create(
        organization=owner.organization,
        owner=owner,
        name=fields.pop("name", "Engineers"),
        connection=connection,
        **fields,
    )
    for position in range(1, steps + 1):
        add_step(sequence, position)
    return sequence


def add_step(sequence: Sequence, position: int, **fields: Any) -> Step:
    usual = {"kind": "new_thread", "subject": "Hello", "delay": 0} if position == 1 else {"kind": "reply", "delay": 1}
    return Step.objects.create(sequence=sequence, position=position, **({"body": BODY} | usual | fields))


def candidates(sequence: Sequence, count: int, **fields: Any) -> list[Candidate]:
    known = Candidate.objects.count()
    return Candidate.objects.bulk_create(
        Candidate(
            organization=sequence.organization,
            email=f"candidate{known + number}@example.com",
            **({"first_name": f"Candidate{known + number}"} | fields),
        )
        for number in range(count)
    )


def enrolled(sequence: Sequence, count: int = 1, **fields: Any) -> list[Enrollment]:
    """Candidates as they are when enrolled into a sequence that does not run."""
    wanted = {name: fields.pop(name) for name in ("first_name", "time_zone", "fields") if name in fields}
    usual = {"enrolled_by": sequence.owner, "connection": sequence.connection, "created_at": LONG_AGO}
    return Enrollment.objects.bulk_create(
        Enrollment(sequence=sequence, candidate=candidate, **(usual | fields))
        for candidate in candidates(sequence, count, **wanted)
    )


def message_of(enrollment: Enrollment, step: Step, state: str, now: datetime, **fields: Any) -> Message:
    """An email in some state, with all that the database asks of one in it."""
    sequence = enrollment.sequence
    if state in Message.LEFT:
        fields = {"permitted_at": now, "permitted_to": sequence.owner, "receipt": "x"} | fields
    if state in ("drafting", "drafted", "sending", "accepted"):
        fields = {"check_at": now} | fields
    if state in ("refused", "failed", "unknown"):
        fields = {"reason": "message_failed"} | fields
    connection = step.connection or sequence.connection
    assert connection
    usual = {"to_address": enrollment.candidate.email, "subject": "Hello", "body_html": "<p>Hi</p>", "body_hash": "x"}
    return Message.objects.create(
        enrollment=enrollment,
        step=step,
        sequence=sequence,
        connection=connection,
        state=state,
        **(usual | fields),
    )
