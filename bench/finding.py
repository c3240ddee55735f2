"""Finding work: the next 500 emails, from 125 mailboxes in turn, however much waits."""

import statistics
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
from bench import population
from mailconnect import queue
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Sequence
from sequences.sending import picking
from sequences.sending.letters import Mailbox

MAILBOXES = 1000
AT_ONCE = 125
EACH = 4
LEASES_LAST = 3600  # while this measures


def prepare(*, enrollments: int) -> int:
    """So many enrollments in all, over 1,000 mailboxes; returns how many there are."""
    now = timezone.now() - timedelta(hours=1)
    first = Sequence.objects.order_by("pk").first()
    if first:
        sequences = list(Sequence.objects.filter(organization=first.organization_id).order_by("pk"))
        people = population.Crowd(sequences[0].organization, [], [], sequences)
    else:
        people = population.crowd(mailboxes=MAILBOXES, now=now, tokens=False)
    missing = enrollments - Enrollment.objects.count()
    if missing > 0:
        population.enroll_millions(people, total=missing, due_at=now)
    return Enrollment.objects.count()


def backlog(*, enrollments: int) -> int:
    """One mailbox has so many waiting."""
    first = Sequence.objects.select_related("organization").order_by("pk")[0]
    people = population.Crowd(first.organization, [], [], [first])
    population.enroll_millions(people, total=enrollments, due_at=timezone.now() - timedelta(hours=2), only=first)
    return Enrollment.objects.filter(connection=first.connection_id).count()


def find(*, rounds: int = 25) -> dict[str, float]:
    """Milliseconds for 500 emails found; and the most of one mailbox among them."""
    queue.LEASE_SECONDS = LEASES_LAST
    queue.begin_session()
    memory = picking.Memory()
    times: list[float] = []
    shares: list[int] = []
    found = 0
    for _ in range(rounds):
        everybody_due()
        now = timezone.now()
        started = time.perf_counter()
        mailboxes = picking.lease_mailboxes(uuid4(), memory, now=now, limit=AT_ONCE)
        places = picking.due_places([mailbox.id for mailbox in mailboxes], now=now, limit=EACH)
        times.append((time.perf_counter() - started) * 1000)
        counts = [sum(map(len, sequences.values())) for sequences in places.values()]
        found, shares = sum(counts), [*shares, max(counts, default=0)]
    return {"ms": statistics.median(times), "p95_ms": sorted(times)[-2], "found": found, "most_of_one": max(shares)}


def claim(*, seconds: float) -> dict[str, Any]:
    """One of several claimers: lease, find, release, as fast as it goes. Returns the leases it got."""
    queue.begin_session()
    memory = picking.Memory()
    owner, leases, found = uuid4(), [], 0
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        now = timezone.now()
        mailboxes = picking.lease_mailboxes(owner, memory, now=now, limit=AT_ONCE)
        places = picking.due_places([mailbox.id for mailbox in mailboxes], now=now, limit=EACH)
        found += sum(len(ids) for sequences in places.values() for ids in sequences.values())
        leases += [[mailbox.id, mailbox.lease.epoch] for mailbox in mailboxes]
        _release(mailboxes, now)
    return {"leases": leases, "found": found, "seconds": seconds}


def _release(mailboxes: list[Mailbox], now: datetime) -> None:
    """Due again at once."""
    rows = [
        queue.Release(lease=mailbox.lease, due_at=now, held_until=None, held_reason="", failures=0)
        for mailbox in mailboxes
    ]
    with transaction.atomic():
        queue.fence([mailbox.lease for mailbox in mailboxes])
        queue.release(rows)


def everybody_due() -> None:
    """All mailboxes that `prepare` has made; those that are due already are left as they are."""
    now = timezone.now()
    everybody = MailConnection.objects.filter(organization=Organization.objects.order_by("pk")[0])
    resting = everybody.exclude(lease_owner=None, due_at__lte=now)
    resting.update(lease_owner=None, lease_until=None, due_at=now - timedelta(minutes=1))


def vacuum() -> None:
    """What autovacuum and checkpoints do when nobody hurries them."""
    with database.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if database.vendor == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)")
