"""From a due enrollment to an email whose text is frozen, or to the reason why there is none (yet)."""

import logging
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from mailconnect.models import MailConnection
from mailconnect.receipts import body_hash
from sequences.models import Enrollment, Message, Step
from sequences.planning import mailbox_of
from sequences.reconciling import REDRAFTED, RESUBMITTED, awaits_a_person
from sequences.rendering import MissingValue, TemplateBroken, candidate_values, render, signature_of
from sequences.scheduling import NeverOpen
from sequences.sending.letters import EnrollmentChange, Letter, Plan
from sequences.sending.picking import Due, Known
from sequences.windows import window_for

State = Enrollment.State
# A key is made of what it is for, so that a database restored from a backup makes the same one again.
_KEYS = uuid.UUID("6f1e6c0e-54a5-4a43-9c1b-0d5b8a2f7e11")
_BEGINS_ANEW = {Message.State.REFUSED, Message.State.FAILED, Message.State.CANCELLED}
_WAIT_FOR_PREVIOUS = timedelta(seconds=30)
_PUSHED_AHEAD = timedelta(hours=1)

logger = logging.getLogger(__name__)


class ThreadLost(Exception):
    reason = "thread_lost"


class Wait(Exception):
    """Nothing to decide: look at the enrollment again at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__()
        self.until = until


@dataclass
class Written:
    """`letters` are ready to be stored; `changes` are of enrollments that get none now."""

    letters: list[Letter] = field(default_factory=list)
    changes: list[EnrollmentChange] = field(default_factory=list)
    refiled: list[int] = field(default_factory=list)  # enrollments that belong to another mailbox


def write(due: list[Due], plans: dict[int, Plan], now: datetime) -> Written:
    """One that cannot be written never stops the others: it is held, stopped or pushed ahead."""
    written = Written()
    openings: dict[tuple[int, str], datetime] = {}  # by sequence and the candidate's zone: mostly the same for all
    for one in due:
        try:
            _write_one(one, plans[one.sequence_id], now, written, openings)
        except Wait as wait:
            written.changes.append(_change(one, State.ACTIVE, due_at=wait.until))
        except (MissingValue, TemplateBroken, NeverOpen, ThreadLost) as problem:
            detail = problem.token if isinstance(problem, MissingValue) else ""
            written.changes.append(_change(one, State.HELD, problem.reason, detail=detail[:300]))
        except Exception:
            logger.exception("Enrollment %s cannot be written; it is pushed ahead.", one.id)
            written.changes.append(_change(one, State.ACTIVE, due_at=now + _PUSHED_AHEAD))
    return written


def _write_one(
    one: Due, plan: Plan, now: datetime, written: Written, openings: dict[tuple[int, str], datetime]
) -> None:
    step = plan.steps.get(one.position)
    if step is None:
        written.changes.append(_change(one, State.FINISHED))
        return
    connection = mailbox_of(step, plan.sequence)
    if connection is not None and connection.pk != one.mailbox.id:
        written.refiled.append(one.id)
        return
    if one.suppressed:
        written.changes.append(_change(one, State.STOPPED, "suppressed"))
        return
    # Due times lie inside the window; but it may have closed while the email waited for its turn.
    place = (one.sequence_id, one.candidate.time_zone)
    if place not in openings:
        openings[place] = opening(plan, one.mailbox.connection, one.candidate.time_zone, now)
    if openings[place] > now:
        raise Wait(openings[place])
    written.letters.append(_letter(one, plan, step, now))


def _change(
    one: Due, state: State, reason: str = "", *, detail: str = "", due_at: datetime | None = None
) -> EnrollmentChange:
    return EnrollmentChange(
        mailbox=one.mailbox, enrollment_id=one.id, state=state, reason=reason, detail=detail, due_at=due_at
    )


def opening(plan: Plan, connection: MailConnection, candidate_zone: str, now: datetime) -> datetime:
    """`now` if the window is open, else when it opens. Raises `NeverOpen`."""
    window = window_for(
        sequence=plan.sequence,
        connection=connection,
        organization=plan.sequence.organization,
        candidate_zone=candidate_zone,
    )
    return window.next_open(now)


def _letter(one: Due, plan: Plan, step: Step, now: datetime) -> Letter:
    known = next((message for message in one.messages if message.step_id == step.pk), None)
    previous = _previous(one, step, now)
    letter = Letter(
        mailbox=one.mailbox,
        plan=plan,
        step_id=step.pk,
        position=one.position,
        enrollment_id=one.id,
        candidate_zone=one.candidate.time_zone,
        key=_key(one, step),
        state=Message.State.PLANNED,
        to_address=one.candidate.email,
        body_hash="",
        due_at=one.due_at,
    )
    if previous:
        letter.reply_to_id, letter.reply_to_item = previous.id, previous.sent_id
        letter.reply_conversation = previous.conversation_id
    is_under_way = known is not None and known.state not in _BEGINS_ANEW and known.state != Message.State.PLANNED
    if known and (is_under_way or awaits_a_person(known.state, known.reason)):
        raise Wait(now + _PUSHED_AHEAD)  # it is looked after by itself, or waits for a person's word
    if known:
        letter.message_id, letter.key = known.id, known.key
        letter.reason = known.reason if known.reason in (REDRAFTED, RESUBMITTED) else ""
        letter.looks_first = known.reason == "not_there"  # said a person; a late copy says otherwise
    # What was planned for another mailbox has that one's signature, and its draft lies there.
    is_of_mailbox = known is not None and known.connection_id == one.mailbox.id
    if known and is_of_mailbox:
        letter.replaces_draft = known.draft_id
    if known and is_of_mailbox and known.state == Message.State.PLANNED:
        _as_frozen(letter, known)
    else:
        _freeze(letter, one, step, previous)
    return letter


def _as_frozen(letter: Letter, known: Known) -> None:
    letter.to_address, letter.to_name = known.to_address, known.to_name
    letter.subject, letter.html, letter.body_hash = known.subject, known.body_html, known.body_hash


def _freeze(letter: Letter, one: Due, step: Step, previous: Known | None) -> None:
    connection = one.mailbox.connection
    values = candidate_values(one.candidate, connection.owner)
    rendered = render(step.subject, step.body, values, signature_of(connection))
    letter.to_name = one.candidate.name
    letter.subject, letter.html = rendered.subject, rendered.html
    if previous:
        letter.subject = previous.subject if previous.subject.lower().startswith("re:") else f"Re: {previous.subject}"
        letter.subject = letter.subject[:255]
    letter.body_hash = body_hash(letter.subject, letter.html)


def _previous(one: Due, step: Step, now: datetime) -> Known | None:
    """For a reply: the newest email of this enrollment that left, once its copy in Sent Items is known."""
    if step.kind != Step.Kind.REPLY:
        return None
    earlier = [message for message in one.messages if message.position < one.position]
    last = max(earlier, key=lambda message: message.position, default=None)
    if last is None or last.connection_id != one.mailbox.id:
        raise ThreadLost
    if last.state in (Message.State.SENDING, Message.State.ACCEPTED):
        raise Wait(now + _WAIT_FOR_PREVIOUS)
    if not last.sent_id:
        raise ThreadLost
    return last


def _key(one: Due, step: Step) -> uuid.UUID:
    return uuid.uuid5(_KEYS, f"{one.id}/{_iso(one.created_at)}/{step.pk}")


@lru_cache(maxsize=1024)
def _iso(moment: datetime) -> str:
    return moment.isoformat()
