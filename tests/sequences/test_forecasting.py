"""The dry run …"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from mailconnect.models import MailConnection
from sequences import activating
from sequences.forecasting import IN_LINE, OVER_LIMIT, WORDS, Forecast, forecast
from sequences.models import Enrollment, Sequence, Step, Suppression
from sequences.planning import due_for
from sequences.scheduling import Why
from tests.mailconnect.owning import connected
from tests.sequences.making import LONG_AGO, add_step, enrolled, sequence_of

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)  # ten in Berlin


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    mailbox = connected(alice, MONDAY)
    MailConnection.objects.update(spacing_seconds=0)
    mailbox.refresh_from_db()
    return mailbox


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    return sequence_of(alice, mailbox, steps=2)


def dry_run(sequence: Sequence, now: datetime = MONDAY) -> Forecast:
    fresh = Sequence.objects.select_related("organization", "owner", "connection__owner").get(pk=sequence.pk)
    return forecast(sequence=fresh, now=now)


def moments(found: Forecast) -> list[datetime]:
    return [email.moment for email in found.emails]


steps = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sampled_from(["minutes", "hours", "days", "business_days"]),
        st.none() | st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    ),
    min_size=1,
    max_size=4,
)
windows = st.tuples(
    st.frozensets(st.integers(1, 7), min_size=1).map(lambda days: "".join(map(str, sorted(days)))),
    st.integers(0, 11).map(time),
    st.integers(12, 23).map(time),
)
ZONES = ["", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=steps,
    window=windows,
    zone=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_tells_the_times_that_are_planned_later(
    alice: User,
    mailbox: MailConnection,
    steps: list[tuple[int, str, time | None]],
    window: tuple[str, time, time],
    zone: str,
    now: datetime,
) -> None:
    Sequence.objects.update(state=Sequence.State.PAUSED)  # the example before is not in the way
    days, start, end = window
    sequence = sequence_of(alice, mailbox, steps=0, window_days=days, window_from=start, window_until=end)
    for position, (delay, unit, at_time) in enumerate(steps, start=1):
        add_step(sequence, position, delay=delay, delay_unit=unit, at_time=at_time)
    (enrollment,) = enrolled(sequence, time_zone=zone)

    told = moments(dry_run(sequence, now))
    activating.start(sequence=sequence, actor=alice, now=now)

    enrollment.refresh_from_db()
    assert told[0] == enrollment.due_at
    assert told == follow(sequence, zone, told[0])
    assert moments(dry_run(sequence, now)) == told


def follow(sequence: Sequence, zone: str, first: datetime) -> list[datetime]:
    """As the pump plans the next step when one has left."""
    row = Sequence.objects.select_related("organization", "connection").get(pk=sequence.pk)
    times = [first]
    for step in row.steps.select_related("connection").filter(position__gt=1):
        times.append(due_for(step=step, sequence=row, candidate_zone=zone, previous=times[-1]).moment)
    return times


def test_keeps_the_distance_of_the_mailbox(sequence: Sequence) -> None:
    MailConnection.objects.update(spacing_seconds=80)
    sequence.steps.filter(position=2).delete()
    enrolled(sequence, 3)

    found = dry_run(sequence)

    # A distance is up to a quarter longer; the forecast takes the middle.
    assert moments(found) == [MONDAY, MONDAY + timedelta(seconds=90), MONDAY + timedelta(seconds=180)]
    assert found.emails[0].why == ("at once",)
    assert found.emails[1].why == ("at once", IN_LINE)


def test_says_why_then(sequence: Sequence) -> None:
    sequence.steps.filter(position=1).update(at_time=time(14), delay_unit="days")
    sequence.steps.filter(position=2).update(delay=5, delay_unit="days")
    enrolled(sequence)

    first, second = dry_run(sequence).emails

    assert first.why == ("at once, not before 14:00",)
    assert second.why == ("5 days after step 1", WORDS[Why.WEEKEND])


def test_keeps_the_daily_limit_and_counts_what_was_sent_today(sequence: Sequence, mailbox: MailConnection) -> None:
    MailConnection.objects.update(daily_limit=3, sent_on=MONDAY.date(), sent_count=1)
    sequence.steps.filter(position=2).delete()
    enrolled(sequence, 8)

    found = dry_run(sequence)

    assert [number for _, number, _ in found.bars()] == [2, 3, 3]
    assert found.total == 8
    assert [percent for _, _, percent in found.bars()] == [67, 100, 100]
    assert OVER_LIMIT in found.emails[2].why
    assert found.emails[2].moment.hour == 9


def test_begins_when_the_mailbox_is_free_and_its_owner_back(sequence: Sequence) -> None:
    enrolled(sequence)
    back = datetime(2026, 5, 11, 8, tzinfo=UTC)

    MailConnection.objects.update(held_until=MONDAY + timedelta(minutes=30))
    held = moments(dry_run(sequence))[0]
    MailConnection.objects.update(automatic_replies="scheduled", away_from=MONDAY - timedelta(days=1), away_until=back)
    away = moments(dry_run(sequence))[0]

    assert (held, away) == (MONDAY + timedelta(minutes=30), back)


def test_waits_in_turn_with_other_sequences(sequence: Sequence, alice: User, mailbox: MailConnection) -> None:
    MailConnection.objects.update(spacing_seconds=80)
    sequence.steps.filter(position=2).delete()
    enrolled(sequence, 2)
    other = sequence_of(alice, mailbox, state=Sequence.State.ACTIVE, activated_at=LONG_AGO)
    enrolled(other, 10, due_at=MONDAY - timedelta(hours=1))

    found = dry_run(sequence)

    assert found.others == 10
    first, second = moments(found)
    assert second - first == timedelta(seconds=180)  # one of the other sequence in between


def test_uses_each_candidates_own_clock(sequence: Sequence) -> None:
    enrolled(sequence, time_zone="Asia/Tokyo")
    enrolled(sequence, time_zone="America/New_York")

    found = dry_run(sequence)

    by_zone = {email.zone: email.when for email in found.emails if email.step.position == 1}
    assert by_zone == {"Asia/Tokyo": "Tue 5 May 2026, 09:00", "America/New_York": "Mon 4 May 2026, 09:00"}


def test_counts_by_the_mailboxes_day_as_the_daily_limit_does(sequence: Sequence) -> None:
    sequence.steps.filter(position=2).delete()
    enrolled(sequence, time_zone="Pacific/Auckland")

    found = dry_run(sequence)

    assert found.emails[0].when == "Tue 5 May 2026, 09:00"  # 23:00 on Monday in Berlin
    assert [day for day, _, _ in found.bars()] == [MONDAY.date()]


def test_lists_those_who_lack_a_value_without_stopping_the_others(sequence: Sequence) -> None:
    sequence.steps.filter(position=2).update(body="{{ city }}")
    sequence.steps.filter(position=1).update(
        body='{{ company | default: "x" }}{% if role_title %}{{ role_title }}{% endif %}'
    )
    enrolled(sequence, fields={"city": "Bonn"})
    (incomplete,) = enrolled(sequence, first_name="Zoë")

    found = dry_run(sequence)

    assert found.total == 3
    assert [(held.candidate, held.step.position, held.token) for held in found.incomplete] == [
        (incomplete.candidate, 2, "city")
    ]


def test_leaves_out_whom_nothing_is_sent_to(sequence: Sequence, alice: User) -> None:
    suppressed, _ = enrolled(sequence, 2)
    Suppression.objects.create(organization=alice.organization, email=suppressed.candidate.email.upper())

    found = dry_run(sequence)

    assert (found.total, found.suppressed_total) == (2, 1)
    assert found.suppressed == [suppressed.candidate]


def test_tells_of_what_is_held_stopped_or_finished_nothing(sequence: Sequence) -> None:
    enrolled(sequence, state="held", reason="missing_value")
    enrolled(sequence, state="stopped", reason="replied")
    enrolled(sequence, state="finished")

    assert dry_run(sequence).total == 0


def test_goes_on_from_the_next_step(sequence: Sequence) -> None:
    enrolled(sequence, next_position=2, last_sent_at=MONDAY)

    found = dry_run(sequence, MONDAY + timedelta(hours=1))

    assert [email.step.position for email in found.emails] == [2]
    assert moments(found) == [MONDAY + timedelta(days=1)]


def test_changes_nothing(sequence: Sequence) -> None:
    enrolled(sequence, 3)
    before = [*Sequence.objects.values(), *Enrollment.objects.values(), *MailConnection.objects.values()]

    dry_run(sequence)

    assert [*Sequence.objects.values(), *Enrollment.objects.values(), *MailConnection.objects.values()] == before


def test_shows_the_first_and_counts_the_rest(sequence: Sequence) -> None:
    enrolled(sequence, 60)

    found = dry_run(sequence)

    assert (len(found.emails), found.total) == (50, 120)


def test_tells_the_first_and_the_last_by_one_clock(
    sequence: Sequence, alice: User, client_of: Callable[[User], Client]
) -> None:
    enrolled(sequence, time_zone="Asia/Tokyo")
    enrolled(sequence, time_zone="America/New_York")
    Sequence.objects.update(in_candidate_time=True)
    found = dry_run(sequence)
    assert found.first is not None
    assert found.last is not None
    assert found.first < found.last

    page = client_of(alice).get(reverse("sequences:dry_run", args=[sequence.pk])).content.decode()

    words = " ".join(re.sub("<[^>]+>", "", page).split())
    first, last = re.search(r"the first on (.+?) and the last on (.+?), unless", words).groups()  # type: ignore[union-attr]
    assert first.split()[-1] == last.split()[-1]  # the zone's name


def test_asks_as_often_for_many_as_for_few(sequence: Sequence) -> None:
    counts = []
    for number in (1, 50):
        enrolled(sequence, number)
        with CaptureQueriesContext(database) as captured:
            dry_run(sequence)
        counts.append(len(captured))

    assert counts[0] == counts[1]


def test_is_shown_with_why_and_what_is_missing(
    sequence: Sequence, alice: User, client_of: Callable[[User], Client]
) -> None:
    Step.objects.filter(sequence=sequence, position=2).update(body="{{ company }}")
    enrolled(sequence, first_name="Zoë")

    page = client_of(alice).get(reverse("sequences:dry_run", args=[sequence.pk])).content.decode()

    assert "1 email would leave if the sequence started now" in page
    assert "Planning the time" not in page  # it is not taken for started
    assert ">Activate</button>" in page
    assert "at once" in page
    assert "Zoë, step 2: no value for <code>company</code>" in page
    assert "Mon–Fri, 09:00–17:00, Europe/Berlin" in page
