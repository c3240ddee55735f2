"""Do not write to a candidate: entered by a colleague, and taken back."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower

from accounts.auditing import record
from accounts.models import User
from sequences.models import Candidate, Enrollment, Suppression


def suppressions_of(candidate: Candidate) -> QuerySet[Suppression]:
    own = Suppression.objects.filter(organization=candidate.organization_id).annotate(address=Lower("email"))
    return own.filter(address=candidate.email.lower())


@transaction.atomic
def suppress(*, candidate: Candidate, actor: User, now: datetime) -> int:
    """Nobody in the organization writes to the address any more. Returns how many sequences it was stopped in."""
    if not suppressions_of(candidate).exists():
        # Two at once: the second finds the row there, and is content.
        Suppression.objects.bulk_create(
            [
                Suppression(
                    organization=candidate.organization,
                    email=candidate.email,
                    reason=Suppression.Reason.BY_HAND,
                    created_by=actor,
                    created_at=now,
                )
            ],
            ignore_conflicts=True,
        )
    going_on = candidate.enrollments.filter(state__in=(Enrollment.State.ACTIVE, Enrollment.State.HELD))
    stopped = going_on.update(state=Enrollment.State.STOPPED, reason="suppressed", detail="", due_at=None)
    _record("candidate.suppressed", candidate, actor, now, stopped=stopped)
    return stopped


@transaction.atomic
def allow_again(*, candidate: Candidate, actor: User, now: datetime) -> bool:
    """Take back what a colleague entered; never what the candidate asked for, nor a bounce."""
    removed, _ = suppressions_of(candidate).filter(reason=Suppression.Reason.BY_HAND).delete()
    if removed:
        _record("candidate.allowed_again", candidate, actor, now)
    return bool(removed)


def _record(action: str, candidate: Candidate, actor: User, now: datetime, **counts: int) -> None:
    record(organization=candidate.organization, actor=actor, action=action, target=candidate, now=now, **counts)
