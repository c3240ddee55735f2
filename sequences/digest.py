"""The daily digest: what others sent from one's mailbox yesterday, told once, in the owner's morning."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count
from django.urls import reverse

from accounts.models import Notification, User
from accounts.notifying import notify
from mailconnect.models import MailConnection
from sequences.models import Message
from sequences.windows import zone_named

MORNING = time(8)
MOST_LINES = 20


def send_all(now: datetime) -> int:
    """Send the digests whose morning has come. Returns how many. Safe to call often, and at once."""
    wanted = MailConnection.objects.live().filter(owner__daily_digest=True, owner__is_active=True)
    return sum(_send(connection, now) for connection in wanted.select_related("organization", "owner"))


def _send(connection: MailConnection, now: datetime) -> bool:
    zone = zone_named(connection.time_zone) or zone_named(connection.organization.time_zone) or ZoneInfo("UTC")
    local = now.astimezone(zone)
    if local.time() < MORNING:
        return False
    lines = list(_lines(connection, local.date() - timedelta(days=1), zone))
    return bool(lines) and _tell(connection.owner, local.date(), lines, now)


def _lines(connection: MailConnection, day: date, zone: ZoneInfo) -> Iterator[str]:
    """Per colleague and sequence, how many emails left on that day of the mailbox."""
    begins, ends = (datetime.combine(day + timedelta(days=days), time.min, zone) for days in (0, 1))
    left = Message.objects.filter(
        connection=connection, state__in=Message.LEFT, permitted_at__gte=begins, permitted_at__lt=ends
    ).exclude(permitted_to=connection.owner_id)
    groups = left.order_by().values_list("permitted_to__name", "permitted_to__email", "sequence__name")
    for name, email, sequence, count in groups.annotate(count=Count("pk")).order_by("-count")[:MOST_LINES]:
        yield f"{name or email}, “{sequence}”: {count} email{'' if count == 1 else 's'}"


@transaction.atomic
def _tell(owner: User, day: date, lines: list[str], now: datetime) -> bool:
    """Once: who comes second waits for the person's row, and finds that it was told, read or not."""
    owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    once = f"digest:{day.isoformat()}"
    if Notification.objects.filter(user=owner, once=once).exists():
        return False
    told = notify(
        user=owner,
        kind="digest",
        title="What others sent from your mailbox yesterday",
        text="\n".join(lines),
        url=reverse("sequences:sent_by_others"),
        once=once,
        now=now,
    )
    return told is not None
