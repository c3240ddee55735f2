"""Emails that are ready to leave, and the transaction that permits and stamps them: what the pump does, alone."""

from collections.abc import Sequence as Many
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import User
from mailconnect import receipts
from mailconnect.models import MailConnection
from mailconnect.permission import Ask, Permit, Refusal, permit
from sequences.models import Candidate, Enrollment, Message, Sequence, Step


def running(owner: User, connection: MailConnection, name: str = "Platform engineers", **fields: Any) -> Sequence:
    """An active sequence of one step."""
    chosen = {"state": Sequence.State.ACTIVE} | fields
    sequence = Sequence.objects.create(
        organization=owner.organization, owner=owner, name=name, connection=connection, **chosen
    )
    Step.objects.create(sequence=sequence, position=1, subject="Hello", body="<p>Hello</p>")
    return sequence


def ready(sequence: Sequence, now: datetime, *, name: str = "cora", step: Step | None = None) -> Message:
    """A drafted email of the sequence to one candidate."""
    candidate, _ = Candidate.objects.get_or_create(
        organization=sequence.organization, email=f"{name}@candidates.example", defaults={"first_name": name.title()}
    )
    enrollment, _ = Enrollment.objects.get_or_create(
        sequence=sequence,
        candidate=candidate,
        defaults={"connection": sequence.connection, "enrolled_by": sequence.owner, "due_at": now},
    )
    assert sequence.connection
    return Message.objects.create(
        enrollment=enrollment,
        step=step or sequence.steps.get(),
        sequence=sequence,
        connection=sequence.connection,
        state=Message.State.DRAFTED,
        to_address=candidate.email,
        subject="Hello",
        body_html="<p>Hello</p>",
        body_hash=receipts.body_hash("Hello", "<p>Hello</p>"),
        draft_id=f"draft-{name}",
        check_at=now + timedelta(minutes=15),
    )


def ask_for(message: Message) -> Ask:
    return Ask(
        message_id=message.pk,
        key=str(message.key),
        draft_id=message.draft_id,
        connection_id=message.connection_id,
        person_id=message.sequence.owner_id,
        sequence_id=message.sequence_id,
        to_address=message.to_address,
        body_hash=message.body_hash,
    )


@transaction.atomic
def permit_and_stamp(messages: Many[Message], now: datetime) -> list[Permit | Refusal]:
    """Permit what may leave and set it to `sending`, with its receipt, in one transaction."""
    verdicts = permit([ask_for(message) for message in messages], now=now)
    for message, verdict in zip(messages, verdicts, strict=True):
        if isinstance(verdict, Permit):
            stamp(message, verdict)
    return verdicts


def stamp(message: Message, given: Permit) -> None:
    message.state = Message.State.SENDING
    message.permitted_at = message.sending_at = given.permitted_at
    message.permitted_to_id = given.ask.person_id
    message.grant_id = given.grant.pk if given.grant else None
    message.grant_version = given.grant.version if given.grant else None
    message.grant_digest = given.grant_digest
    message.receipt_key = given.receipt_key
    message.receipt = given.receipt
    message.save()


def settle(message: Message, now: datetime) -> None:
    Message.objects.filter(pk=message.pk).update(state=Message.State.ACCEPTED, accepted_at=now)


def sent(sequence: Sequence, now: datetime, *, name: str = "cora") -> Message:
    """An email that has left."""
    message = ready(sequence, now, name=name)
    [verdict] = permit_and_stamp([message], now)
    assert isinstance(verdict, Permit), verdict
    Message.objects.filter(pk=message.pk).update(state=Message.State.SENT, sent_at=now, check_at=None)
    message.refresh_from_db()
    return message
