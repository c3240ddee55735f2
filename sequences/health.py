"""Is this installation well? Asked by `manage.py doctor`, answered in sentences that say what to do."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db import connection as database
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from mailconnect import clock, registration, rotation
from mailconnect.models import MailConnection
from mailconnect.registration import Finding
from sequences import alarms
from sequences.models import Heartbeat, Message

# A tick rings the bell every few seconds; a backlog of bells means that nobody takes them.
MOST_QUEUED = 200
LATE_SCHEDULE = timedelta(minutes=5)


def findings(now: datetime) -> Iterator[Finding]:
    """Every check in turn; without a database there is nothing more to ask. Talks to Microsoft."""
    try:
        yield from _database(now)
        for check in (_heartbeat, _queue, _schedules, _due_but_unsent, _looked_after, _mailboxes):
            yield check(now)
        yield _keys()
    except DatabaseError as error:
        yield Finding(False, f"The database cannot be used ({type(error).__name__}): is it running, and migrated?")
    yield from registration.findings(now.date())
    yield clock.finding(now)


def _database(now: datetime) -> Iterator[Finding]:
    plan = MigrationExecutor(database).migration_plan(MigrationExecutor(database).loader.graph.leaf_nodes())
    if plan:
        yield Finding(False, f"{len(plan)} migrations are not applied: run `manage.py migrate`.")
    else:
        yield Finding(True, f"The database ({database.vendor}) answers and is migrated.")
    if database.vendor == "sqlite":
        yield _write_ahead()
    else:
        yield _database_clock(now)


def _write_ahead() -> Finding:
    with database.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        return Finding(False, f"SQLite runs in {mode} mode: pages and workers wait for each other. Set WAL.")
    return Finding(True, "SQLite keeps a write-ahead log.")


def _database_clock(now: datetime) -> Finding:
    with database.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        off = round((timezone.now() - cursor.fetchone()[0]).total_seconds())
    if abs(off) > clock.MOST_SECONDS:
        return Finding(
            False, f"This machine's clock and the database's differ by {abs(off)} seconds: let NTP set both."
        )
    return Finding(True, "The clocks of this machine and of the database agree.")


def _heartbeat(now: datetime) -> Finding:
    beats = Heartbeat.objects.filter(beat_at__gt=now - alarms.SILENT_AFTER).count()
    if beats:
        return Finding(True, f"{beats} worker{'s' if beats > 1 else ''} running.")
    last = Heartbeat.objects.order_by("-beat_at").first()
    seen = f" The last sign of one was at {last.beat_at:%Y-%m-%d %H:%M} UTC." if last else ""
    return Finding(False, f"No worker is running, so nothing is sent: start `manage.py worker`.{seen}")


def _queue(now: datetime) -> Finding:
    waiting = OrmQ.objects.count()
    if waiting > MOST_QUEUED:
        return Finding(False, f"{waiting} tasks wait in the queue: start more workers, or look into their log.")
    return Finding(True, f"{waiting} tasks wait in the queue.")


def _schedules(now: datetime) -> Finding:
    late = Schedule.objects.filter(next_run__lt=now - LATE_SCHEDULE).exclude(repeats=0)
    names = ", ".join(sorted(schedule.name or schedule.func for schedule in late))
    if names:
        return Finding(False, f"These schedules are late: {names}. Restart the workers, and look into their log.")
    count = Schedule.objects.count()
    if not count:
        return Finding(False, "There are no schedules: start `manage.py worker`, which makes them.")
    return Finding(True, f"{count} schedules are on time.")


def _due_but_unsent(now: datetime) -> Finding:
    found = alarms.overdue(now)
    if not found:
        return Finding(True, "Nothing that is due waits for longer than it should.")
    worst = min(found, key=lambda one: one.since)
    minutes = int((now - worst.since).total_seconds() // 60)
    return Finding(
        False,
        f"{len(found)} sequences have emails that are due and do not leave, for {minutes} minutes. {worst.sentence}",
    )


def _looked_after(now: datetime) -> Finding:
    """An email under way whose time to be looked at has long passed has no one to look at it."""
    late = Message.objects.filter(
        check_at__lt=now - alarms.OVERDUE_AFTER, connection__state=MailConnection.State.CONNECTED
    )
    held = late.filter(connection__held_until__gt=now).count()
    forgotten = late.count() - held
    if forgotten:
        return Finding(False, f"{forgotten} emails under way are not looked after: is a worker running?")
    return Finding(True, "Every email under way is looked after.")


def _mailboxes(now: datetime) -> Finding:
    waiting = MailConnection.objects.filter(state=MailConnection.State.RECONNECT).count()
    connected = MailConnection.objects.connected().count()
    if waiting:
        return Finding(True, f"{connected} mailboxes are connected; {waiting} wait for their owners to sign in again.")
    return Finding(True, f"{connected} mailboxes are connected.")


def _keys() -> Finding:
    lost = rotation.unreadable()
    if lost:
        return Finding(False, f"{lost} stored tokens cannot be read: is a key missing from FERNET_KEYS?")
    return Finding(True, "All stored tokens can be read.")
