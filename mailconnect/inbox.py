"""The one door in: what has come into a mailbox since the last look, one email after the other.

Polled by delta in the inbox and in junk, and now and then in all other folders. Of mail that does not concern us no
text is read and nothing is kept: a listing and the headers tell whether it answers one of our emails, and only then
its reader asks for more.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import Error as DatabaseError
from django.db.models import F, Q
from inscriptis import get_text

from mailconnect import reading
from mailconnect.microsoft.errors import MicrosoftError, Refused, Throttled
from mailconnect.microsoft.graph import Arrival, GraphClient, Opened
from mailconnect.models import InboxCursor, MailConnection

# Replies of strangers land in Junk more often than others.
FOLDERS = {"inbox": "inbox_link", "junkemail": "junk_link"}
OUTGOING = ("sentitems", "drafts")  # also what its owner sends from another address
EVERY = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=1)
# Longer than the slowest look: so many pages of 50 emails in each folder, each email with a call for its headers.
PAGES_PER_LOOK = 2
CLAIM = timedelta(minutes=10)
# A person's own rules move emails elsewhere as they come: so now and then the whole mailbox is asked.
SWEEP_EVERY = timedelta(minutes=30)
PAGES_PER_SWEEP = 4  # of 100
# After a lost cursor the last look is repeated with so much overlap: clocks differ, and delivery takes its time.
OVERLAP = timedelta(days=1)
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, repr=False)
class Letter:
    """An email that came in. Its text and its MIME are fetched when asked for."""

    internet_message_id: str
    conversation_id: str
    from_address: str  # in lower case
    subject: str
    received_at: datetime
    item_class: str  # for example IPM.Note
    headers: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]  # Message-IDs that it refers to, the nearest first
    read_text: Callable[[], str]  # only what is new in it, without the quoted email
    read_mime: Callable[[], bytes]

    def header(self, name: str) -> str:
        """The first header of this name, in any case; empty where there is none."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")


Take = Callable[[Letter], object]


def look(connection_id: int, *, since: datetime, now: datetime, take: Take) -> bool:
    """Hand each email that came in since the last look (at first: since `since`) to `take`, outside any transaction.

    An email may be handed over twice: after a crash, or when it was moved. False: another worker is looking, it is
    too early, or Microsoft did not answer; then the next look comes later, and nothing is lost.
    """
    if not _claim(connection_id, now):
        return False
    cursor = InboxCursor.objects.select_related("connection").get(pk=connection_id)
    since = max(since, cursor.read_until - OVERLAP) if cursor.read_until else since
    row = InboxCursor.objects.filter(pk=connection_id, claimed_until=cursor.claimed_until)
    try:
        drained = reading.ask(connection_id, partial(_read, cursor=cursor, since=since, now=now, take=take))
    except MicrosoftError as failure:
        pause = _pause(failure, cursor.failures)
        # An unfinished sweep begins anew: it may be its link that Microsoft no longer takes.
        row.update(claimed_until=None, due_at=now + pause, failures=F("failures") + 1, sweep_link="")
        return False
    except BaseException:
        row.update(claimed_until=None, due_at=now + EVERY)
        raise
    if drained:
        row.update(claimed_until=None, due_at=now + EVERY, failures=0, read_until=now)
    else:
        row.update(claimed_until=None, due_at=now, failures=0)
    return True


def _claim(connection_id: int, now: datetime) -> bool:
    InboxCursor.objects.bulk_create([InboxCursor(connection_id=connection_id, due_at=now)], ignore_conflicts=True)
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    return bool(InboxCursor.objects.filter(free, pk=connection_id, due_at__lte=now).update(claimed_until=now + CLAIM))


def _pause(failure: MicrosoftError, failures: int) -> timedelta:
    """Twice as long with each failure in a row, and never less than Microsoft asks for."""
    asked = timedelta(seconds=failure.delay) if isinstance(failure, Throttled) else EVERY
    longer: timedelta = EVERY * 2 ** min(failures, 10)
    return max(asked, min(longer, LONGEST_PAUSE))


def _read(graph: GraphClient, *, cursor: InboxCursor, since: datetime, now: datetime, take: Take) -> bool:
    """True when the watched folders are read to their end."""
    drained = [_read_folder(graph, folder, cursor, since, take) for folder in FOLDERS]
    if cursor.sweep_link or cursor.swept_until is None or cursor.swept_until <= now - SWEEP_EVERY:
        _sweep(graph, cursor, since, now, take)
    return all(drained)


def _sweep(graph: GraphClient, cursor: InboxCursor, since: datetime, now: datetime, take: Take) -> None:
    """What came into any other folder; with some overlap, since a rule may move an email late."""
    passed_over = {graph.folder_id(folder) for folder in (*FOLDERS, *OUTGOING)}
    since = max(since, cursor.swept_until - SWEEP_EVERY) if cursor.swept_until else since
    for _ in range(PAGES_PER_SWEEP):
        page = graph.arrivals_anywhere(since=since, link=cursor.sweep_link)
        for arrival in page.arrivals:
            if arrival.folder_id not in passed_over:
                _hand_over(graph, arrival, cursor.connection, take)
        cursor.sweep_link = page.link
        if page.is_last:
            cursor.swept_until = now
            break
    cursor.save(update_fields=["sweep_link", "swept_until"])


def _read_folder(graph: GraphClient, folder: str, cursor: InboxCursor, since: datetime, take: Take) -> bool:
    """Page by page; the place is kept after each, so that a crash repeats one page at most."""
    place = FOLDERS[folder]
    for _ in range(PAGES_PER_LOOK):
        try:
            page = graph.arrivals(folder, since=since, link=getattr(cursor, place))
        except Refused as refusal:
            if refusal.status != 410:
                raise
            page = graph.arrivals(folder, since=since)  # Microsoft has forgotten our place
        for arrival in page.arrivals:
            _hand_over(graph, arrival, cursor.connection, take)
        setattr(cursor, place, page.link)
        cursor.save(update_fields=[place])
        if page.is_last:
            return True
    return False


def _hand_over(graph: GraphClient, arrival: Arrival, connection: MailConnection, take: Take) -> None:
    if arrival.is_meeting or arrival.from_address == connection.address.lower():
        return
    try:
        take(_letter(graph, arrival, graph.opened(arrival.id)))
    except Refused as refusal:
        if refusal.status != 404:  # deleted since, or moved: where it went, it is new
            raise
    except (MicrosoftError, DatabaseError):
        raise
    except Exception:
        # One email that we cannot read must not stop all that come after it.
        logger.exception("An email that came into mailbox %s could not be read.", connection.pk)


def _letter(graph: GraphClient, arrival: Arrival, opened: Opened) -> Letter:
    named = {name.lower(): value for name, value in opened.headers}
    answers = _MESSAGE_ID.findall(named.get("in-reply-to", "") or opened.in_reply_to)
    # The nearest is the last in References.
    answers += reversed(_MESSAGE_ID.findall(named.get("references", "") or opened.references))
    return Letter(
        internet_message_id=arrival.internet_message_id,
        conversation_id=arrival.conversation_id,
        from_address=arrival.from_address,
        subject=arrival.subject,
        received_at=arrival.received_at,
        item_class=opened.item_class,
        headers=opened.headers,
        answers=tuple(dict.fromkeys(answers)),
        read_text=lambda: get_text(graph.new_part(arrival.id)),
        read_mime=lambda: graph.mime(arrival.id),
    )
