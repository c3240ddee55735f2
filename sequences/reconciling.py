"""An answer was lost, or a worker died: find out in the mailbox what happened. Never repeat blindly.

Microsoft has no idempotency key, but every draft carries ours, and so does its copy in Sent Items. A submitted email
stays in Drafts for a while, so that a draft proves nothing until much later; and somebody who was frozen may still
submit it, until it is disarmed: see docs/decisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from mailconnect.outbox import MailItem
from sequences.models import Message

State = Message.State
# Between two looks at the same email: longer each time.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (45, 120, 300, 900, 1800, 3600))
LONGEST_COOL_DOWN = timedelta(hours=24)
# Accepted, yet still in Drafts after this: Exchange will not send it any more.
STUCK = timedelta(hours=24)
TIMES_LONGEST_SETTLE = 10
# A clock that jumps ahead makes any wait look long enough; so many looks, each a pause after the other, it cannot fake.
LEAST_LOOKS = 3
# Reasons on the row: it was drafted a second time; or its draft was disarmed, it was sent with another draft, that one
# was disarmed too.
REDRAFTED = "redrafted"
DISARMED, RESUBMITTED, DISARMED_AGAIN = "disarmed", "resubmitted", "disarmed_again"
# Nothing can tell whether it left. Failed: it has no permit, since the database was restored from a backup.
UNKNOWN, UNDECIDED = "outcome_unknown", (State.UNKNOWN, State.FAILED)


class Then(StrEnum):
    """What a look into the mailbox leads to."""

    SENT = "sent"  # a copy that left is there
    DISARM = "disarm"  # it seems that nothing was submitted: see to it that it cannot be any more, and look again
    DRAFT_AGAIN = "draft_again"  # nothing was submitted: begin anew
    WAIT = "wait"  # nothing is certain yet
    UNKNOWN = "unknown"  # nothing will become certain: a person decides


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`item`: the copy that left. `drafts` with the same key: to be disarmed, or else deleted."""

    then: Then
    item: MailItem | None = None
    drafts: tuple[str, ...] = ()


def judge(
    state: str,
    items: Sequence[MailItem],
    *,
    reason: str,
    draft_id: str,
    looks: int,
    waited: timedelta,
    cool_down: timedelta,
    line_stands: bool = False,
) -> Finding:
    """What the items that carry a message's key say about it. Pure.

    `reason` and `draft_id`: of the row; `looks`: how often this state has been looked at before, or since its draft was
    disarmed; `waited`: since it began; `line_stands`: other accepted emails of the mailbox are still in Drafts.
    """
    copy = next((item for item in items if not item.is_draft), None)
    drafts = [item for item in items if item.is_draft]
    if copy:
        return Finding(then=Then.SENT, item=copy, drafts=_ids(drafts))
    if state == State.DRAFTING:
        return _judge_drafting(drafts, looks)
    if state in (State.SENDING, State.DRAFTED):
        if reason in (DISARMED, DISARMED_AGAIN):
            waited = pauses(looks)
        cooled_down = waited >= (STUCK if line_stands else cool_down) and looks >= LEAST_LOOKS
        return _judge_sending(drafts, reason, draft_id) if cooled_down else Finding(then=Then.WAIT)
    return _judge_accepted(drafts, waited, cool_down)


def _judge_drafting(drafts: list[MailItem], looks: int) -> Finding:
    """Nothing was submitted from this state. A draft may be half made, so it is deleted; and search may lag, so that
    finding nothing counts only the second time."""
    if looks or any(draft.is_armed for draft in drafts):
        return Finding(then=Then.DRAFT_AGAIN, drafts=_ids(drafts))
    return Finding(then=Then.WAIT)


def _judge_sending(drafts: list[MailItem], reason: str, draft_id: str) -> Finding:
    """After the cool-down: a submitted draft looks like one that was not, until Exchange has moved it.

    First it is disarmed: a worker that was frozen just before it submitted the draft may wake up at any time. Then the
    same wait again, for what left before that. Only the very draft that was to be submitted shows that it was not, none
    of an earlier attempt. If the email is ambiguous a second time, it is not for us to decide.
    """
    if reason == DISARMED_AGAIN:
        return Finding(then=Then.UNKNOWN)
    if reason != DISARMED or any(draft.is_armed for draft in drafts):
        return Finding(then=Then.DISARM, drafts=_ids(drafts))
    if draft_id not in _ids(drafts):
        return Finding(then=Then.UNKNOWN)
    return Finding(then=Then.DRAFT_AGAIN, drafts=_ids(drafts))


def _ids(drafts: list[MailItem]) -> tuple[str, ...]:
    return tuple(draft.id for draft in drafts)


def _judge_accepted(drafts: list[MailItem], waited: timedelta, cool_down: timedelta) -> Finding:
    """Microsoft has said yes. A copy that its owner has deleted since was still sent."""
    if any(draft.is_armed for draft in drafts):
        return Finding(then=Then.UNKNOWN if waited > STUCK else Then.WAIT)
    return Finding(then=Then.SENT if waited > cool_down else Then.WAIT)


def awaits_a_person(state: str, reason: str) -> bool:
    """Whether somebody must say if it left."""
    return state in UNDECIDED and reason == UNKNOWN


def pause_after(looks: int) -> timedelta:
    return PAUSES[min(looks, len(PAUSES) - 1)]


def pauses(looks: int) -> timedelta:
    """How long so many looks take at least."""
    return sum(map(pause_after, range(looks)), timedelta())


def cool_down_of(longest_settle_seconds: int, least: timedelta) -> timedelta:
    """How long an email is ambiguous: at least ten times the longest that any was seen to stay in Drafts."""
    longest = timedelta(seconds=longest_settle_seconds)
    return max(least, min(LONGEST_COOL_DOWN, TIMES_LONGEST_SETTLE * longest))
