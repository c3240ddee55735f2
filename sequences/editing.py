"""Create and change sequences and their steps."""

from datetime import datetime

from django.db import transaction

from accounts.auditing import record
from accounts.models import User
from sequences.models import Sequence


@transaction.atomic
def create(*, sequence: Sequence, owner: User, now: datetime) -> Sequence:
    """Keep a new sequence of `owner`."""
    sequence.owner = owner
    sequence.organization = owner.organization
    sequence.created_at = sequence.state_changed_at = now
    sequence.save()
    record(organization=owner.organization, actor=owner, action="sequence.created", target=sequence, now=now)
    return sequence
