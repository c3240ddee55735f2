"""The mailbox's owner reads the first email of a sequence, and says yes or no."""

from datetime import datetime

from django.db import transaction
from django.urls import reverse

from accounts.models import User
from accounts.notifying import notify, settled
from mailconnect import first_emails
from mailconnect.models import FirstEmailApproval
from sequences import pausing
from sequences.models import Message, Sequence


def email_of(approval: FirstEmailApproval) -> Message | None:
    """The email as it would leave: its text was frozen when it was planned."""
    emails = Message.objects.select_related("enrollment__candidate", "step")
    return emails.filter(key=approval.message_key, sequence=approval.sequence_id).first()


def approve(*, approval: FirstEmailApproval, actor: User, now: datetime) -> None:
    """The sequence's emails may leave. Raises `first_emails.AlreadyDecided`."""
    with transaction.atomic():
        _answer(approval, approved=True, actor=actor, now=now)
        sequence = _sequence_of(approval)
        notify(
            user=sequence.owner,
            kind="first_email_approved",
            title=f"{actor} approved the first email of “{sequence.name}”",
            text="It goes on by itself.",
            url=reverse("sequences:detail", args=[sequence.pk]),
            now=now,
        )


def decline(*, approval: FirstEmailApproval, actor: User, now: datetime) -> None:
    """The sequence pauses with the reason; resumed, its first email is shown again. Raises `AlreadyDecided`."""
    with transaction.atomic():
        _answer(approval, approved=False, actor=actor, now=now)
        pausing.pause(_sequence_of(approval), "first_email_declined", now)


def _answer(approval: FirstEmailApproval, *, approved: bool, actor: User, now: datetime) -> None:
    first_emails.answer(approval=approval, approved=approved, actor=actor, now=now)
    url = reverse("sequences:first_email", args=[approval.pk])
    settled(user=approval.grant.granted_by, kind="first_email", url=url, now=now)


def _sequence_of(approval: FirstEmailApproval) -> Sequence:
    return Sequence.objects.select_related("owner").get(pk=approval.sequence_id)
