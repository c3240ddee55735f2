"""The bell: which mailboxes have something to send, and when."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Case, F, Q, When

from mailconnect.models import MailConnection


def ring(connection_ids: Iterable[int], *, at: datetime) -> None:
    """Something may be due in these mailboxes at `at`: look no later than that."""
    sooner = Case(When(Q(due_at=None) | Q(due_at__gt=at), then=at), default=F("due_at"))
    MailConnection.objects.filter(pk__in=list(connection_ids)).update(due_at=sooner)
