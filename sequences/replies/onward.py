"""Enrollments go on after they were stopped or held for nothing: always in the caller's transaction."""

from datetime import datetime
from functools import partial

from django.db import transaction

from mailconnect import queue
from sequences.models import Enrollment
from sequences.planning import counts_from, due_again, mailbox_of
from sequences.scheduling import NeverOpen

State = Enrollment.State
# Emails that will settle by themselves, and then plan the next step.
_UNDER_WAY = ("drafting", "drafted", "sending", "accepted")
# What `locked` loads, for `plan`.
_RELATED = ("candidate", "sequence__organization", "sequence__connection")


def locked(pk: int) -> Enrollment:
    return Enrollment.objects.select_related(*_RELATED).select_for_update(of=("self",), no_key=True).get(pk=pk)


def go_on(enrollment: Enrollment, now: datetime) -> None:
    """Store an enrollment that is active again, or held, with the time of its next step; and ring for it."""
    if enrollment.state == State.ACTIVE:
        _plan(enrollment, now)
    enrollment.save(update_fields=["state", "reason", "detail", "connection", "next_position", "due_at"])
    ring(enrollment)


def ring(enrollment: Enrollment) -> None:
    """Once it is committed: the pump locks the mailbox first and enrollments after, so nobody may do it in reverse."""
    if enrollment.connection_id and enrollment.due_at:
        transaction.on_commit(partial(queue.ring, [enrollment.connection_id], at=enrollment.due_at))


def _plan(enrollment: Enrollment, now: datetime) -> None:
    """When its next step is due. If its sequence rests, the start plans it; if an email is under way, that does."""
    sequence = enrollment.sequence
    step = sequence.steps.select_related("connection").filter(position__gte=enrollment.next_position).first()
    if step is None:
        enrollment.state = State.FINISHED
        return
    enrollment.next_position, enrollment.connection = step.position, mailbox_of(step, sequence)
    if sequence.state != sequence.State.ACTIVE or enrollment.messages.filter(state__in=_UNDER_WAY).exists():
        return
    previous = counts_from(enrollment, sequence)
    zone = enrollment.candidate.time_zone
    try:
        due = due_again(step=step, sequence=sequence, candidate_zone=zone, previous=previous, now=now).moment
        enrollment.due_at = max(due, enrollment.away_until or due)
    except NeverOpen as never:
        enrollment.state, enrollment.reason = State.HELD, never.reason
