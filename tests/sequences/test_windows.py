"""The window of an email: …"""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Organization
from mailconnect.models import MailConnection
from sequences.models import Sequence
from sequences.scheduling import Window
from sequences.windows import window_for

WORKDAYS = frozenset({1, 2, 3, 4, 5})


def window(
    sequence: Sequence | None = None,
    connection: MailConnection | None = None,
    organization: Organization | None = None,
    candidate_zone: str = "",
) -> Window:
    return window_for(
        sequence=sequence or Sequence(),
        connection=connection,
        organization=organization or Organization(time_zone="Europe/Berlin"),
        candidate_zone=candidate_zone,
    )


def hours_of(window: Window) -> tuple[frozenset[int], time, time]:
    return window.days, window.start, window.end


MAILBOX = MailConnection(
    time_zone="America/New_York", working_days="1234", working_from=time(8), working_until=time(16, 30)
)


def test_is_the_usual_week_in_the_zone_of_the_organization_when_nothing_is_said() -> None:
    assert hours_of(window()) == (WORKDAYS, time(9), time(17))
    assert window().zone == ZoneInfo("Europe/Berlin")


def test_is_inherited_from_the_mailbox() -> None:
    inherited = window(connection=MAILBOX)

    assert hours_of(inherited) == (frozenset({1, 2, 3, 4}), time(8), time(16, 30))
    assert inherited.zone == ZoneInfo("America/New_York")


def test_is_the_one_of_the_sequence_where_that_has_one() -> None:
    sequence = Sequence(
        time_zone="Asia/Tokyo", window_days="67", window_from=time(10), window_until=time(11), in_candidate_time=False
    )

    own = window(sequence, MAILBOX, candidate_zone="Europe/Paris")

    assert hours_of(own) == (frozenset({6, 7}), time(10), time(11))
    assert own.zone == ZoneInfo("Asia/Tokyo")


def test_is_in_the_candidates_time_where_it_is_known() -> None:
    assert window(connection=MAILBOX, candidate_zone="Europe/Paris").zone == ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    "unknown", ["Mars/Olympus", "Europe", "../etc/passwd", "W. Europe Standard Time", "\0", "a" * 64]
)
def test_passes_over_unknown_zones(unknown: str) -> None:
    assert window(connection=MAILBOX, candidate_zone=unknown).zone == ZoneInfo("America/New_York")


def test_does_not_follow_a_night_shift() -> None:
    nights = MailConnection(working_days="12345", working_from=time(22), working_until=time(6))

    assert hours_of(window(connection=nights)) == (WORKDAYS, time(9), time(17))


def test_closes_on_the_public_holidays_of_the_country() -> None:
    unity_day = datetime(2025, 10, 3, 10, tzinfo=UTC)
    german = window(organization=Organization(time_zone="Europe/Berlin", holiday_country="DE"))

    assert window().is_open(unity_day)
    assert not german.is_open(unity_day)
    assert german.next_open(unity_day).date() == date(2025, 10, 6)


def test_ignores_a_country_without_known_holidays() -> None:
    assert window(organization=Organization(holiday_country="XX")).is_open(datetime(2025, 12, 25, 10, tzinfo=UTC))
