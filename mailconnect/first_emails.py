"""The owner's word to the first email of a sequence, under a grant that asks for it."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.auditing import record
from accounts.models import Organization, User
from mailconnect import queue
from mailconnect.models import DelegationGrant, FirstEmailApproval, MailConnection


@dataclass
class AlreadyDecided(Exception):
    """The owner has answered before, or the permission has ended since. `sentence` is for people."""

    sentence: str


def ask(*, grant: DelegationGrant, sequence_id: int, message_key: str, now: datetime) -> FirstEmailApproval | None:
    """Ask the owner to read this email. None where this had been asked before and no answer was given yet.

    After a refusal, the next email that would be the first one asks anew.
    """
    approval, is_new = FirstEmailApproval.objects.get_or_create(
        grant=grant, sequence_id=sequence_id, defaults={"message_key": message_key, "requested_at": now}
    )
    if is_new:
        return approval
    declined = FirstEmailApproval.objects.filter(pk=approval.pk, approved_at=None).exclude(declined_at=None)
    if not declined.update(declined_at=None, message_key=message_key, requested_at=now):
        return None
    approval.refresh_from_db()
    return approval


def answer(*, approval: FirstEmailApproval, approved: bool, actor: User, now: datetime) -> None:
    """Keep the owner's word. With a yes the sequence's emails may leave. Raises `AlreadyDecided`."""
    with transaction.atomic():
        # Mailboxes are locked before grants, by everybody; and the bell below changes the mailbox.
        MailConnection.objects.select_for_update(of=("self",), no_key=True).get(grants=approval.grant_id)
        grants = DelegationGrant.objects.select_related("connection__organization")
        grant_now = grants.select_for_update(of=("self",), no_key=True).get(pk=approval.grant_id)
        if not grant_now.is_live(now):
            raise AlreadyDecided("The permission has ended meanwhile, so there is nothing left to approve.")
        field = "approved_at" if approved else "declined_at"
        unanswered = FirstEmailApproval.objects.filter(pk=approval.pk, approved_at=None, declined_at=None)
        if not unanswered.update(**{field: now}):
            raise AlreadyDecided("You have answered this already.")
        record(
            organization=grant_now.connection.organization,
            actor=actor,
            action="first_email.approved" if approved else "first_email.declined",
            target=grant_now,
            now=now,
            sequence=approval.sequence_id,
        )
        queue.ring([grant_now.connection_id], at=now)


def withdraw(*, organization: Organization, sequence_id: int, actor: User, now: datetime) -> None:
    """The first email was rewritten: what was said to the old one says nothing about the new one, which is shown."""
    approvals = FirstEmailApproval.objects.filter(sequence_id=sequence_id, grant__archived_at=None)
    for approval in approvals.select_related("grant"):
        record(
            organization=organization,
            actor=actor,
            action="first_email.rewritten",
            target=approval.grant,
            now=now,
            sequence=sequence_id,
            was_approved=approval.approved_at is not None,
        )
        approval.delete()
