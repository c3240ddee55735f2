"""Mail the notices that are due: each once, and one that cannot be mailed does not stop the others."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Notification

logger = logging.getLogger(__name__)

AT_ONCE = 100
# A claim that was not settled (the process died) is open again after this long; far longer than EMAIL_TIMEOUT.
CLAIM = timedelta(minutes=10)
# 10 minutes, 20, 40 … about a day and a half in all.
MOST_ATTEMPTS = 8


def mail_due_notices(now: datetime) -> int:
    """Send what is due, outside of any transaction. Returns how many were sent.

    A notice is claimed by a conditional update before it is handed over, so two senders at once mail it once. Only a
    process that dies between the hand-over and the next write can make a notice come twice.
    """
    due = Notification.objects.filter(mail_due_at__lte=now).select_related("user").order_by("mail_due_at", "id")
    sent = 0
    with get_connection() as connection:
        for notification in due[:AT_ONCE]:
            if _claim(notification, now) and _is_wanted(notification):
                sent += _hand_over(notification, connection, now)
    return sent


def _claim(notification: Notification, now: datetime) -> bool:
    """Push it ahead, longer with each attempt: the claim is also the back-off."""
    mine = Notification.objects.filter(pk=notification.pk, mail_due_at=notification.mail_due_at)
    return bool(
        mine.update(
            mail_due_at=now + CLAIM * 2**notification.mail_attempts, mail_attempts=notification.mail_attempts + 1
        )
    )


def _is_wanted(notification: Notification) -> bool:
    """Not once it was read on the page, nor by a person who has left or who switched the mails off."""
    user = notification.user
    if notification.read_at is None and user.is_active and user.email_notices:
        return True
    Notification.objects.filter(pk=notification.pk).update(mail_due_at=None)
    return False


def _hand_over(notification: Notification, connection: BaseEmailBackend, now: datetime) -> int:
    rows = Notification.objects.filter(pk=notification.pk)
    try:
        _mail(notification, connection).send()
    except Exception as error:
        # Whatever it is must not stop the others. No address and no text in the log: the row has them.
        logger.warning("Notice %s could not be mailed: %s.", notification.pk, type(error).__name__)
        if notification.mail_attempts + 1 >= MOST_ATTEMPTS:
            rows.update(mail_due_at=None)
        return 0
    rows.update(mail_due_at=None, mailed_at=now)
    return 1


def _mail(notification: Notification, connection: BaseEmailBackend) -> EmailMessage:
    context = {
        "notification": notification,
        "link": settings.SITE_URL + notification.url if notification.url else "",
        "profile_link": settings.SITE_URL + reverse("accounts:profile"),
    }
    return EmailMessage(
        subject=" ".join(notification.title.split()),
        body=render_to_string("accounts/notice_mail.txt", context),
        to=[notification.user.email],
        connection=connection,
    )
