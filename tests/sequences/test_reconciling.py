"""What is found in the mailbox decides what became of an email, and a draft decides nothing for a long time."""

from datetime import UTC, datetime, timedelta

import pytest

from mailconnect.outbox import MailItem
from sequences.models import Message
from sequences.reconciling import LEAST_LOOKS, Then, judge

COOL_DOWN = timedelta(minutes=15)
State = Message.State


def item(*, is_draft: bool) -> MailItem:
    return MailItem(
        id="draft" if is_draft else "copy",
        is_draft=is_draft,
        internet_message_id="",
        conversation_id="",
        sent_at=None if is_draft else datetime(2026, 11, 24, tzinfo=UTC),
        to_addresses=("kim@candidates.example",),
        subject="Hello",
    )


def verdict(state: str, *items: MailItem, looks: int = LEAST_LOOKS, minutes: int = 20, again: bool = False) -> Then:
    waited = timedelta(minutes=minutes)
    return judge(state, items, looks=looks, waited=waited, cool_down=COOL_DOWN, again=again).then


@pytest.mark.parametrize("state", [State.SENDING, State.ACCEPTED])
def test_a_copy_that_left_ends_the_question(state: str) -> None:
    assert verdict(state, item(is_draft=False), item(is_draft=True), looks=0, minutes=0) == Then.SENT


def test_a_draft_is_adopted_once_and_only_after_the_cool_down() -> None:
    draft = item(is_draft=True)

    assert verdict(State.SENDING, draft, minutes=14) == Then.WAIT
    assert verdict(State.SENDING, draft) == Then.ADOPT
    assert verdict(State.SENDING, draft, again=True) == Then.UNKNOWN


def test_a_clock_that_jumps_ahead_shortens_no_cool_down() -> None:
    assert verdict(State.SENDING, item(is_draft=True), looks=LEAST_LOOKS - 1, minutes=75) == Then.WAIT


@pytest.mark.parametrize("drafts", [0, 2])
def test_nothing_and_two_drafts_are_for_a_person(drafts: int) -> None:
    assert verdict(State.SENDING, *[item(is_draft=True)] * drafts, minutes=14) == Then.WAIT
    assert verdict(State.SENDING, *[item(is_draft=True)] * drafts) == Then.UNKNOWN


def test_nothing_found_while_drafting_counts_the_second_time() -> None:
    assert verdict(State.DRAFTING, looks=0) == Then.WAIT
    assert verdict(State.DRAFTING, looks=1) == Then.DRAFT_AGAIN


def test_an_accepted_email_whose_copy_was_deleted_was_sent() -> None:
    assert verdict(State.ACCEPTED) == Then.SENT
    assert verdict(State.ACCEPTED, item(is_draft=True)) == Then.WAIT
    assert verdict(State.ACCEPTED, item(is_draft=True), minutes=25 * 60) == Then.UNKNOWN
