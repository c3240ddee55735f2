"""What is due and does not leave is told, with its reason; what waits by somebody's rule is not."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import Notification, User
from mailconnect.models import MailConnection
from sequences import alarms
from sequences.models import Candidate, Enrollment, Heartbeat, Sequence, Step
from tests.mailconnect.owning import connected

TUESDAY_NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SATURDAY_NOON = TUESDAY_NOON + timedelta(days=4)


def working(now: datetime) -> None:
    Heartbeat.objects.create(name="worker", beat_at=now)


@pytest.fixture
def due() -> Callable[..., Enrollment]:
    def make(owner: User, *, now: datetime, minutes: int = 30, **mailbox: object) -> Enrollment:
        connection = connected(owner, now)
        MailConnection.objects.filter(pk=connection.pk).update(**mailbox)
        sequence = Sequence.objects.create(
            organization=owner.organization,
            owner=owner,
            name="Engineers",
            connection=connection,
            state=Sequence.State.ACTIVE,
        )
        Step.objects.create(sequence=sequence, position=1, subject="Hello", body="<p>Hello</p>")
        candidate = Candidate.objects.create(organization=owner.organization, email="kim@candidates.example")
        return Enrollment.objects.create(
            sequence=sequence,
            candidate=candidate,
            connection=connection,
            enrolled_by=owner,
            due_at=now - timedelta(minutes=minutes),
        )

    return make


def reasons(now: datetime) -> list[str]:
    return [one.reason for one in alarms.overdue(now)]


def test_says_that_no_worker_is_running(alice: User, due: Callable[..., Enrollment]) -> None:
    due(alice, now=TUESDAY_NOON)

    assert reasons(TUESDAY_NOON) == ["no_worker"]


def test_says_that_a_worker_does_not_send_them(alice: User, due: Callable[..., Enrollment]) -> None:
    due(alice, now=TUESDAY_NOON)
    working(TUESDAY_NOON)

    assert reasons(TUESDAY_NOON) == ["unexplained"]


def test_says_that_microsoft_slows_the_mailbox_down(alice: User, due: Callable[..., Enrollment]) -> None:
    later = TUESDAY_NOON + timedelta(minutes=5)
    due(alice, now=TUESDAY_NOON, held_until=later, held_reason="throttled")
    working(TUESDAY_NOON)

    assert reasons(TUESDAY_NOON) == ["throttled"]


@pytest.mark.parametrize("reason", sorted(alarms.BY_RULE))
def test_leaves_alone_what_waits_by_rule(alice: User, due: Callable[..., Enrollment], reason: str) -> None:
    due(alice, now=TUESDAY_NOON, held_until=TUESDAY_NOON + timedelta(hours=1), held_reason=reason)
    working(TUESDAY_NOON)

    assert reasons(TUESDAY_NOON) == []


@pytest.mark.parametrize(
    ("now", "minutes"), [(SATURDAY_NOON, 30), (TUESDAY_NOON, 5)], ids=["window closed", "not late yet"]
)
def test_waits_for_the_window_and_for_ten_minutes(
    alice: User, due: Callable[..., Enrollment], now: datetime, minutes: int
) -> None:
    due(alice, now=now, minutes=minutes)

    assert reasons(now) == []


def test_tells_the_owner_once_the_staff_and_the_log(
    alice: User, ada: User, due: Callable[..., Enrollment], caplog: pytest.LogCaptureFixture
) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    enrollment = due(alice, now=TUESDAY_NOON)

    with caplog.at_level(logging.INFO, "sequences.alarms"):
        alarms.raise_alarms(TUESDAY_NOON)
        alarms.raise_alarms(TUESDAY_NOON + timedelta(minutes=1))

    told = Notification.objects.filter(kind="overdue").order_by("user")
    assert [(one.user, one.title) for one in told] == [
        (alice, "Emails of “Engineers” are late"),
        (ada, "Emails are due and do not leave"),
    ]
    assert "No worker is running" in told[0].text
    assert f"due_but_unsent sequence={enrollment.sequence_id}" in caplog.text
    assert "metric due_but_unsent=1" in caplog.text
    assert "@" not in caplog.text
