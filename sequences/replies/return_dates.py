"""When is the person back? Read from an automatic reply in English or German. Pure."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

# Further ahead is no absence but a misread date, or somebody who has left.
LONGEST_ABSENCE = timedelta(days=60)

# By their first three letters, in either language.
_MONTHS = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
}
_MONTHS |= {"mär": 3, "mrz": 3, "mae": 3, "mai": 5, "okt": 10, "dec": 12, "dez": 12}
_MONTH = (
    r"(jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|mär(?:z)?|mrz|maerz|apr(?:il)?|may|mai|june?|juni|july?|juli"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|okt(?:ober)?|nov(?:ember)?|dec(?:ember)?|dez(?:ember)?)\b\.?"
)
_YEAR = r"(?:,?\s*(20\d\d|\d\d)(?![\d:.]))?"
_DAY_FIRST = re.compile(rf"(?<![\d.:])(\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH}{_YEAR}")
_MONTH_FIRST = re.compile(rf"\b{_MONTH}\s+(\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]){_YEAR}")
_DOTTED = re.compile(r"(?<![\d.:])(\d{1,2})\.\s?(\d{1,2})\.(?:\s?(20\d\d|\d\d)(?![\d:]))?")
_SLASHED = re.compile(r"(?<![\d/.])(\d{1,2})/(\d{1,2})(?:/(20\d\d|\d\d))?(?![\d/])")
_ISO = re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)")
_WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_WEEKDAYS |= {"mo": 0, "di": 1, "mi": 2, "do": 3, "fr": 4, "sa": 5, "so": 6}
_BACK_ON_WEEKDAY = re.compile(
    r"(?:back|return\w*|until|wieder|zurück|zurueck|bis|ab)\b[^.!?\n]{0,40}?\b"
    r"((?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch)\b"
)


def back_after(text: str, today: date) -> date | None:
    """The last day that the text names as ahead of `today`: on it, or the day before, the person returns.

    A start of the absence is a date too, so the latest counts; and who writes on the day after it is never too early.
    None where no date within 60 days is named.
    """
    text = text.lower()
    ahead = [day for day in _dates(text, today) if today < day <= today + LONGEST_ABSENCE]
    return max(ahead, default=None) or _weekday(text, today)


def _dates(text: str, today: date) -> Iterator[date]:
    for found in _DAY_FIRST.finditer(text):
        yield from _date(found[3], _month(found[2]), int(found[1]), today)
    for found in _MONTH_FIRST.finditer(text):
        yield from _date(found[3], _month(found[1]), int(found[2]), today)
    for found in _DOTTED.finditer(text):
        yield from _date(found[3], int(found[2]), int(found[1]), today)
    for found in _SLASHED.finditer(text):  # day and month either way round: nobody can tell, so the later counts
        yield from _date(found[3], int(found[2]), int(found[1]), today)
        yield from _date(found[3], int(found[1]), int(found[2]), today)
    for found in _ISO.finditer(text):
        yield from _date(found[1], int(found[2]), int(found[3]), today)


def _date(year: str | None, month: int, day: int, today: date) -> Iterator[date]:
    """A date without a year is the next such day."""
    years = [int(year) % 100 + 2000] if year else [today.year, today.year + 1]
    for each in years:
        try:
            yield date(each, month, day)
        except ValueError:  # the 31st of November
            continue


def _month(name: str) -> int:
    return _MONTHS[name[:3]]


def _weekday(text: str, today: date) -> date | None:
    found = _BACK_ON_WEEKDAY.search(text)
    if not found:
        return None
    name = found[1]
    number = _WEEKDAYS[name[:3]] if name.endswith("day") else _WEEKDAYS[name[:2]]
    return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
