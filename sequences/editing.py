"""Create and change sequences and their steps. Steps are numbered without holes, whoever edits at the same time."""

from collections.abc import Collection
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts.auditing import record
from accounts.models import User
from mailconnect import first_emails
from sequences import activating
from sequences.checking import known_tokens, order_complaints, text_complaints
from sequences.models import Enrollment, Sequence, Step
from sequences.planning import mailbox_of

STEPS_MOST = 20
SCHEDULE = {"time_zone", "window_days", "window_from", "window_until", "in_candidate_time"}


class EditRefused(Exception):
    """Nothing was changed. The sentences say why, and what to do instead."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


@transaction.atomic
def create(*, sequence: Sequence, owner: User, now: datetime) -> Sequence:
    """Keep a new sequence of `owner`."""
    sequence.owner = owner
    sequence.organization = owner.organization
    sequence.created_at = sequence.state_changed_at = now
    sequence.save()
    record(organization=owner.organization, actor=owner, action="sequence.created", target=sequence, now=now)
    return sequence


@transaction.atomic
def save_settings(*, sequence: Sequence, changed: Collection[str], actor: User, now: datetime) -> None:
    """Keep the named fields. What waits in a running sequence is planned anew where sender or schedule changed.

    Raises `EditRefused`, and `activating.ActivationRefused` where a running sequence could not go on that way.
    """
    if not changed:
        return
    locked = activating.locked(sequence.pk)
    before = _mailboxes(locked, _steps(locked))
    for name in changed:
        setattr(locked, name, getattr(sequence, name))
    steps = _steps(locked)
    _refuse_disorder(steps, locked)
    locked.save(update_fields=list(changed))
    _record(locked, "sequence.changed", actor, now, settings=sorted(changed))
    if before != _mailboxes(locked, steps) or not SCHEDULE.isdisjoint(changed):
        activating.plan_anew(locked, actor=actor, now=now)


@transaction.atomic
def add_step(*, sequence: Sequence, step: Step, actor: User, now: datetime) -> Step:
    """Put a step behind all others. Raises `EditRefused`."""
    locked = activating.locked(sequence.pk)
    steps = _steps(locked)
    if len(steps) >= STEPS_MOST:
        raise EditRefused(f"A sequence has at most {STEPS_MOST} steps. Nobody answers after that many emails.")
    step.sequence, step.position = locked, len(steps) + 1
    _refuse_disorder([*steps, step], locked)
    _refuse_unfinished(step, locked)
    step.save()
    _record(locked, "step.added", actor, now, position=step.position)
    return step


@transaction.atomic
def save_step(*, step: Step, actor: User, now: datetime) -> None:
    """Keep a step as it was changed. Raises `EditRefused`, and `activating.ActivationRefused`."""
    locked = activating.locked(step.sequence_id)
    steps = _steps(locked)
    before = _mailboxes(locked, steps)
    kept = next((each for each in steps if each.pk == step.pk), None)
    if kept is None:
        raise EditRefused("A colleague has deleted this step in the meantime.")
    step.position = kept.position  # it may have moved while its text was written
    changed = [step if each.pk == step.pk else each for each in steps]
    _refuse_disorder(changed, locked)
    _refuse_unfinished(step, locked)
    step.save()
    _record(locked, "step.changed", actor, now, position=step.position)
    if step.position == 1 and (kept.subject, kept.body) != (step.subject, step.body):
        first_emails.withdraw(organization=locked.organization, sequence_id=locked.pk, actor=actor, now=now)
    _follow(locked, before, changed, actor, now)


@transaction.atomic
def move_step(*, step: Step, up: bool, actor: User, now: datetime) -> None:
    """Let a step change places with its neighbour. Raises `EditRefused`, and `activating.ActivationRefused`."""
    locked = activating.locked(step.sequence_id)
    steps = _steps(locked)
    before = _mailboxes(locked, steps)
    place = next((index for index, each in enumerate(steps) if each.pk == step.pk), None)
    other = place + (-1 if up else 1) if place is not None else -1
    if place is None or not 0 <= other < len(steps):
        raise EditRefused("This step cannot move any further.")
    if min(place, other) < _used(locked):
        raise EditRefused(
            f"Emails of step {_used(locked)} exist already, so the steps up to it keep their places. "
            "Change their texts instead: what is not planned yet follows."
        )
    steps[place], steps[other] = steps[other], steps[place]
    _number(steps)
    _refuse_disorder(steps, locked)
    _record(locked, "step.moved", actor, now, position=other + 1)
    _follow(locked, before, steps, actor, now)


@transaction.atomic
def delete_step(*, step: Step, actor: User, now: datetime) -> None:
    """Take out a step that nothing was sent for. Raises `EditRefused`, and `activating.ActivationRefused`."""
    locked = activating.locked(step.sequence_id)
    steps = _steps(locked)
    before = _mailboxes(locked, steps)
    if len(steps) == 1 and locked.state == Sequence.State.ACTIVE:
        raise EditRefused("A running sequence needs a step. Pause it first.")
    _delete(step)
    rest = [each for each in steps if each.pk != step.pk]
    _number(rest)
    _refuse_disorder(rest, locked)
    _record(locked, "step.deleted", actor, now, position=step.position)
    if locked.activated_at and rest:
        beyond = Enrollment.objects.filter(sequence=locked, state=Enrollment.State.ACTIVE, due_at__isnull=False)
        beyond.filter(next_position__gt=len(rest)).update(state=Enrollment.State.FINISHED, due_at=None)
    _follow(locked, before, rest, actor, now)


def _delete(step: Step) -> None:
    """The database keeps a step that an email belongs to, also one that is planned at this moment."""
    try:
        with transaction.atomic():
            Step.objects.filter(pk=step.pk).delete()
    except (ProtectedError, IntegrityError) as error:
        raise EditRefused(
            "Emails of this step exist already, so it stays: they must be able to say what they were. "
            "You can change its text for those who have not come to it yet."
        ) from error


def _steps(sequence: Sequence) -> list[Step]:
    return list(sequence.steps.select_related("connection").order_by("position"))


def _used(sequence: Sequence) -> int:
    """The last position that emails exist for; none: 0."""
    used = sequence.steps.filter(messages__isnull=False).order_by("-position")
    return used.values_list("position", flat=True).first() or 0


def _number(steps: list[Step]) -> None:
    """1, 2, 3… Places are taken by nobody else at any moment, so those that move first step aside."""
    moving = [(step, place) for place, step in enumerate(steps, start=1) if step.position != place]
    for step, place in moving:
        Step.objects.filter(pk=step.pk).update(position=STEPS_MOST + place)
    for step, place in moving:
        step.position = place
        Step.objects.filter(pk=step.pk).update(position=place)


def _refuse_disorder(steps: list[Step], sequence: Sequence) -> None:
    if complaints := order_complaints(steps, sequence):
        raise EditRefused(*complaints)


def _refuse_unfinished(step: Step, sequence: Sequence) -> None:
    """A step may wait for its words in a draft; in a running sequence its emails would leave without them."""
    running = sequence.state == Sequence.State.ACTIVE or sequence.starting_at
    if running and (complaints := text_complaints(step, known_tokens(sequence.organization))):
        raise EditRefused("The sequence is running, so nothing was saved.", *complaints)


def _mailboxes(sequence: Sequence, steps: list[Step]) -> list[int | None]:
    return [mailbox.pk if (mailbox := mailbox_of(step, sequence)) else None for step in steps]


def _follow(sequence: Sequence, before: list[int | None], steps: list[Step], actor: User, now: datetime) -> None:
    """Enrollments wait in the queue of the mailbox of their next step: where that is another now, they change over."""
    if before != _mailboxes(sequence, steps):
        activating.plan_anew(sequence, actor=actor, now=now)


def _record(sequence: Sequence, action: str, actor: User, now: datetime, **details: object) -> None:
    record(organization=sequence.organization, actor=actor, action=action, target=sequence, now=now, **details)
