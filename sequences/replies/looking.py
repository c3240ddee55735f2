"""Look into the mailboxes that we lately sent from, and take in what answers our emails."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from django.db import connections, transaction
from django.db.models import Exists, F, Min, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from accounts.notifying import notify
from mailconnect import inbox, queue
from mailconnect.inbox import Letter
from mailconnect.models import MailConnection
from sequences.models import IncomingMail, Message
from sequences.replies import bounces, effects, evidence
from sequences.replies.bounces import Outcome, Report
from sequences.replies.classifying import Kind, Verdict, classify
from sequences.replies.freemail import domain_of
from sequences.replies.matching import Match, match, match_report

# Mailboxes that sent nothing for longer are left in peace.
WATCHED_FOR = timedelta(days=60)
# Sending needs the worker's place too: a call is over before the next begins.
WITHIN = timedelta(seconds=45)
AT_ONCE = 2_000
THREADS = 8
# So long a preview serves to judge a verdict; after that it is only somebody's words.
TEXTS_KEPT_FOR = timedelta(days=180)
# Exchange's limits are counted over 24 hours.
LIMIT_HOLD = timedelta(hours=24)
logger = logging.getLogger(__name__)


def mailboxes_to_look_into(now: datetime, limit: int) -> list[int]:
    """Connected, used within 60 days and not looked into for two minutes; the longest waiting first."""
    lately = Message.objects.filter(connection=OuterRef("pk"), permitted_at__gte=now - WATCHED_FOR)
    waiting = Q(inbox_cursor=None) | Q(inbox_cursor__due_at__lte=now)
    watched = MailConnection.objects.connected().filter(waiting, Exists(lately))
    return list(
        watched.order_by(F("inbox_cursor__due_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)[:limit]
    )


def look_into(connection_id: int, now: datetime) -> bool:
    """Take in what came into one mailbox. Talks to Microsoft: never in a transaction."""
    connection = MailConnection.objects.select_related("organization", "owner").get(pk=connection_id)
    sent = Message.objects.filter(connection=connection, permitted_at__gte=now - WATCHED_FOR)
    since = sent.aggregate(first=Min("permitted_at"))["first"] or now
    return inbox.look(connection_id, since=since, now=now, take=partial(take_in, connection=connection, now=now))


def look_into_all(*, stop: Callable[[], bool] = lambda: False, clock: Callable[[], datetime] = timezone.now) -> int:
    """Look into the mailboxes that are due, a few at once; how many. Several workers share them by claims.

    What fails in one mailbox stops no other. What is left when the time is over comes first at the next call.
    """
    give_up_at = clock() + WITHIN

    def looked(connection_id: int) -> bool:
        try:
            return not stop() and clock() < give_up_at and look_into(connection_id, clock())
        except Exception:
            logger.exception("Mailbox %s could not be looked into.", connection_id)
            return False
        finally:
            connections.close_all()  # the thread's own

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(looked, mailboxes_to_look_into(clock(), AT_ONCE)))


def forget_old_texts(now: datetime) -> int:
    """Sender, subject and preview of what came in long ago. Returns of how many emails."""
    return (
        IncomingMail.objects.filter(received_at__lt=now - TEXTS_KEPT_FOR)
        .exclude(from_address="", subject="", preview="")
        .forget_texts()
    )


def take_in(letter: Letter, *, connection: MailConnection, now: datetime) -> IncomingMail | None:
    """Store an email that answers one of ours, with what follows from it; None for any other."""
    if _is_known(letter, connection):
        return None
    if because := bounces.sign_of_report(letter):
        report = bounces.read(letter)
        found = match_report(letter, report, connection)
        return _store(letter, found, _of_report(report, because), connection, now, report) if found else None
    found = match(letter, connection)
    return _store(letter, found, _verdict(letter, found, connection), connection, now) if found else None


def _is_known(letter: Letter, connection: MailConnection) -> bool:
    """Taken in before, or an email of our own that went to its sender too."""
    same = {"connection": connection, "internet_message_id": letter.internet_message_id}
    return IncomingMail.objects.filter(**same).exists() or Message.objects.filter(**same).exists()


def _verdict(letter: Letter, found: Match, connection: MailConnection) -> Verdict:
    verdict = classify(letter)
    domain = domain_of(letter.from_address)
    if domain == domain_of(connection.address) != domain_of(found.message.to_address):
        return Verdict(kind=Kind.OTHER, because="it comes from a colleague of yours", text=verdict.text)
    return verdict


def _of_report(report: Report, because: str) -> Verdict:
    code = f" {report.status}" if report.status else ""
    said = {
        Outcome.FAILED: (Kind.BOUNCE, f"{because} and says that delivery failed{code}"),
        Outcome.DELAYED: (Kind.OTHER, f"{because} and says that delivery is only delayed{code}"),
        Outcome.OUR_LIMIT: (Kind.OTHER, f"{because} and names a limit of your own Microsoft 365{code}"),
        Outcome.NONE: (Kind.OTHER, f"{because} and names no failure"),
    }
    kind, sentence = said[report.outcome]
    return Verdict(kind=kind, because=sentence)


def _store(
    letter: Letter,
    found: Match,
    verdict: Verdict,
    connection: MailConnection,
    now: datetime,
    report: Report | None = None,
) -> IncomingMail | None:
    message = found.message
    facts = {
        "organization": connection.organization,
        "message": message,
        "enrollment": message.enrollment,
        "sequence": message.sequence,
        "received_at": letter.received_at,
        "created_at": now,
        "from_address": letter.from_address[:254],
        "subject": letter.subject[:255],
        "preview": " ".join(verdict.text.split())[:200],
        "kind": verdict.kind,
        "because": verdict.because[:300],
        "back_after": verdict.back_after,
        "status": report.status if report else "",
    }
    with transaction.atomic():
        mail, is_new = IncomingMail.objects.get_or_create(
            connection=connection,
            internet_message_id=letter.internet_message_id[:300],
            defaults=facts,
        )
        if not is_new:  # another worker was quicker
            return None
        if report and report.outcome == Outcome.OUR_LIMIT:  # the candidate has no part in it
            queue.rest(connection.pk, until=letter.received_at + LIMIT_HOLD)
        if found.by_id:
            evidence.it_left(message, now)
        effects.apply(mail, now=now)
        if mail.kind == Kind.REPLY:
            _tell_owner(mail, now)
    return mail


def _tell_owner(mail: IncomingMail, now: datetime) -> None:
    notify(
        user=mail.sequence.owner,
        kind="candidate_replied",
        title=f"{mail.enrollment.candidate} replied",
        text=f"Nothing more is sent to them from “{mail.sequence.name}”. The reply is in {mail.connection.address}.",
        url=reverse("sequences:replies"),
        once=f"candidate_replied:{mail.enrollment_id}",
        now=now,
    )
