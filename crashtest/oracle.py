"""What truly happened: it knows the mailboxes at Microsoft and the rows of the database, and nothing else."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from bench.running import StandIn
from sequences.models import Enrollment, Message, Sequence

State = Message.State
UNDER_WAY = (State.PLANNED, State.DRAFTING, State.DRAFTED, State.SENDING, State.ACCEPTED)


@dataclass
class Verdict:
    emails: int = 0
    sent: int = 0
    duplicates: int = 0  # submitted more than once
    lost: int = 0  # called sent and never submitted, or submitted and called something else, or forgotten
    unknown: int = 0  # a person must look
    unknown_known: int = 0  # a person must look, although Microsoft gave a way to know
    late: int = 0  # requests that started after a revocation had returned
    examples: list[str] = field(default_factory=list)

    def is_clean(self) -> bool:
        return not (self.duplicates or self.lost or self.unknown_known or self.late)


def judge(standin: StandIn, sequences: Iterable[Sequence]) -> Verdict:
    """Of all emails of these sequences, once everything has come to rest."""
    submitted: Counter[str] = Counter()
    for _, _, to, submissions, _ in standin.ask("mailboxes"):
        submitted[to] += submissions
    verdict = Verdict()
    enrollments = Enrollment.objects.filter(sequence__in=list(sequences)).select_related("candidate")
    messages = {message.enrollment_id: message for message in Message.objects.filter(sequence__in=list(sequences))}
    for enrollment in enrollments:
        _judge_one(verdict, enrollment, messages.get(enrollment.pk), submitted[enrollment.candidate.email])
    return verdict


def _judge_one(verdict: Verdict, enrollment: Enrollment, message: Message | None, submissions: int) -> None:
    state = message.state if message else "none"
    verdict.emails += 1
    verdict.sent += min(submissions, 1)
    if submissions > 1:
        verdict.duplicates += submissions - 1
        _note(verdict, "duplicate", enrollment, state, submissions)
    if state == State.UNKNOWN:
        verdict.unknown += 1
        verdict.unknown_known += bool(submissions)
        shown = enrollment.state == Enrollment.State.HELD and enrollment.reason == "outcome_unknown"
        if not shown or submissions:
            _note(verdict, "unknown", enrollment, state, submissions)
            verdict.lost += not shown
    elif _is_lost(enrollment, message, submissions):
        verdict.lost += 1
        _note(verdict, "lost", enrollment, state, submissions)


def _is_lost(enrollment: Enrollment, message: Message | None, submissions: int) -> bool:
    state = message.state if message else "none"
    if state in (State.SENT, State.ACCEPTED):
        return not submissions
    if message and message.reason == "left_otherwise":  # the database is older than the mailbox, and knows it
        return not submissions
    if submissions or state in UNDER_WAY[1:]:
        return True
    return enrollment.state == Enrollment.State.ACTIVE and not enrollment.due_at


def _note(verdict: Verdict, what: str, enrollment: Enrollment, state: str, submissions: int) -> None:
    if len(verdict.examples) < 5:
        verdict.examples.append(
            f"{what}: message {state}, enrollment {enrollment.state} {enrollment.reason}, submitted {submissions} times"
        )


def unfinished(sequences: Iterable[Sequence], *, after: datetime | None = None) -> int:
    """Emails that will still move by themselves; with `after`, those of them that will not before then."""
    found = list(sequences)
    waiting = Enrollment.objects.filter(
        sequence__in=found,
        sequence__state=Sequence.State.ACTIVE,
        state=Enrollment.State.ACTIVE,
        due_at__lt=timezone.now() + timedelta(days=1),
    )
    moving = Message.objects.filter(sequence__in=found, state__in=UNDER_WAY[1:])
    if after:
        held = Q(connection__held_until__gt=after) | Q(connection__due_at__gt=after)
        waiting = waiting.filter(held | Q(due_at__gt=after))
        moving = moving.filter(held | Q(check_at__gt=after))
    return waiting.count() + moving.count()
