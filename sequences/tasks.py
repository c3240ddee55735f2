"""What rings in the background. django-q2 carries the bell; what is to be done stands in the database."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Schedule
from django_q.tasks import async_task

from mailconnect import queue
from sequences import activating, alarms, digest, heartbeat
from sequences.importing import tasks as importing
from sequences.replies import looking
from sequences.sending import Pump

# Every task that comes round: its name, its function (without arguments) and its minutes.
SCHEDULES = (
    ("send what is due", "sequences.tasks.tick", 1),
    ("look into mailboxes", "sequences.tasks.look_into_mailboxes", 1),
    ("forget old replies' texts", "sequences.tasks.forget_old_texts", 60 * 24),
    ("mail notices", "accounts.tasks.mail_notices", 1),
    ("end permissions", "mailconnect.tasks.expire", 1),
    ("send daily digests", "sequences.tasks.send_digests", 15),
    ("pick up what was interrupted", "sequences.tasks.pick_up", 1),
    ("raise alarms", "sequences.tasks.raise_alarms", 5),
)
logger = logging.getLogger(__name__)
# What becomes due before the next minute's bell gets a bell of its own.
SOON = timedelta(seconds=20)


def tick() -> None:
    """Send what is due. Rung once a minute, and whenever something has just become due.

    On each machine one pump also waits for what becomes due within its time, as long as no other task wants its place.
    """
    with _lingering() as may_linger:
        Pump(stop=heartbeat.is_ending, others_wait=_others_wait).run(linger=may_linger)
        next_at = queue.next_moment()
    if may_linger and next_at and next_at < timezone.now() + SOON and not heartbeat.is_ending():
        ring_soon()


def beat() -> None:
    heartbeat.beat()


def pick_up() -> None:
    activating.pick_up(timezone.now())
    importing.look_after()


def send_digests() -> None:
    digest.send_all(timezone.now())


def raise_alarms() -> None:
    alarms.raise_alarms(timezone.now())


def look_into_mailboxes() -> None:
    """Take in what came back. Rung once a minute; each mailbox is looked into every two minutes at most."""
    looking.look_into_all(stop=heartbeat.is_ending)


def forget_old_texts() -> None:
    looking.forget_old_texts(timezone.now())


def ring_soon() -> None:
    """Let a worker look for due mailboxes now. Call it when the transaction that made them due has committed."""
    async_task("sequences.tasks.tick")


def make_schedules() -> None:
    """Again is fine, also by several workers at once: of two alike one goes."""
    for name, function, minutes in SCHEDULES:
        alike = list(Schedule.objects.filter(name=name).order_by("pk"))
        if not alike:
            Schedule.objects.create(
                name=name, func=function, schedule_type=Schedule.MINUTES, minutes=minutes, next_run=timezone.now()
            )
            continue
        Schedule.objects.filter(pk__in=[extra.pk for extra in alike[1:]]).delete()
        Schedule.objects.filter(pk=alike[0].pk).update(func=function, minutes=minutes, repeats=-1)


def _others_wait() -> bool:
    return bool(get_broker().queue_size())


@contextmanager
def _lingering() -> Iterator[bool]:
    """Whether this is the one pump of this machine that may wait. The lock ends with its holder, however that ends."""
    try:
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        lock = (settings.VAR_DIR / "pump.lock").open("w")
    except OSError as error:
        logger.warning("Nothing can be written below VAR_DIR (%s): no pump waits, emails leave once a minute.", error)
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
