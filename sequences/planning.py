"""When a step of a sequence is due for a candidate, and from which mailbox it leaves: the one place that says."""

from datetime import datetime

from mailconnect.models import MailConnection
from sequences.models import Enrollment, Sequence, Step
from sequences.scheduling import Due, Window, explain
from sequences.windows import window_for


def mailbox_of(step: Step, sequence: Sequence) -> MailConnection | None:
    """The step's own, else the sequence's. Wants `connection` of both loaded."""
    return step.connection or sequence.connection


def window_of(*, step: Step, sequence: Sequence, candidate_zone: str) -> Window:
    """The hours in which a step may leave for a candidate. Wants what `due_for` wants."""
    return window_for(
        sequence=sequence,
        connection=mailbox_of(step, sequence),
        organization=sequence.organization,
        candidate_zone=candidate_zone,
    )


def due_for(*, step: Step, sequence: Sequence, candidate_zone: str, previous: datetime) -> Due:
    """When `step` is due if the one before left (or the candidate was enrolled) at `previous`, and why then.

    Cheap: called for each of 100,000 enrollments. Wants `sequence.organization` and the connections loaded.
    Raises `scheduling.NeverOpen`.
    """
    window = window_of(step=step, sequence=sequence, candidate_zone=candidate_zone)
    return explain(previous=previous, delay=step.delay, unit=step.delay_unit, at_time=step.at_time, window=window)


def due_again(*, step: Step, sequence: Sequence, candidate_zone: str, previous: datetime, now: datetime) -> Due:
    """As `due_for`, for a sequence that goes on `now`: what fell due meanwhile is due as soon as its window allows."""
    due = due_for(step=step, sequence=sequence, candidate_zone=candidate_zone, previous=previous)
    if due.moment >= now:
        return due
    window = window_of(step=step, sequence=sequence, candidate_zone=candidate_zone)
    return explain(previous=now, delay=0, unit="days", at_time=step.at_time, window=window)


def counts_from(enrollment: Enrollment, sequence: Sequence) -> datetime:
    """What the delay of the next step counts from: the last email, else the enrollment or the activation."""
    if enrollment.last_sent_at:
        return enrollment.last_sent_at
    began = sequence.activated_at or sequence.starting_at
    return max(enrollment.created_at, began) if began else enrollment.created_at
