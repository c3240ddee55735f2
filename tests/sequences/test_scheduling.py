"""When the next email is due: …"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sequences.scheduling import NeverOpen, Why, Window, explain, instant, next_due

BERLIN = ZoneInfo("Europe/Berlin")
# Half an hour of summer time; a whole day skipped; changes at midnight; changes on a Friday; none.
ZONES = [
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Santiago",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
    "UTC",
]
WORKDAYS = frozenset({1, 2, 3, 4, 5})


def window(
    days: frozenset[int] = WORKDAYS, start: time = time(9), end: time = time(17), zone: ZoneInfo = BERLIN
) -> Window:
    return Window(days, start, end, zone)


def berlin(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=BERLIN).astimezone(UTC)  # type: ignore[arg-type,misc]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    minutes = sorted(draw(st.lists(st.integers(0, 1439), min_size=2, max_size=2, unique=True)))
    start, end = (time(minute // 60, minute % 60) for minute in minutes)
    closed = draw(st.frozensets(st.dates(date(2010, 1, 1), date(2032, 1, 1)), max_size=5))
    days = draw(st.frozensets(st.integers(1, 7), min_size=1))
    return Window(days, start, end, ZoneInfo(draw(st.sampled_from(ZONES))), closed.__contains__)


moments = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
units = st.sampled_from(["minutes", "hours", "days", "business_days"])
times = st.none() | st.times().map(lambda clock: clock.replace(second=0, microsecond=0))


@given(windows(), moments, st.integers(0, 40), units, times)
def test_is_always_inside_the_window_and_not_before_the_delay(
    window: Window, previous: datetime, delay: int, unit: str, at_time: time | None
) -> None:
    due = next_due(previous=previous, delay=delay, unit=unit, at_time=at_time, window=window)

    assert window.is_open(due)
    assert window.obstacle(due.astimezone(window.zone).date()) is None
    assert due >= previous
    if unit in ("minutes", "hours"):
        assert due >= previous + timedelta(**{unit: delay})
    else:
        assert (due.astimezone(window.zone).date() - previous.astimezone(window.zone).date()).days >= delay


@given(windows(), moments, st.timedeltas(timedelta(0), timedelta(days=9)), st.integers(0, 9), units)
def test_is_never_earlier_after_a_later_email(
    window: Window, previous: datetime, later: timedelta, delay: int, unit: str
) -> None:
    sent = (previous, previous + later)
    # From a weekend on, the next business day begins at midnight: sooner than a day after Friday noon.
    assume(unit != "business_days" or not any(window.obstacle(each.astimezone(window.zone).date()) for each in sent))
    first, second = (next_due(previous=moment, delay=delay, unit=unit, at_time=None, window=window) for moment in sent)

    # Where clocks go back, a later moment may show an earlier time, and its "tomorrow at that time" is earlier too.
    assert first <= second + timedelta(hours=1)


@given(windows(), moments)
def test_is_the_first_open_moment(window: Window, moment: datetime) -> None:
    opening = window.next_open(moment)

    assert opening == moment or not window.is_open(opening - timedelta(microseconds=1))
    assert window.next_open(opening) == opening


@given(st.sampled_from(ZONES), st.dates(date(2010, 1, 1), date(2030, 1, 1)), st.times())
def test_reads_every_time_of_every_clock(zone: str, day: date, clock: time) -> None:
    moment = instant(day, clock, ZoneInfo(zone))
    shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

    assert shown >= datetime.combine(day, clock)
    if shown != datetime.combine(day, clock):  # a skipped time: a second before, the clock had not come to it
        before = (moment - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert before < datetime.combine(day, clock)


def test_takes_the_first_moment_after_a_skipped_hour() -> None:
    due = next_due(
        previous=berlin(2026, 3, 28, 2, 30),
        delay=1,
        unit="days",
        at_time=None,
        window=window(frozenset({7}), time(0), time(12)),
    )

    assert due == berlin(2026, 3, 29, 3, 0)


def test_takes_the_first_of_a_doubled_hour() -> None:
    assert instant(date(2026, 10, 25), time(2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_skips_the_day_that_apia_skipped() -> None:
    apia = ZoneInfo("Pacific/Apia")
    thursday = datetime(2011, 12, 29, 16, tzinfo=apia)
    everyday = Window(frozenset(range(1, 8)), time(9), time(17), apia)

    due = next_due(previous=thursday, delay=1, unit="days", at_time=None, window=everyday)

    assert due.astimezone(apia) == datetime(2011, 12, 31, 9, tzinfo=apia)


def test_keeps_the_clock_across_the_change_to_summer_time() -> None:
    due = next_due(previous=berlin(2026, 3, 27, 10), delay=3, unit="days", at_time=None, window=window())

    assert due == berlin(2026, 3, 30, 10)


@pytest.mark.parametrize(
    ("previous", "delay", "unit", "at_time", "due", "why"),
    [
        ((2026, 5, 4, 10), 90, "minutes", None, (2026, 5, 4, 11, 30), (Why.DELAY,)),
        ((2026, 5, 4, 10), 4, "hours", None, (2026, 5, 4, 14), (Why.DELAY,)),
        ((2026, 5, 4, 10), 1, "business_days", None, (2026, 5, 5, 10), (Why.DELAY,)),
        ((2026, 5, 8, 10), 1, "business_days", None, (2026, 5, 11, 10), (Why.DELAY,)),
        ((2026, 5, 8, 10), 1, "days", None, (2026, 5, 11, 9), (Why.DELAY, Why.WEEKEND)),
        ((2026, 5, 4, 16), 4, "hours", None, (2026, 5, 5, 9), (Why.DELAY, Why.WINDOW)),
        ((2026, 5, 4, 6), 0, "hours", None, (2026, 5, 4, 9), (Why.DELAY, Why.WINDOW)),
        ((2026, 5, 4, 16), 1, "business_days", time(9, 30), (2026, 5, 5, 9, 30), (Why.AT_TIME,)),
        ((2026, 5, 4, 8), 0, "business_days", time(14), (2026, 5, 4, 14), (Why.AT_TIME,)),
        ((2026, 5, 4, 16), 0, "business_days", time(14), (2026, 5, 5, 14), (Why.AT_TIME,)),
        # The hour is kept when the day is not open; a time outside the window gives way to the window.
        ((2026, 5, 8, 16), 1, "days", time(14), (2026, 5, 11, 14), (Why.AT_TIME, Why.WEEKEND)),
        ((2026, 5, 4, 16), 1, "days", time(20), (2026, 5, 6, 9), (Why.AT_TIME, Why.WINDOW)),
    ],
)
def test_explains_itself(
    previous: tuple[int, ...],
    delay: int,
    unit: str,
    at_time: time | None,
    due: tuple[int, ...],
    why: tuple[Why, ...],
) -> None:
    explained = explain(previous=berlin(*previous), delay=delay, unit=unit, at_time=at_time, window=window())

    assert explained.moment == berlin(*due)
    assert explained.why == why


def test_goes_around_holidays() -> None:
    christmas = frozenset({date(2026, 12, 24), date(2026, 12, 25)})
    closed = Window(WORKDAYS, time(9), time(17), BERLIN, christmas.__contains__)

    by_day = explain(previous=berlin(2026, 12, 23, 10), delay=1, unit="days", at_time=None, window=closed)
    by_business_day = explain(
        previous=berlin(2026, 12, 23, 10), delay=1, unit="business_days", at_time=None, window=closed
    )

    assert by_day.moment == berlin(2026, 12, 28, 9)
    assert by_day.why == (Why.DELAY, Why.HOLIDAY, Why.WEEKEND)
    assert by_business_day.moment == berlin(2026, 12, 28, 10)


def test_gives_up_after_a_year_without_an_open_day() -> None:
    closed = Window(WORKDAYS, time(9), time(17), BERLIN, lambda day: True)

    with pytest.raises(NeverOpen, match="does not open within a year"):
        closed.next_open(berlin(2026, 5, 4, 10))


def test_refuses_windows_over_midnight_and_without_days() -> None:
    with pytest.raises(ValueError, match="must end after it starts"):
        window(start=time(22), end=time(2))
    with pytest.raises(ValueError, match="at least one day"):
        window(days=frozenset())


def test_refuses_moments_without_a_zone() -> None:
    with pytest.raises(ValueError, match="needs its time zone"):
        window().is_open(datetime(2026, 5, 4, 10))  # noqa: DTZ001
