"""Start a sequence, pause it, let it go on, archive it; and plan when each of its enrollments is due.

Nothing leaves until all times are planned: a sequence with many enrollments is `starting` meanwhile, and a task goes
on where the one before stopped, also where that one died.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django_q.tasks import async_task

from accounts.auditing import record
from accounts.models import User
from mailconnect import queue
from mailconnect.models import MailConnection
from sequences import pausing
from sequences.checking import known_tokens, order_complaints, text_complaints
from sequences.models import Enrollment, Message, Sequence, Step
from sequences.planning import counts_from, due_again, mailbox_of
from sequences.reasons import HELD, PAUSED
from sequences.scheduling import NeverOpen
from sequences.sending.picking import next_due
from sequences.windows import window_for

CHUNK = 500
AT_ONCE = 2000  # enrollments planned while the person waits; with more, the page shows how far it is
SILENT_AT_ONCE = 500  # mailboxes without a bell that are looked into at once
PICK_UP_AFTER = timedelta(minutes=2)
UNDER_WAY = (Message.State.DRAFTING, Message.State.DRAFTED, Message.State.SENDING, Message.State.ACCEPTED)
# Why an enrollment is held, where a person who says "continue" has decided enough.
CAN_CONTINUE = ("missing_value", "template_broken", "thread_lost", "window_never_open", "message_failed")


@dataclass(frozen=True)
class Missing:
    """What keeps a sequence from running, what to do, and on which page: steps, settings, mailbox, or none."""

    what: str
    next_step: str = ""
    where: str = ""


class ActivationRefused(Exception):
    """The sequence does not run; nothing was changed."""

    def __init__(self, missing: list[Missing]) -> None:
        super().__init__(" ".join(f"{each.what} {each.next_step}".strip() for each in missing))
        self.missing = missing


def locked(pk: int) -> Sequence:
    """The sequence, held until the end of the transaction against whoever starts, pauses or edits it too.

    Its mailboxes are locked first, as everybody locks them before sequences (`permission.py`): their bells ring later.
    """
    by_sequence, by_step = Sequence.objects.filter(pk=pk), Step.objects.filter(sequence=pk)
    mailboxes = MailConnection.objects.filter(
        Q(pk__in=by_sequence.values("connection")) | Q(pk__in=by_step.values("connection"))
    )
    list(mailboxes.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    lock = Sequence.objects.select_for_update(of=("self",), no_key=True)
    return lock.select_related("organization", "owner", "connection").get(pk=pk)


def missing(sequence: Sequence, now: datetime) -> list[Missing]:
    """Everything that stands in the way, so that nobody has to try again for each. Empty: it can run."""
    if sequence.state == Sequence.State.ARCHIVED:
        return [Missing("This sequence is archived.", "Take it out of the archive first.")]
    steps = list(sequence.steps.select_related("connection").order_by("position"))
    if not steps:
        return [Missing("There are no steps yet.", "Write the first email.", "steps"), *_senders(sequence, [], now)]
    known = known_tokens(sequence.organization)
    texts = [
        Missing(f"Step {step.position}: {complaint}", "", "steps")
        for step in steps
        for complaint in text_complaints(step, known)
    ]
    order = [Missing(complaint, "", "steps") for complaint in order_complaints(steps, sequence)]
    return [*texts, *order, *_senders(sequence, steps, now), *_never_open(sequence, steps, now)]


def _senders(sequence: Sequence, steps: list[Step], now: datetime) -> list[Missing]:
    if not sequence.connection and not (steps and all(step.connection for step in steps)):
        return [Missing("There is no mailbox to send from.", "Choose one.", "settings")]
    reason = pausing.objection(sequence, now)
    if not reason:
        return []
    what, next_step = PAUSED[reason]
    mailboxes = [sequence.connection, *(step.connection for step in steps)]
    own = any(mailbox and mailbox.owner_id == sequence.owner_id for mailbox in mailboxes)
    where = "mailbox" if own and reason.startswith("mailbox_") else "settings"
    # The sentences are those of a pause; before the first start there is nothing to resume.
    advice = next_step if sequence.activated_at else next_step.replace("; then resume", "").replace(", then resume", "")
    return [Missing(what, advice, where)]


def _never_open(sequence: Sequence, steps: list[Step], now: datetime) -> list[Missing]:
    try:
        for step in steps:
            connection = mailbox_of(step, sequence)
            window_for(sequence=sequence, connection=connection, organization=sequence.organization).next_open(now)
    except NeverOpen:
        return [Missing(*HELD["window_never_open"], "hours")]
    return []


@transaction.atomic
def start(*, sequence: Sequence, actor: User, now: datetime) -> Sequence:
    """Activate, or resume: each enrollment goes on from its next unsent step. Raises `ActivationRefused`.

    Up to `AT_ONCE` enrollments are planned at once; with more, a task plans the rest and then lets it run.
    """
    row = locked(sequence.pk)
    if row.state == Sequence.State.ACTIVE or row.starting_at:
        return row
    _begin(row, now)
    _record(row, "sequence.resumed" if row.activated_at else "sequence.activated", actor, now)
    go_on(row.pk, now)
    row.refresh_from_db()
    return row


def plan_anew(sequence: Sequence, *, actor: User, now: datetime) -> None:
    """After its senders or its schedule changed: what waits in a running sequence waits by the new ones.

    In a transaction, with `sequence` from `locked`. Raises `ActivationRefused`, so that the change can be refused.
    """
    if sequence.state == Sequence.State.ACTIVE or sequence.starting_at:
        _begin(sequence, now)
        go_on(sequence.pk, now)


def _begin(sequence: Sequence, now: datetime) -> None:
    if found := missing(sequence, now):
        raise ActivationRefused(found)
    if sequence.state == Sequence.State.ACTIVE:
        sequence.state = Sequence.State.PAUSED
    sequence.paused_reason = ""
    sequence.held_until, sequence.held_reason = None, ""  # what it waited for may have changed: it is asked again
    sequence.starting_at, sequence.planned_up_to = now, 0
    sequence.state_changed_at = now
    changed = [
        "state",
        "paused_reason",
        "held_until",
        "held_reason",
        "starting_at",
        "planned_up_to",
        "state_changed_at",
    ]
    sequence.save(update_fields=changed)
    _give_up_lost_drafts(sequence)
    _leave_to_people(sequence)


def _give_up_lost_drafts(sequence: Sequence) -> None:
    """An email whose draft lies in another mailbox that nobody looks into any more is written anew.

    In a connected one the pump finds it, and what was only planned for another mailbox it writes anew by itself.
    """
    own = Coalesce("step__connection", "sequence__connection")
    drafts = Message.objects.filter(sequence=sequence, state__in=(Message.State.DRAFTING, Message.State.DRAFTED))
    lost = drafts.exclude(connection=own).exclude(connection__state=MailConnection.State.CONNECTED)
    lost.update(state=Message.State.CANCELLED, draft_id="", check_at=None)


def _leave_to_people(sequence: Sequence) -> None:
    """What was being sent when its mailbox was removed: nobody can look there any more whether it left."""
    removed = Q(connection__state=MailConnection.State.REMOVED)
    ambiguous = Message.objects.filter(removed, sequence=sequence, state=Message.State.SENDING)
    Enrollment.objects.filter(pk__in=ambiguous.values("enrollment"), state=Enrollment.State.ACTIVE).update(
        state=Enrollment.State.HELD, reason="outcome_unknown", due_at=None
    )
    ambiguous.update(state=Message.State.UNKNOWN, reason="outcome_unknown", check_at=None)


def go_on(pk: int, now: datetime) -> None:
    """Plan as many enrollments of a starting sequence as a person may wait for, and leave the rest to a task."""
    for _ in range(AT_ONCE // CHUNK):
        if _plan_chunk(pk, now):
            return
    transaction.on_commit(lambda: async_task("sequences.activating.plan_rest", pk))


def plan_rest(pk: int) -> None:
    """A task: plan all that is left, in small transactions, and let the sequence run."""
    while not _plan_chunk(pk, timezone.now()):
        pass


def pick_up(now: datetime) -> None:
    """Once a minute: go on with sequences that were left starting by a task that died."""
    for pk in Sequence.objects.filter(starting_at__lt=now - PICK_UP_AFTER).values_list("pk", flat=True):
        async_task("sequences.activating.plan_rest", pk)
    _ring_forgotten()


def _ring_forgotten() -> None:
    """Mailboxes whose bell was lost, because a program died between a commit and its bell."""
    silent = MailConnection.objects.connected().filter(due_at=None)
    running = Sequence.objects.filter(state=Sequence.State.ACTIVE)
    steps = Step.objects.filter(sequence__state=Sequence.State.ACTIVE).exclude(connection=None)
    used = Q(pk__in=running.values("connection")) | Q(pk__in=steps.values("connection"))
    ids = list(silent.filter(used).values_list("pk", flat=True)[:SILENT_AT_ONCE])
    for pk, moments in next_due(ids).items() if ids else ():
        if soonest := min(filter(None, moments), default=None):
            queue.ring([pk], at=soonest)


@transaction.atomic
def _plan_chunk(pk: int, now: datetime) -> bool:
    """Plan the next enrollments; true once there is nothing left to plan."""
    sequence = locked(pk)
    if sequence.starting_at is None:  # paused, or finished by another task
        return True
    chunk = list(_to_plan(sequence)[:CHUNK])
    steps = {step.position: step for step in sequence.steps.select_related("connection")}
    for enrollment in chunk:
        _plan(enrollment, sequence, steps, now)
    _store(chunk)
    if len(chunk) < CHUNK:
        _run(sequence, now)
        return True
    sequence.planned_up_to = chunk[-1].pk
    sequence.save(update_fields=["planned_up_to"])
    return False


def _to_plan(sequence: Sequence) -> QuerySet[Enrollment]:
    """What goes on: not what is under way, for that settles by itself and then plans its next step."""
    under_way = Message.objects.filter(enrollment=OuterRef("pk"), state__in=UNDER_WAY)
    active = Enrollment.objects.filter(sequence=sequence, state=Enrollment.State.ACTIVE, pk__gt=sequence.planned_up_to)
    return active.filter(Q(due_at__isnull=False) | ~Exists(under_way)).select_related("candidate").order_by("pk")


def _plan(enrollment: Enrollment, sequence: Sequence, steps: dict[int, Step], now: datetime) -> None:
    """Set the mailbox and the time of the next step. `steps` by position."""
    step = steps.get(enrollment.next_position)
    if step is None:
        enrollment.state, enrollment.due_at = Enrollment.State.FINISHED, None
        return
    enrollment.connection = mailbox_of(step, sequence)
    try:
        due = due_again(
            step=step,
            sequence=sequence,
            candidate_zone=enrollment.candidate.time_zone,
            previous=counts_from(enrollment, sequence),
            now=now,
        ).moment
        enrollment.due_at = max(due, enrollment.away_until or due)
    except NeverOpen as never:
        enrollment.state, enrollment.reason, enrollment.due_at = Enrollment.State.HELD, never.reason, None


def _store(planned: list[Enrollment]) -> None:
    """One statement for all that come out alike: most do, since what fell due long ago is due when a window opens."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for each in planned:
        alike.setdefault((each.state, each.reason, each.detail, each.connection_id, each.due_at), []).append(each.pk)
    for (state, reason, detail, connection_id, due_at), ids in alike.items():
        Enrollment.objects.filter(pk__in=ids).update(
            state=state, reason=reason, detail=detail, connection=connection_id, due_at=due_at
        )


def _run(sequence: Sequence, now: datetime) -> None:
    """All is planned: emails may leave, unless the permission ended meanwhile."""
    objection = pausing.objection(sequence, now)
    sequence.state = Sequence.State.PAUSED if objection else Sequence.State.ACTIVE
    sequence.paused_reason = objection
    if not objection:
        sequence.activated_at = sequence.activated_at or sequence.starting_at
    sequence.starting_at, sequence.state_changed_at = None, now
    sequence.save(update_fields=["state", "paused_reason", "activated_at", "starting_at", "state_changed_at"])
    if objection:
        pausing.tell_paused(sequence, objection, now)
    else:
        _ring(Enrollment.objects.filter(sequence=sequence))


def _ring(enrollments: QuerySet[Enrollment]) -> None:
    """Wake the mailboxes at the first moment that something is due in them.

    Once it is committed: the pump locks mailboxes first and sequences after, so nobody may do it in reverse.
    """
    due = enrollments.filter(state=Enrollment.State.ACTIVE, due_at__isnull=False).order_by()
    for connection_id, first in due.values_list("connection").annotate(first=Min("due_at")):
        transaction.on_commit(partial(queue.ring, [connection_id], at=first))
    # `tasks.ring_soon()`, which cannot be imported here: tasks import this module.
    transaction.on_commit(partial(async_task, "sequences.tasks.tick"))


@transaction.atomic
def pause(*, sequence: Sequence, actor: User, now: datetime) -> Sequence:
    """Nothing of it leaves any more, but what Microsoft is being handed at this moment. Nothing is lost."""
    row = locked(sequence.pk)
    if row.state == Sequence.State.ACTIVE or row.starting_at:
        row.state = Sequence.State.PAUSED if row.activated_at or row.state != Sequence.State.DRAFT else row.state
        _rest(row, now)
        _record(row, "sequence.paused", actor, now)
    return row


@transaction.atomic
def archive(*, sequence: Sequence, actor: User, now: datetime) -> Sequence:
    """Put it away: it sends nothing, and is no longer in the way. Its enrollments stay where they are."""
    row = locked(sequence.pk)
    if row.state != Sequence.State.ARCHIVED:
        row.state = Sequence.State.ARCHIVED
        _rest(row, now)
        _record(row, "sequence.archived", actor, now)
    return row


@transaction.atomic
def unarchive(*, sequence: Sequence, actor: User, now: datetime) -> Sequence:
    row = locked(sequence.pk)
    if row.state == Sequence.State.ARCHIVED:
        row.state = Sequence.State.PAUSED if row.activated_at else Sequence.State.DRAFT
        _rest(row, now)
        _record(row, "sequence.unarchived", actor, now)
    return row


@transaction.atomic
def continue_held(*, sequence: Sequence, enrollments: QuerySet[Enrollment], actor: User, now: datetime) -> int:
    """A person has seen to what held these enrollments of `sequence`: they go on. Returns how many did.

    What needs an answer of its own (did that email leave?) stays held, whatever is asked for.
    """
    row = locked(sequence.pk)
    steps = {step.position: step for step in row.steps.select_related("connection")}
    held = enrollments.filter(sequence=row, state=Enrollment.State.HELD, reason__in=CAN_CONTINUE)
    count = 0
    while chunk := list(held.select_related("candidate").order_by("pk")[:CHUNK]):
        for enrollment in chunk:
            enrollment.state, enrollment.reason, enrollment.detail = Enrollment.State.ACTIVE, "", ""
            _plan(enrollment, row, steps, now)
        _store(chunk)
        count += len(chunk)
        held = held.filter(pk__gt=chunk[-1].pk)
    if count and row.state == Sequence.State.ACTIVE:
        _ring(Enrollment.objects.filter(sequence=row))
    if count:
        record(
            organization=row.organization,
            actor=actor,
            action="enrollments.continued",
            target=row,
            now=now,
            enrollments=count,
        )
    return count


def let_go_on(enrollment: Enrollment, now: datetime) -> None:
    """A held enrollment goes on by a decision that was made elsewhere. In a transaction, with its sequence locked."""
    enrollment.refresh_from_db()
    if enrollment.state != Enrollment.State.HELD:
        return
    sequence = locked(enrollment.sequence_id)
    steps = {step.position: step for step in sequence.steps.select_related("connection")}
    enrollment.state, enrollment.reason, enrollment.detail = Enrollment.State.ACTIVE, "", ""
    _plan(enrollment, sequence, steps, now)
    _store([enrollment])
    if sequence.state == Sequence.State.ACTIVE:
        _ring(Enrollment.objects.filter(pk=enrollment.pk))


def _rest(sequence: Sequence, now: datetime) -> None:
    sequence.paused_reason, sequence.starting_at, sequence.state_changed_at = "", None, now
    sequence.save(update_fields=["state", "paused_reason", "starting_at", "state_changed_at"])


def _record(sequence: Sequence, action: str, actor: User, now: datetime) -> None:
    record(organization=sequence.organization, actor=actor, action=action, target=sequence, now=now)
