"""`manage.py doctor` says in sentences what is wrong, and ends with 1 if anything is."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection as database
from django_q.models import OrmQ, Schedule
from pytest_django.fixtures import Settings

from accounts.models import User
from mailconnect import clock
from mailconnect.models import TokenCache
from sequences import health
from sequences.models import Heartbeat
from tests.mailconnect.owning import connected
from tests.sandbox_tenant import SandboxTenant


@pytest.fixture
def well(db: None, now: datetime, tenant: SandboxTenant) -> None:
    """Everything is as it should be."""
    Heartbeat.objects.create(name="worker", beat_at=now)
    Schedule.objects.create(name="tick", func="sequences.tasks.tick", next_run=now + timedelta(minutes=1))


def diagnosis() -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("doctor", stdout=out, no_color=True)
    except SystemExit as end:
        return out.getvalue(), int(str(end.code))
    return out.getvalue(), 0


def problems(text: str) -> list[str]:
    return [line.removeprefix("PROBLEM  ") for line in text.splitlines() if line.startswith("PROBLEM")]


@pytest.mark.usefixtures("well")
def test_finds_nothing_where_all_is_well() -> None:
    text, code = diagnosis()

    assert problems(text) == []
    assert code == 0


@pytest.mark.usefixtures("well")
def test_misses_the_workers() -> None:
    Heartbeat.objects.update(beat_at=datetime(2026, 1, 1, tzinfo=UTC))

    text, code = diagnosis()

    assert problems(text) == [
        "No worker is running, so nothing is sent: start `manage.py worker`. "
        "The last sign of one was at 2026-01-01 00:00 UTC."
    ]
    assert code == 1


@pytest.mark.usefixtures("well")
def test_sees_a_backlog_and_a_late_schedule(now: datetime) -> None:
    Schedule.objects.update(next_run=now - timedelta(hours=1))
    OrmQ.objects.bulk_create(OrmQ(key="outreach", payload="", lock=now) for _ in range(201))

    text, _ = diagnosis()

    assert [problem.split(":")[0] for problem in problems(text)] == [
        "201 tasks wait in the queue",
        "These schedules are late",
    ]


@pytest.mark.usefixtures("well")
def test_sees_tokens_that_no_key_reads(alice: User, now: datetime, settings: Settings) -> None:
    connected(alice, now)
    with database.cursor() as cursor:
        cursor.execute("UPDATE mailconnect_tokencache SET envelope = %s", [b"not ours"])

    text, _ = diagnosis()

    assert TokenCache.objects.count() == 1
    assert problems(text) == ["1 stored tokens cannot be read: is a key missing from FERNET_KEYS?"]


@pytest.mark.usefixtures("well")
def test_says_when_microsoft_cannot_be_reached(settings: Settings) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:9"

    text, code = diagnosis()

    assert any("cannot be reached" in problem for problem in problems(text))
    assert code == 1


@pytest.mark.parametrize(
    ("date", "complaint"),
    [
        ("Tue, 24 Nov 2026 12:00:30 GMT", ""),
        ("Tue, 24 Nov 2026 13:00:00 GMT", "3600 seconds behind"),
        ("Tue, 24 Nov 2026 11:00:00 GMT", "3600 seconds ahead of"),
        (None, ""),
    ],
)
def test_compares_the_clock_with_microsofts(date: str | None, complaint: str) -> None:
    finding = clock.compare(datetime(2026, 11, 24, 12, 0, tzinfo=UTC), date)

    assert finding.good is not bool(complaint)
    assert complaint in finding.text


def test_says_that_there_is_no_database(monkeypatch: pytest.MonkeyPatch, now: datetime, db: None) -> None:
    with database.cursor() as cursor:
        cursor.execute("ALTER TABLE sequences_heartbeat RENAME TO gone")

    texts = [finding.text for finding in health.findings(now) if not finding.good]

    assert any(text.startswith("The database cannot be used") for text in texts)
