"""A person decides what nothing else can tell: whether an email left whose answer from Microsoft was lost."""

from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.auditing import record
from accounts.models import User
from sequences import activating, reconciling
from sequences.models import Enrollment, Message

_NO_PERMIT: dict[str, Any] = {"permitted_at": None, "permitted_to": None, "grant": None, "receipt": ""}


class AlreadyDecided(Exception):
    """A colleague was quicker, or the email's copy has turned up meanwhile."""

    def __init__(self) -> None:
        super().__init__("This email no longer waits for a decision. Look at its state now.")


@transaction.atomic
def was_sent(*, message: Message, actor: User, now: datetime) -> None:
    """The person found it in Sent Items: the candidate goes on with the step after it. Raises `AlreadyDecided`."""
    # What a restored database had only drafted left without a permit that we know of.
    state = Message.State.SENT if message.permitted_at else Message.State.CANCELLED
    row = _decided(message, state, "found_by_hand", actor, now)
    row.sent_at = row.accepted_at or row.sending_at or now
    row.save(update_fields=["sent_at"])
    enrollment = row.enrollment
    if enrollment.next_position <= row.step.position:
        enrollment.next_position = row.step.position + 1
        enrollment.last_sent_at = row.sent_at
        enrollment.save(update_fields=["next_position", "last_sent_at"])
    activating.let_go_on(enrollment, now)


@transaction.atomic
def was_not_sent(*, message: Message, actor: User, now: datetime) -> None:
    """The person looked and it is not there: it begins anew, through a permit of its own. Raises `AlreadyDecided`."""
    row = _decided(message, Message.State.CANCELLED, "not_there", actor, now)
    activating.let_go_on(row.enrollment, now)


def _decided(message: Message, state: Message.State, reason: str, actor: User, now: datetime) -> Message:
    activating.locked(message.sequence_id)
    waiting = Message.objects.filter(pk=message.pk, state__in=reconciling.UNDECIDED, reason=reconciling.UNKNOWN)
    if not waiting.update(state=state, reason=reason, **({} if state == Message.State.SENT else _NO_PERMIT)):
        raise AlreadyDecided
    record(
        organization=message.sequence.organization,
        actor=actor,
        action="email.decided",
        target=message,
        now=now,
        verdict=reason,
    )
    return Message.objects.select_related("enrollment", "step").get(pk=message.pk)


def held_by(message: Message) -> bool:
    """Whether the enrollment waits for a word about this email, which failed."""
    enrollment = message.enrollment
    return (
        message.state == Message.State.FAILED
        and enrollment.state == Enrollment.State.HELD
        and enrollment.reason == "message_failed"
        and enrollment.next_position == message.step.position
    )
