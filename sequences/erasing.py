"""A candidate wants to be forgotten: what goes, and what stays as proof (docs/decisions/0016-erasing.md)."""

from datetime import datetime

from django.db import transaction

from accounts.auditing import record
from accounts.models import User
from sequences.models import Candidate, Enrollment, IncomingMail, Message

UNDER_WAY = (Message.State.DRAFTING, Message.State.DRAFTED, Message.State.SENDING, Message.State.ACCEPTED)
EFFECTS = (
    "Name, company, role, time zone and all further columns are erased.",
    "The texts of all emails to them, and what is kept of their replies, are erased here. In the mailboxes they stay.",
    "They are taken out of all sequences, and cannot be enrolled any more.",
    "Of emails that were sent, the recipient’s address and the signed receipt stay, as proof of who allowed them.",
    "If the address is on the do-not-contact list, it stays there, so that nobody writes to it again.",
)


class EraseRefused(ValueError):
    """Not now; nothing was erased."""

    def __init__(self) -> None:
        super().__init__("An email to this candidate is on its way. Try again in a few minutes.")


@transaction.atomic
def erase(*, candidate: Candidate, actor: User, now: datetime) -> None:
    """Erase for good what `EFFECTS` says. Raises `EraseRefused`."""
    going_on = candidate.enrollments.filter(state__in=(Enrollment.State.ACTIVE, Enrollment.State.HELD))
    going_on.update(state=Enrollment.State.STOPPED, reason="erased", due_at=None)
    candidate.enrollments.update(detail="")
    emails = Message.objects.filter(enrollment__candidate=candidate)
    if emails.filter(state__in=UNDER_WAY).exists():
        raise EraseRefused
    emails.update(to_name="", subject="", body_html="")
    # The receipt of an email that left is signed over the address.
    emails.exclude(state__in=Message.LEFT).update(to_address="")
    IncomingMail.objects.filter(enrollment__candidate=candidate).forget_texts()
    Candidate.objects.filter(pk=candidate.pk).update(
        email=f"erased-{candidate.pk}@erased.invalid",
        first_name="",
        last_name="",
        company="",
        role_title="",
        time_zone="",
        fields={},
        last_import=None,
        erased_at=now,
    )
    record(organization=candidate.organization, actor=actor, action="candidate.erased", target=candidate, now=now)
