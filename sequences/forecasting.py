"""The dry run: which emails will leave when, and why then; and which will not. Nothing is changed.

Times come from `planning`, as they do when the sequence runs. On top it waits in line as the mailbox does: distance,
daily limit, and the room that other sequences take. Those are forecasts: a reply or an absence changes what follows.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from random import Random

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Lower

from mailconnect.models import MailConnection
from sequences.models import Candidate, Enrollment, Sequence, Step, Suppression
from sequences.planning import counts_from, due_again, due_for, mailbox_of, window_of
from sequences.rendering import candidate_values, missing_token, used_tokens
from sequences.scheduling import Due, NeverOpen, Why, Window, instant
from sequences.sending.pace import Pace, next_day, zone_of

LOOKED_AT = 2_000  # enrollments; a page can wait for so many
OTHERS_LOOKED_AT = 2_000  # emails of other sequences that wait for the same mailbox
SHOWN = 50
WORDS = {
    Why.WINDOW: "when the sending window opens",
    Why.WEEKEND: "not on days that are left out",
    Why.HOLIDAY: "not on a public holiday",
}
IN_LINE = "behind other emails of this mailbox"
OVER_LIMIT = "the mailbox’s daily limit is reached before"


@dataclass(frozen=True, kw_only=True)
class Email:
    """One email to come."""

    candidate: Candidate
    step: Step
    sender: str
    moment: datetime  # in the zone of its window: the candidate's own, where that is known
    zone: str
    why: tuple[str, ...]

    @property
    def when(self) -> str:
        """As a clock in that zone shows it, whatever the zone of the page."""
        return f"{self.moment:%a} {self.moment.day} {self.moment:%b %Y, %H:%M}"


@dataclass(frozen=True, kw_only=True)
class Held:
    """An enrollment that will not go on by itself: `step` lacks a value for `token`."""

    candidate: Candidate
    step: Step
    token: str


@dataclass(kw_only=True)
class Forecast:
    """`emails` and `incomplete` are the first ones; the numbers are of all that was looked at."""

    emails: list[Email] = field(default_factory=list)
    total: int = 0
    first: datetime | None = None
    last: datetime | None = None
    days: Counter[date] = field(default_factory=Counter)
    incomplete: list[Held] = field(default_factory=list)
    incomplete_total: int = 0
    suppressed: list[Candidate] = field(default_factory=list)
    suppressed_total: int = 0
    never_open: int = 0
    without_mailbox: int = 0
    looked_at: int = 0
    is_whole: bool = True
    others: int = 0  # emails of other sequences that wait for the same mailboxes

    def bars(self) -> list[tuple[date, int, int]]:
        """Days, their emails, and these in percent of the fullest day's."""
        most = max(self.days.values(), default=1)
        return [(day, number, round(100 * number / most)) for day, number in sorted(self.days.items())]


def forecast(*, sequence: Sequence, now: datetime) -> Forecast:
    """What would leave if the sequence ran from `now` on; if it runs, what will. Wants `organization` and `owner`."""
    return _DryRun(sequence, now).run()


@dataclass(kw_only=True)
class _Waiting:
    """An email that waits for its turn; of another sequence where it has no enrollment."""

    mailbox: "_Mailbox"
    due: datetime
    sequence_id: int
    window: Window | None = None
    enrollment: Enrollment | None = None
    step: Step | None = None
    why: tuple[str, ...] = ()


class _Always(Random):
    """No chance: a forecast takes the middle of what is left to chance."""

    def random(self) -> float:
        return 1.0


class _Mailbox:
    """A mailbox's line: one email at a time, in turn between sequences, with its distance and its daily limit."""

    def __init__(self, connection: MailConnection, now: datetime) -> None:
        self.connection = connection
        self.zone = zone_of(connection)
        self.spacing = Pace(jitter=Pace.jitter / 2, chance=_Always()).spacing(connection)
        self.free_at = max(now, connection.held_until or now, self._back_at(now))
        today = now.astimezone(self.zone).date()
        self.sent = Counter({today: connection.sent_today(today)})
        # Per sequence and window, in order of their dues. The sequence that was served last comes last.
        self.lines: dict[tuple[int, Window | None], deque[_Waiting]] = {}
        self.served: dict[int, int] = {}
        self.turn = count()
        self.next_look: datetime | None = None
        self.open_until: dict[Window, datetime] = {}

    def _back_at(self, now: datetime) -> datetime:
        return self.connection.away_until or now if self.connection.is_away(now) else now

    def queue(self, email: _Waiting) -> None:
        self.lines.setdefault((email.sequence_id, email.window), deque()).append(email)

    def look(self, at: datetime) -> tuple[_Waiting | None, datetime | None]:
        """The email that leaves at this moment, if one does; and when to look again, if anything waits."""
        if at < self.free_at:
            return None, self.free_at
        if self.sent[at.astimezone(self.zone).date()] >= self.connection.daily_limit:
            return None, self._after_today(at)
        open_lines = [(key, line) for key, line in self.lines.items() if self._is_open(key[1], at)]
        if not open_lines:
            openings = [window.next_open(at) for _, window in self.lines if window]
            return None, min(openings, default=None)
        key, line = min(open_lines, key=lambda each: (self.served.get(each[0][0], -1), each[1][0].due))
        email = line.popleft()
        if not line:
            del self.lines[key]
        self.served[email.sequence_id] = next(self.turn)
        self.sent[at.astimezone(self.zone).date()] += 1
        self.free_at = at + self.spacing
        return email, self.free_at if self.lines else None

    def _is_open(self, window: Window | None, at: datetime) -> bool:
        """Asked for each email, so the end of the day's opening is remembered: `at` never goes back."""
        if window is None or at < self.open_until.get(window, at):
            return True
        if not window.is_open(at):
            return False
        self.open_until[window] = instant(at.astimezone(window.zone).date(), window.end, window.zone)
        return True

    def _after_today(self, at: datetime) -> datetime:
        for line in self.lines.values():
            for email in reversed(line):
                if OVER_LIMIT in email.why:
                    break  # told already, and so is all that came before it
                email.why += (OVER_LIMIT,)
        return next_day(self.connection, at)


class _DryRun:
    def __init__(self, sequence: Sequence, now: datetime) -> None:
        sequence = copy(sequence)  # whoever asks goes on with theirs, and shows that it has not started
        self.sequence, self.now = sequence, now
        self.is_running = sequence.state == Sequence.State.ACTIVE
        if not (sequence.activated_at or sequence.starting_at):
            sequence.starting_at = now  # as if it were started now; never saved
        self.steps = {step.position: step for step in sequence.steps.select_related("connection__owner")}
        self.mailboxes: dict[int, _Mailbox] = {}
        self.found = Forecast()
        self.order = count()
        self.events: list[tuple[datetime, int, _Waiting | _Mailbox]] = []
        self.texts = _Texts()

    def run(self) -> Forecast:
        for enrollment in self._enrollments():
            self._enter(enrollment)
        self._let_others_in()
        while self.events:
            moment, _, what = heapq.heappop(self.events)
            if isinstance(what, _Waiting):
                self._arrive(what, moment)
            elif what.next_look == moment:
                self._look(what, moment)
        return self.found

    def _enrollments(self) -> Iterator[Enrollment]:
        suppressions = Suppression.objects.annotate(address=Lower("email")).filter(
            organization=self.sequence.organization_id, address=Lower(OuterRef("candidate__email"))
        )
        going: QuerySet[Enrollment] = Enrollment.objects.filter(sequence=self.sequence, state=Enrollment.State.ACTIVE)
        if self.is_running:
            going = going.filter(due_at__isnull=False)  # the rest is being sent
        going = going.select_related("candidate").annotate(is_suppressed=Exists(suppressions))
        rows = list(going.order_by("pk")[: LOOKED_AT + 1])
        self.found.is_whole, self.found.looked_at = len(rows) <= LOOKED_AT, min(len(rows), LOOKED_AT)
        for enrollment in rows[:LOOKED_AT]:
            if enrollment.is_suppressed:
                self.found.suppressed_total += 1
                self.found.suppressed += [enrollment.candidate][: SHOWN - len(self.found.suppressed)]
            else:
                yield enrollment

    def _enter(self, enrollment: Enrollment) -> None:
        step = self.steps.get(enrollment.next_position)
        if step is None:
            return
        try:
            due = self._first_due(enrollment, step)
        except NeverOpen:
            self.found.never_open += 1
            return
        self._expect(enrollment, step, due)

    def _first_due(self, enrollment: Enrollment, step: Step) -> Due:
        previous = counts_from(enrollment, self.sequence)
        zone = enrollment.candidate.time_zone
        due = due_again(step=step, sequence=self.sequence, candidate_zone=zone, previous=previous, now=self.now)
        if self.is_running and enrollment.due_at and enrollment.due_at != due.moment:
            return Due(enrollment.due_at, ())  # planned before the step was changed, or for a reason of its own
        return due

    def _expect(self, enrollment: Enrollment, step: Step, due: Due) -> None:
        """An email that is due then, unless its text lacks a value or nobody sends it."""
        mailbox = self._mailbox(step)
        if mailbox is None:
            self.found.without_mailbox += 1
        elif token := self.texts.missing(step, enrollment.candidate, mailbox.connection):
            self.found.incomplete_total += 1
            held = Held(candidate=enrollment.candidate, step=step, token=token)
            self.found.incomplete += [held][: SHOWN - len(self.found.incomplete)]
        else:
            window = window_of(step=step, sequence=self.sequence, candidate_zone=enrollment.candidate.time_zone)
            why = tuple(_words(each, step) for each in due.why)
            waiting = _Waiting(
                mailbox=mailbox,
                due=due.moment,
                sequence_id=self.sequence.pk,
                window=window,
                enrollment=enrollment,
                step=step,
                why=why,
            )
            self._push(max(due.moment, self.now), waiting)

    def _mailbox(self, step: Step) -> _Mailbox | None:
        connection = mailbox_of(step, self.sequence)
        if connection is None:
            return None
        if connection.pk not in self.mailboxes:
            connection.organization = self.sequence.organization
            self.mailboxes[connection.pk] = _Mailbox(connection, self.now)
        return self.mailboxes[connection.pk]

    def _let_others_in(self) -> None:
        waiting = Enrollment.objects.filter(
            connection__in=list(self.mailboxes), state=Enrollment.State.ACTIVE, due_at__isnull=False
        )
        others = waiting.filter(sequence__state=Sequence.State.ACTIVE).exclude(sequence=self.sequence)
        rows = others.order_by("due_at").values_list("connection_id", "sequence_id", "due_at")[:OTHERS_LOOKED_AT]
        for connection_id, sequence_id, due_at in rows:
            assert due_at is not None
            self.found.others += 1
            mailbox = self.mailboxes[connection_id]
            self._push(max(due_at, self.now), _Waiting(mailbox=mailbox, due=due_at, sequence_id=sequence_id))

    def _arrive(self, email: _Waiting, moment: datetime) -> None:
        email.mailbox.queue(email)
        self._look_again(email.mailbox, max(moment, email.mailbox.free_at))

    def _look(self, mailbox: _Mailbox, moment: datetime) -> None:
        mailbox.next_look = None
        email, again = mailbox.look(moment)
        if again:
            self._look_again(mailbox, again)
        if email and email.enrollment and email.step:
            self._leave(email, email.enrollment, email.step, moment)

    def _look_again(self, mailbox: _Mailbox, moment: datetime) -> None:
        if mailbox.next_look is None or moment < mailbox.next_look:
            mailbox.next_look = moment
            self._push(moment, mailbox)

    def _leave(self, email: _Waiting, enrollment: Enrollment, step: Step, moment: datetime) -> None:
        assert email.window is not None
        local = moment.astimezone(email.window.zone)
        self.found.total += 1
        self.found.first, self.found.last = self.found.first or moment, moment
        self.found.days[moment.astimezone(email.mailbox.zone).date()] += 1  # as its daily limit counts
        if len(self.found.emails) < SHOWN:
            self.found.emails.append(_told(email, enrollment.candidate, step, local, self.now))
        following = self.steps.get(step.position + 1)
        if following is None:
            return
        zone = enrollment.candidate.time_zone
        try:
            due = due_for(step=following, sequence=self.sequence, candidate_zone=zone, previous=moment)
        except NeverOpen:
            self.found.never_open += 1
        else:
            self._expect(enrollment, following, due)

    def _push(self, moment: datetime, what: "_Waiting | _Mailbox") -> None:
        heapq.heappush(self.events, (moment, next(self.order), what))


class _Texts:
    """Whether an email's text finds all its values: asked once for all candidates who have the same ones."""

    def __init__(self) -> None:
        self.used: dict[int, tuple[str, ...]] = {}
        self.known: dict[tuple[int, int, tuple[str, ...]], str] = {}

    def missing(self, step: Step, candidate: Candidate, connection: MailConnection) -> str:
        """The token without a value and without a default; none: empty."""
        if step.pk not in self.used:
            self.used[step.pk] = tuple(sorted(used_tokens(step.subject) | used_tokens(step.body)))
        values = candidate_values(candidate, connection.owner)
        there = tuple(name for name in self.used[step.pk] if values.get(name))
        key = (step.pk, connection.pk, there)
        if key not in self.known:
            self.known[key] = missing_token(step.subject, step.body, values)
        return self.known[key]


def _words(why: Why, step: Step) -> str:
    if why == Why.AT_TIME and step.at_time:
        return f"{step.delay_words}, not before {step.at_time:%H:%M}"
    return WORDS.get(why, step.delay_words)


def _told(email: _Waiting, candidate: Candidate, step: Step, local: datetime, now: datetime) -> Email:
    why = list(email.why)
    if local > max(email.due, now) and OVER_LIMIT not in why:
        why.append(IN_LINE)
    return Email(
        candidate=candidate,
        step=step,
        sender=email.mailbox.connection.address,
        moment=local,
        zone=str(local.tzinfo),
        why=tuple(why),
    )
