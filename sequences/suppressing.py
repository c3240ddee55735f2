"""Do not write to a candidate, or to an address: entered by a colleague, and taken back."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower

from accounts.auditing import record
from accounts.models import Organization, User
from sequences.models import Candidate, Enrollment, Suppression

GOING_ON = (Enrollment.State.ACTIVE, Enrollment.State.HELD)


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
    going_on = candidate.enrollments.filter(state__in=GOING_ON)
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


@transaction.atomic
def suppress_address(*, organization: Organization, email: str, actor: User, now: datetime) -> int:
    """Nobody writes to the address any more, whether it is a candidate's or may become one's.

    Returns how many enrollments that stopped. An address that is on the list already stays as it is.
    """
    address = email.lower()
    on_list = Suppression.objects.alias(address=Lower("email")).filter(organization=organization, address=address)
    if not on_list.exists():
        entry = Suppression(organization=organization, email=address, created_by=actor, created_at=now)
        Suppression.objects.bulk_create([entry], ignore_conflicts=True)
    candidates = Candidate.objects.alias(address=Lower("email")).filter(organization=organization, address=address)
    going_on = Enrollment.objects.filter(candidate__in=candidates, state__in=GOING_ON)
    stopped = going_on.update(state=Enrollment.State.STOPPED, reason="suppressed", detail="", due_at=None)
    _record("suppression.added", on_list.get(), actor, now, stopped=stopped)
    return stopped


@transaction.atomic
def take_off(*, suppression: Suppression, actor: User, now: datetime) -> None:
    """Whatever the reason was: an admin's decision. Who was stopped stays stopped until enrolled again."""
    _record("suppression.removed", suppression, actor, now)
    suppression.delete()


def _record(action: str, target: Candidate | Suppression, actor: User, now: datetime, **counts: int) -> None:
    record(organization=target.organization, actor=actor, action=action, target=target, now=now, **counts)
