"""An answer names the Message-ID of an email that we did not know to have left: it did."""

from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Coalesce

from sequences.models import Enrollment, Message
from sequences.replies import onward

# Before that, the email's own worker is about to learn it, with more detail.
LOST_AFTER = timedelta(minutes=10)


def it_left(message: Message, now: datetime) -> None:
    """Settle an email whose outcome was unknown, and let its enrollment go on from the next step."""
    lost = Q(state=Message.State.UNKNOWN) | Q(state=Message.State.SENDING, sending_at__lt=now - LOST_AFTER)
    # The next epoch: a worker that still asks about it can no longer change it.
    settled = Message.objects.filter(lost, pk=message.pk).update(
        state=Message.State.SENT,
        reason="",
        check_at=None,
        sent_at=Coalesce("accepted_at", "sending_at", "permitted_at"),
        epoch=F("epoch") + 1,
    )
    if settled:
        _go_past(message, now)


def _go_past(message: Message, now: datetime) -> None:
    enrollment = onward.locked(message.enrollment_id)
    position = message.step.position
    if enrollment.next_position != position:
        return
    enrollment.next_position = position + 1
    enrollment.last_sent_at = message.sending_at or message.permitted_at
    enrollment.save(update_fields=["last_sent_at"])
    if enrollment.state == Enrollment.State.HELD and enrollment.reason == "outcome_unknown":
        enrollment.state, enrollment.reason, enrollment.detail = Enrollment.State.ACTIVE, "", ""
    onward.go_on(enrollment, now)
