"""What the queue rings for."""

from datetime import datetime

from django.utils import timezone

from accounts import mailing


def mail_notices(now: datetime | None = None) -> int:
    return mailing.mail_due_notices(now or timezone.now())
