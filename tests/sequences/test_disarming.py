"""A draft that seems not to have left is disarmed before another takes its place: nobody can submit it late."""

import threading
import time
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connections

from accounts.models import User
from mailconnect import queue, tokens
from mailconnect.microsoft.graph import GraphClient, graph_root
from mailconnect.microsoft.wire import Wire
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Message, Sequence
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import active_sequence, connected, enrolled
from tests.sequences.test_sending import ALICE, pump, put_back_with_a_draft, states
from tests.sequences.test_sending_crashes import Sleeper, later, send_in_rounds

pytestmark = pytest.mark.django_db(transaction=True)
State = Message.State
# Minutes after the start: looks until the draft is disarmed, and until it is replaced.
UNTIL_DISARMED = (2, 3, 5, 10, 31)
UNTIL_REPLACED = (32, 33, 36, 42, 58)


@pytest.fixture
def sequence(alice: User, tenant: SandboxTenant, now: datetime) -> Sequence:
    return active_sequence(alice, connected(alice, tenant, now))


def look(now: datetime, *minutes: float) -> None:
    for each in minutes:
        pump(clock=later(now, minutes=each)).run(seconds=5)


def lose_the_answer(tenant: SandboxTenant, sequence: Sequence, now: datetime, *, times: int = 1) -> None:
    """The request to send never arrives, and nobody can know."""
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", "lost_before", times=times)
    look(now, 0)
    assert states() == {State.SENDING: 1}


def take_over(now: datetime) -> None:
    MailConnection.objects.filter(lease_owner__isnull=False).update(lease_until=now - timedelta(minutes=1), due_at=now)


def reasons() -> tuple[str, str, str]:
    message, enrollment = Message.objects.get(), Enrollment.objects.get()
    return message.reason, enrollment.state, enrollment.reason


def test_what_is_lost_a_second_time_is_for_a_person(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    lose_the_answer(tenant, sequence, now, times=-1)

    look(now, *UNTIL_DISARMED, *UNTIL_REPLACED)
    assert reasons() == ("resubmitted", Enrollment.State.ACTIVE, "")
    look(now, *(60 + minutes for minutes in (*UNTIL_DISARMED, *UNTIL_REPLACED)))

    assert states() == {State.UNKNOWN: 1}
    assert reasons() == ("outcome_unknown", Enrollment.State.HELD, "outcome_unknown")
    assert len(tenant.calls(ALICE, "send")) == 2
    assert [draft.to for draft in tenant.messages(ALICE, "drafts")] == [()]


def test_the_draft_of_an_earlier_attempt_proves_nothing(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    """It lies in Deleted Items. The second one left, its answer was lost, and its owner has deleted the copy."""
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "create_draft", "lost_after")
    tenant.fault(ALICE, "send", "lost_after")
    look(now, 0, 2, 3)
    (sent,) = tenant.sent(ALICE, 1)
    tenant.delete(ALICE, sent.id)

    look(now, *(3 + minutes for minutes in (*UNTIL_DISARMED, *UNTIL_REPLACED)))

    assert [mail.to for mail in tenant.messages(ALICE, "") if mail.is_draft] == [()]
    assert set(tenant.submits().values()) == {1}
    assert states() == {State.UNKNOWN: 1}


def test_is_disarmed_where_the_mailbox_sends_nothing_more_today(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    lose_the_answer(tenant, sequence, now)
    look(now, *UNTIL_DISARMED[:-1])
    MailConnection.objects.update(held_until=now + timedelta(hours=5), held_reason="daily_limit")
    looks = len(tenant.calls(ALICE, "list"))

    look(now, UNTIL_DISARMED[-1])

    assert reasons()[0] == "disarmed"
    assert len(tenant.calls(ALICE, "list")) - looks <= 2


def test_its_removal_survives_a_mailbox_that_rests(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    lose_the_answer(tenant, sequence, now)
    look(now, *UNTIL_DISARMED, *UNTIL_REPLACED[:-1])
    MailConnection.objects.update(held_until=now + timedelta(minutes=70), held_reason="daily_limit")

    look(now, UNTIL_REPLACED[-1], 75, 80)

    tenant.sent(ALICE, 1)
    assert tenant.messages(ALICE, "drafts") == []


@pytest.mark.parametrize(
    ("status", "code", "state", "enrollment"),
    [
        (503, "", State.SENDING, Enrollment.State.ACTIVE),
        (403, "ErrorAccessDenied", State.SENDING, Enrollment.State.ACTIVE),
        (400, "ErrorSomethingElse", State.UNKNOWN, Enrollment.State.HELD),
        (409, "ErrorSomethingElse", State.UNKNOWN, Enrollment.State.HELD),
    ],
)
def test_is_not_replaced_where_it_cannot_be_disarmed(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, status: int, code: str, state: str, enrollment: str
) -> None:
    lose_the_answer(tenant, sequence, now)
    tenant.fault(ALICE, "patch", "status", status=status, code=code, times=-1)

    look(now, *UNTIL_DISARMED, *UNTIL_REPLACED, 75)

    assert states() == {state: 1}
    assert reasons()[0] in ("", "outcome_unknown")
    assert Enrollment.objects.get().state == enrollment
    assert len(tenant.calls(ALICE, "send")) == 1


def test_is_removed_where_the_candidate_has_answered_meanwhile(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    lose_the_answer(tenant, sequence, now)
    look(now, *UNTIL_DISARMED)
    Enrollment.objects.update(state=Enrollment.State.STOPPED, reason="replied", due_at=None)

    look(now, *UNTIL_REPLACED, 70)

    assert states() == {State.CANCELLED: 1}
    assert tenant.messages(ALICE, "drafts") == []
    message = Message.objects.get()
    assert (message.permitted_at, message.receipt) == (None, "")


def test_a_draft_of_which_nobody_heard_is_removed_however_often_that_fails(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "create_draft", "lost_after")
    look(now, 0)
    Enrollment.objects.update(state=Enrollment.State.STOPPED, reason="replied", due_at=None)
    tenant.fault(ALICE, "patch", "status", status=503, times=2)

    look(now, 2, 3, 4, 66, 130)

    assert states() == {State.CANCELLED: 1}
    assert tenant.messages(ALICE, "drafts") == []


def test_once_is_once_even_if_the_second_draft_was_made_twice(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    lose_the_answer(tenant, sequence, now)
    look(now, *UNTIL_DISARMED, *UNTIL_REPLACED[:-1])
    tenant.fault(ALICE, "create_draft", "lost_after")
    tenant.fault(ALICE, "send", "lost_before")

    look(now, UNTIL_REPLACED[-1], 60, 62)
    assert states() == {State.SENDING: 1}
    look(now, *(62 + minutes for minutes in (*UNTIL_DISARMED, *UNTIL_REPLACED)))

    assert states() == {State.UNKNOWN: 1}
    assert len(tenant.calls(ALICE, "send")) == 2


def test_a_draft_whose_removal_is_refused_is_not_forgotten(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    """Of an email that was put back: its next draft is to take the place of the first."""
    put_back_with_a_draft(sequence, now)
    tenant.fault(ALICE, "patch", "status", status=409, code="ErrorSomethingElse")

    look(now, 0, 62)

    assert states() == {State.FAILED: 1}
    assert tenant.messages(ALICE, "drafts") == []


def test_what_nobody_can_tell_begins_anew_by_nobodys_word(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    """Of a restored database, whose row says that it was only drafted; then its candidate is let go on."""
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", "throttled", retry_after="1")
    look(now, 0)
    Message.objects.update(state=State.FAILED, reason="outcome_unknown", check_at=None)
    Enrollment.objects.update(due_at=now)
    MailConnection.objects.update(due_at=now)

    look(now, 2)

    assert states() == {State.FAILED: 1}
    assert tenant.submits() == {}


def test_a_mailbox_that_sends_nothing_more_today_is_left_alone_when_microsoft_says_so(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 12, now)
    tenant.fault(ALICE, "send", "lost_before", times=-1)
    for minutes in range(0, 20, 2):
        look(now, minutes)
    tenant.clear_faults(ALICE)
    MailConnection.objects.update(held_until=now + timedelta(hours=20), held_reason="daily_limit")
    Message.objects.update(check_at=now + timedelta(minutes=20))
    MailConnection.objects.update(due_at=now)
    tenant.fault(ALICE, "list", "throttled", retry_after="600", times=-1)
    before = len(tenant.calls(ALICE, "list"))

    look(now, 20)

    asked = len(tenant.calls(ALICE, "list")) - before
    assert 1 <= asked <= 3  # as many as are under way at once
    checked = [message.check_at - now for message in Message.objects.filter(state=State.SENDING) if message.check_at]
    assert len(checked) > 3
    assert timedelta(minutes=29) < min(checked) <= max(checked) < timedelta(minutes=36)


def test_those_whom_its_owner_copied_in_get_nothing_either(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    zombie = Sleeper("send.passed")
    message = Message.objects.get()
    wire = Wire(graph_root())
    graph = GraphClient(wire, message.connection_id, tokens.access_token(message.connection_id))
    copied = {"bccRecipients": [{"emailAddress": {"address": "crm@demo.example"}}]}
    graph._call("PATCH", f"/me/messages/{message.draft_id}", copied, expected=200)
    wire.close()
    take_over(now)
    send_in_rounds(tenant, now, 2, 3, 4, 7, 13, 29)

    zombie.wake()
    send_in_rounds(tenant, now, 30, 31, 34, 40, 56, 57)

    assert [mail.to for mail in tenant.sent(ALICE, 1)] == [(message.to_address,)]
    assert [call.status for call in tenant.calls(ALICE, "send")] == [400, 202]


class FrozenWorker:
    """A worker that freezes as a whole before its first byte, is woken later, and hears the answer later still."""

    def __init__(self, now: datetime) -> None:
        self.moment = now
        self._frozen, self._woken, self._answered = threading.Event(), threading.Event(), threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._frozen.wait(20)

    def _run(self) -> None:
        try:
            pump(observe=self._observe, clock=self._clock, stop=lambda: self._over).run(seconds=30)
        finally:
            connections.close_all()

    def _clock(self) -> datetime:
        if self._frozen.is_set():
            self._woken.wait()
        return self.moment

    def _observe(self, point: str) -> None:
        if point == "send.passed" and not self._frozen.is_set():
            self._frozen.set()
            self._woken.wait()
        elif point in ("send.after", "find.before") and self._woken.is_set():
            self._answered.wait()

    def wake(self, moment: datetime) -> None:
        self.moment = moment
        self._woken.set()

    def end(self) -> None:
        self._answered.set()
        self._over = True
        self._thread.join()


def test_a_late_answer_says_nothing_of_the_candidate(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    """Its mailbox is the frozen worker's again, under another lease: "no recipients" is of the old one."""
    enrolled(sequence, 1, now)
    worker = FrozenWorker(now)
    take_over(now)
    send_in_rounds(tenant, now, 2, 3, 4, 7, 13, 29)
    assert reasons()[0] == "disarmed"

    worker.wake(now + timedelta(minutes=30))
    give_up_at = time.monotonic() + 20
    while not tenant.calls(ALICE, "send") or not MailConnection.objects.get().lease_owner:
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    worker.end()

    assert [call.status for call in tenant.calls(ALICE, "send")] == [400]
    assert reasons()[1:] == (Enrollment.State.ACTIVE, "")
    send_in_rounds(tenant, now, 31, 32, 34, 37, 43, 60, 61)
    tenant.sent(ALICE, 1)


def test_after_a_restore_it_counts_as_never_resubmitted(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", "throttled", retry_after="120")
    look(now, 0)
    assert states() == {State.DRAFTED: 1}
    Message.objects.update(reason="resubmitted", attempts=3)
    call_command("restored")

    look(now, *(3 + minutes for minutes in (*UNTIL_DISARMED, *UNTIL_REPLACED)))

    tenant.sent(ALICE, 1)


def test_the_look_before_a_first_draft_passes_over_disarmed_ones(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    queue.mark_restored(now)
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "create_draft", "lost_after")

    look(now, 0, 2, 17, 18, 20)

    tenant.sent(ALICE, 1)
    assert [mail.to for mail in tenant.messages(ALICE, "") if mail.is_draft] == [()]
