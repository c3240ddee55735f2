"""What is found in the mailbox decides what became of an email, and a draft decides nothing for a long time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mailconnect.outbox import MailItem
from sequences.models import Message
from sequences.reconciling import LEAST_LOOKS, Then, judge

COOL_DOWN = timedelta(minutes=15)
State = Message.State


def item(*, is_draft: bool, is_armed: bool = True) -> MailItem:
    return MailItem(
        id="draft" if is_draft else "copy",
        is_draft=is_draft,
        internet_message_id="",
        conversation_id="",
        sent_at=None if is_draft else datetime(2026, 11, 24, tzinfo=UTC),
        to_addresses=("kim@candidates.example",) if is_armed else (),
        subject="Hello",
    )


DRAFT, DISARMED_DRAFT = item(is_draft=True), item(is_draft=True, is_armed=False)


def verdict(state: str, *items: MailItem, looks: int = LEAST_LOOKS, minutes: int = 20, reason: str = "") -> Then:
    waited = timedelta(minutes=minutes)
    return judge(state, items, reason=reason, draft_id="draft", looks=looks, waited=waited, cool_down=COOL_DOWN).then


@pytest.mark.parametrize("state", [State.SENDING, State.ACCEPTED])
def test_a_copy_that_left_ends_the_question(state: str) -> None:
    assert verdict(state, item(is_draft=False), item(is_draft=True), looks=0, minutes=0) == Then.SENT


@pytest.mark.parametrize("drafts", [0, 1, 2])
@pytest.mark.parametrize("reason", ["", "redrafted", "resubmitted"])
def test_drafts_are_disarmed_after_the_cool_down(drafts: int, reason: str) -> None:
    assert verdict(State.SENDING, *[DRAFT] * drafts, minutes=14, reason=reason) == Then.WAIT
    assert verdict(State.SENDING, *[DRAFT] * drafts, reason=reason) == Then.DISARM


@pytest.mark.parametrize("drafts", [1, 2])
def test_a_disarmed_draft_is_replaced_once_and_after_another_cool_down(drafts: int) -> None:
    """Its looks take a cool-down by themselves: a clock that jumped ahead shortens one pause at most."""
    found = [DISARMED_DRAFT] * drafts

    assert verdict(State.SENDING, *found, reason="disarmed", looks=3, minutes=75) == Then.WAIT
    assert verdict(State.SENDING, *found, reason="disarmed", looks=4) == Then.DRAFT_AGAIN
    assert verdict(State.SENDING, *found, reason="disarmed_again", looks=4) == Then.UNKNOWN


def test_a_draft_that_can_be_submitted_is_disarmed_once_more_whatever_the_row_says() -> None:
    """A restored database believes that the draft before it was disarmed; its owner may fill in the recipients."""
    assert verdict(State.SENDING, DISARMED_DRAFT, DRAFT, reason="disarmed", looks=4) == Then.DISARM
    assert verdict(State.SENDING, DISARMED_DRAFT, DRAFT, reason="disarmed_again", looks=4) == Then.UNKNOWN


def test_nothing_but_the_draft_of_an_earlier_attempt_is_for_a_person() -> None:
    earlier = replace(DISARMED_DRAFT, id="earlier")

    assert verdict(State.SENDING, reason="disarmed", looks=4) == Then.UNKNOWN
    assert verdict(State.SENDING, earlier, reason="disarmed", looks=4) == Then.UNKNOWN
    assert verdict(State.SENDING, earlier, DISARMED_DRAFT, reason="disarmed", looks=4) == Then.DRAFT_AGAIN


def test_a_clock_that_jumps_ahead_shortens_no_cool_down() -> None:
    assert verdict(State.SENDING, DRAFT, looks=LEAST_LOOKS - 1, minutes=75) == Then.WAIT


def test_nothing_found_while_drafting_counts_the_second_time() -> None:
    assert verdict(State.DRAFTING, looks=0) == Then.WAIT
    assert verdict(State.DRAFTING, DISARMED_DRAFT, looks=0) == Then.WAIT  # of an earlier attempt
    assert verdict(State.DRAFTING, looks=1) == Then.DRAFT_AGAIN
    assert verdict(State.DRAFTING, DRAFT, looks=0) == Then.DRAFT_AGAIN


def test_an_accepted_email_whose_copy_was_deleted_was_sent() -> None:
    assert verdict(State.ACCEPTED) == Then.SENT
    assert verdict(State.ACCEPTED, DISARMED_DRAFT) == Then.SENT
    assert verdict(State.ACCEPTED, DRAFT) == Then.WAIT
    assert verdict(State.ACCEPTED, DRAFT, minutes=25 * 60) == Then.UNKNOWN
