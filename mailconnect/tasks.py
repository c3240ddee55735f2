"""What a schedule calls. The clock is read here."""

from datetime import datetime

from django.utils import timezone

from mailconnect import granting, requesting


def expire(now: datetime | None = None) -> str:
    """End the permissions and the requests whose time is over. Returns what it did, for the queue's log."""
    moment = now or timezone.now()
    return f"{granting.expire(moment)} permissions expired, {requesting.lapse(moment)} requests lapsed"
