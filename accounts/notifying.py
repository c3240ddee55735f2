"""Tell a person: a notification in the bell, and an e-mail that a task sends soon after."""

from datetime import datetime

from django.db import transaction

from accounts.models import Notification, User


def notify(
    *, user: User, kind: str, title: str, text: str = "", url: str = "", once: str = "", now: datetime
) -> Notification | None:
    """Queue a notification; the mail leaves later, outside of any transaction.

    `once` names the fact: while the person has not read it, the same fact is not told again (None is returned).
    """
    if not user.is_active:
        return None
    fields = {"kind": kind, "title": title, "text": text, "url": url, "created_at": now}
    fields["mail_due_at"] = now if user.email_notices else None
    if not once:
        return Notification.objects.create(user=user, **fields)
    with transaction.atomic():
        notification, created = Notification.objects.get_or_create(user=user, once=once, read_at=None, defaults=fields)
    return notification if created else None


def settled(*, user: User, kind: str, url: str, now: datetime) -> None:
    """What `user` was told about the page at `url` has been dealt with: it leaves the bell, and is not mailed."""
    Notification.objects.filter(user=user, kind=kind, url=url, read_at=None).update(read_at=now)
