"""A sequence that has sent its first email, without the pump: for tests that begin when something comes back."""

from datetime import datetime, timedelta
from typing import Any

from accounts.models import User
from mailconnect.models import MailConnection
from sequences.models import Candidate, Enrollment, Message, Sequence, Step
from tests.sandbox_tenant import SandboxTenant

FOLLOW_UP_AFTER = timedelta(days=3)


def running_sequence(connection: MailConnection, now: datetime, *, owner: User | None = None) -> Sequence:
    """Two steps, the second of them three days after the first."""
    sequence = Sequence.objects.create(
        organization=connection.organization,
        owner=owner or connection.owner,
        name="Engineers",
        connection=connection,
        state=Sequence.State.ACTIVE,
        activated_at=now,
    )
    Step.objects.create(sequence=sequence, position=1, subject="A role for you", body="<p>Hi</p>")
    Step.objects.create(
        sequence=sequence, position=2, kind=Step.Kind.REPLY, delay=3, delay_unit=Step.Unit.DAYS, body="<p>Again</p>"
    )
    return sequence


def sent(
    sequence: Sequence,
    email: str = "cleo@candidate.example",
    *,
    at: datetime,
    internet_message_id: str = "",
    conversation_id: str = "",
    **candidate: Any,
) -> Message:
    """The first email to a new candidate has left, and the second is due."""
    connection = sequence.connection
    assert connection is not None
    person, _ = Candidate.objects.get_or_create(organization=sequence.organization, email=email, defaults=candidate)
    enrollment = Enrollment.objects.create(
        sequence=sequence,
        candidate=person,
        connection=connection,
        enrolled_by=sequence.owner,
        next_position=2,
        due_at=at + FOLLOW_UP_AFTER,
        last_sent_at=at,
    )
    return Message.objects.create(
        enrollment=enrollment,
        step=sequence.steps.get(position=1),
        sequence=sequence,
        connection=connection,
        state=Message.State.SENT,
        to_address=email,
        subject="A role for you",
        body_html="<p>Hi</p>",
        body_hash="0" * 64,
        internet_message_id=internet_message_id,
        conversation_id=conversation_id,
        sending_at=at,
        sent_at=at,
        permitted_at=at,
        permitted_to=sequence.owner,
        receipt="0" * 64,
    )


def sent_in(tenant: SandboxTenant, sequence: Sequence, email: str, *, at: datetime, **candidate: Any) -> Message:
    """As `sent`, with its copy in Sent Items of the sandbox."""
    assert sequence.connection is not None
    copy = tenant.put(
        sequence.connection.address, folder="sentitems", subject="A role for you", body="<p>Hi</p>", to=[email]
    )
    ids = {"internet_message_id": copy.internet_message_id, "conversation_id": copy.conversation_id}
    return sent(sequence, email, at=at, **ids, **candidate)
