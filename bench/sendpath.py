"""The whole way of an email: planning, rendering, permit, receipt, every state committed, two calls, settling."""

import random
import resource
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection as database
from django.utils import timezone

from bench import population
from mailconnect.models import MailConnection
from sequences.models import Message
from sequences.sending import Pace, Pump

TICKS_A_DAY = 96


class Statements:
    """Counts what is sent to the database, transactions included."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        self.count += 1
        return execute(sql, *arguments)


def send_path(*, emails: int, mailboxes: int, in_flight: int) -> dict[str, float]:
    """Send so many emails from so many mailboxes through one pump. (Seeing them in Sent Items is a later call.)"""
    emails = make_due(emails=emails, mailboxes=mailboxes)
    statements = Statements()
    with database.execute_wrapper(statements):
        measured = send_due(in_flight=in_flight)
    if measured["sent"] != emails:
        raise RuntimeError(f"{measured['sent']} of {emails} emails left.")
    return {
        "per_second": emails / measured["seconds"],
        "cpu_ms": measured["cpu_seconds"] * 1000 / emails,
        "statements": statements.count / emails,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def make_due(*, emails: int, mailboxes: int) -> int:
    """About so many emails from new mailboxes, and nothing else, are due; returns how many."""
    now = timezone.now()
    people = population.crowd(mailboxes=mailboxes, now=now, delegated=True)
    each = max(1, emails // mailboxes)
    population.enroll(people, each=each, due_at=now - timedelta(minutes=1))
    # What a measurement before this one has sent is not looked after in this one's time, nor is anything else due.
    MailConnection.objects.exclude(organization=people.organization).update(due_at=None)
    Message.objects.filter(check_at__isnull=False).update(state="sent", check_at=None)
    return each * mailboxes


def send_due(*, in_flight: int, starts_at: float = 0.0) -> dict[str, float]:
    """Send what is due through one pump, perhaps beside others that start at the same (monotonic) time."""
    before = Message.objects.filter(state__in=["accepted", "sent"]).count()
    pace = Pace(per_minute=None, burst=8, settle_seconds=300.0, chance=random.Random(1))
    pump = Pump(pace=pace, in_flight=in_flight)
    if starts_at and (left := starts_at - time.monotonic()) > 0:
        time.sleep(left)
    elif starts_at:
        raise RuntimeError(f"This worker was ready {-left:.1f} s after the others had started.")
    cpu, started = _cpu(), time.monotonic()
    pump.run(seconds=300)
    seconds, cpu = time.monotonic() - started, _cpu() - cpu
    sent = Message.objects.filter(state__in=["accepted", "sent"]).count() - before
    return {"accepted": pump.tally.accepted, "sent": sent, "seconds": seconds, "cpu_seconds": cpu}


def a_day(*, mailboxes: int, each: int) -> dict[str, float]:
    """Pumps in one process, a quarter of an hour of the clock after each other: its memory early, and at the end."""
    started = timezone.now()
    people = population.crowd(mailboxes=mailboxes, now=started, delegated=True)
    resident = []
    for tick in range(TICKS_A_DAY):
        now = started + tick * timedelta(days=1) / TICKS_A_DAY
        population.enroll(people, each=each, due_at=now)
        Pump(pace=Pace(per_minute=None, burst=each), clock=lambda now=now: now).run(seconds=60)  # type: ignore[misc]
        resident.append(_resident_mb())
    sent = Message.objects.filter(sequence__in=people.sequences, state="sent").count()
    return {"sent": sent, "early_mb": resident[TICKS_A_DAY // 8], "late_mb": resident[-1]}


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
