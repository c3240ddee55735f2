"""Nothing stops silently: what is due and does not leave, although it may, is told with its reason."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.urls import reverse

from accounts.models import User
from accounts.notifying import notify
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Heartbeat, Message, Sequence, Step
from sequences.reasons import OVERDUE, WAITING
from sequences.scheduling import NeverOpen
from sequences.windows import window_for

OVERDUE_AFTER = timedelta(minutes=10)
# A worker beats every few seconds; its supervisor replaces it when it does not.
SILENT_AFTER = timedelta(seconds=60)
# The owner of the mailbox wanted it so, and the pages say so.
BY_RULE = frozenset({"spacing", "daily_limit", "away", "window", "grant_cap", "awaiting_approval"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """Emails of a sequence that have waited too long in a mailbox. `reason`: a key of `WAITING` or `OVERDUE`."""

    sequence: Sequence
    connection: MailConnection
    since: datetime
    reason: str

    @property
    def sentence(self) -> str:
        return WAITING.get(self.reason) or OVERDUE[self.reason]


def overdue(now: datetime) -> list[Overdue]:
    """Per sequence and mailbox; what it costs grows with the active sequences, not with what waits in them."""
    working = Heartbeat.objects.filter(beat_at__gt=now - SILENT_AFTER).exists()
    found: list[Overdue] = []
    for sequence, connection, oldest in _waiting(now - OVERDUE_AFTER):
        reason = _reason(sequence, connection, working, now)
        if reason and _may_leave(sequence, connection, oldest, now):
            found.append(Overdue(sequence=sequence, connection=connection, since=_due(oldest), reason=reason))
    return found


def raise_alarms(now: datetime) -> int:
    """Tell the owners of the sequences, and the site's staff where only they can help. Returns how many are overdue."""
    found = overdue(now)
    for one in found:
        logger.warning(
            "due_but_unsent sequence=%s mailbox=%s minutes=%d reason=%s",
            one.sequence.pk,
            one.connection.pk,
            (now - one.since).total_seconds() // 60,
            one.reason,
        )
        _tell(one.sequence.owner, one, now)
    logger.info("metric due_but_unsent=%d", len(found))
    for reason in {one.reason for one in found} & OVERDUE.keys():
        for user in User.objects.filter(is_staff=True, is_active=True):
            text = f"{OVERDUE[reason]} `manage.py doctor` tells more."
            title = "Emails are due and do not leave"
            notify(user=user, kind="overdue", title=title, text=text, once=f"overdue:{reason}", now=now)
    return len(found)


def _tell(user: User, one: Overdue, now: datetime) -> None:
    notify(
        user=user,
        kind="overdue",
        title=f"Emails of “{one.sequence.name}” are late",
        text=f"They have been due in {one.connection.address} for more than ten minutes. {one.sentence}",
        url=reverse("sequences:detail", args=[one.sequence.pk]),
        once=f"overdue:{one.sequence.pk}:{one.connection.pk}:{one.reason}",
        now=now,
    )


def _waiting(due_before: datetime) -> Iterator[tuple[Sequence, MailConnection, Enrollment]]:
    """Active sequences with each mailbox they send from, and the enrollment that has waited longest there."""
    active = Sequence.objects.filter(state=Sequence.State.ACTIVE)
    by_step = Step.objects.filter(sequence__in=active, connection__isnull=False)
    pairs = set(by_step.values_list("sequence", "connection", _oldest("sequence", "connection", due_before)).distinct())
    pairs |= set(active.values_list("pk", "connection", _oldest("pk", "connection", due_before)))
    oldest = {enrollment: mailbox for _, mailbox, enrollment in pairs if enrollment}
    related = ("sequence__organization", "sequence__owner", "connection", "candidate")
    for enrollment in Enrollment.objects.filter(pk__in=oldest).select_related(*related).order_by("due_at"):
        if enrollment.connection and enrollment.connection.state == MailConnection.State.CONNECTED:
            yield enrollment.sequence, enrollment.connection, enrollment


def _oldest(sequence: str, connection: str, due_before: datetime) -> Subquery:
    due: QuerySet[Enrollment] = Enrollment.objects.filter(
        sequence=OuterRef(sequence),
        connection=OuterRef(connection),
        state=Enrollment.State.ACTIVE,
        due_at__lte=due_before,
    )
    return Subquery(due.order_by("due_at", "id").values("pk")[:1])


def _reason(sequence: Sequence, connection: MailConnection, working: bool, now: datetime) -> str:
    """Empty where a rule of its owner holds it, or where mail is leaving and this one only waits for its turn."""
    if not working:
        return "no_worker"
    held = connection.held_until and connection.held_until > now
    if held:
        return "" if connection.held_reason in BY_RULE else connection.held_reason or "unexplained"
    last = Message.objects.filter(connection=connection).aggregate(at=Max("permitted_at"))["at"]
    turns = timedelta(seconds=2 * connection.spacing_seconds)
    return "" if last and last > now - max(OVERDUE_AFTER, turns) else "unexplained"


def _may_leave(sequence: Sequence, connection: MailConnection, oldest: Enrollment, now: datetime) -> bool:
    window = window_for(
        sequence=sequence,
        connection=connection,
        organization=sequence.organization,
        candidate_zone=oldest.candidate.time_zone,
    )
    try:
        return window.is_open(now) and not connection.is_away(now)
    except NeverOpen:
        return False


def _due(enrollment: Enrollment) -> datetime:
    assert enrollment.due_at
    return enrollment.due_at
