"""Tell the operator that Microsoft refuses us for something that only the operator can mend."""

import logging
from datetime import datetime, timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.cache import cache
from django.core.mail import send_mail

from accounts.models import User
from accounts.notifying import notify
from mailconnect.reasons import OPERATOR

TITLE = "Microsoft refuses our app registration"
MAIL_EVERY = timedelta(hours=1)

logger = logging.getLogger(__name__)


def alarm_operator(reason: str, now: datetime) -> None:
    """Log it, notify the site's staff once, and mail the operators once an hour. Not inside a transaction."""
    advice = OPERATOR[reason]
    logger.error("Microsoft: %s. %s", reason, advice)
    for user in User.objects.filter(is_staff=True, is_active=True):
        notify(user=user, kind="operator_alarm", title=TITLE, text=advice, once=f"operator:{reason}", now=now)
    if settings.OPERATOR_EMAILS and cache.add(f"operator-alarm:{reason}", 1, MAIL_EVERY.total_seconds()):
        _mail(advice)


def _mail(advice: str) -> None:
    text = f"{advice}\n\nMailboxes stay connected and emails wait meanwhile. `manage.py check_microsoft` tells more.\n"
    try:
        send_mail(TITLE, text, None, settings.OPERATOR_EMAILS)
    except (OSError, SMTPException):
        logger.exception("The operators could not be mailed.")
