"""Sending what is due."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connections

from accounts.models import Notification, User
from mailconnect import bulk
from mailconnect.models import DelegationGrant, FirstEmailApproval, MailConnection
from sequences import first_emails
from sequences.models import Enrollment, Message, Sequence, Step, Suppression
from sequences.receipts import verify_all
from sequences.sending import Pace, Pump, picking
from sequences.sending.pace import Breaker
from tests.at_once import at_once
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.making import message_of
from tests.sequences.outreach import active_sequence, connected, enrolled

pytestmark = pytest.mark.django_db(transaction=True)
State = Message.State
ALICE = "alice@demo.example"


def pace(**fields: Any) -> Pace:
    return Pace(**{"per_minute": None} | fields)


def pump(**fields: Any) -> Pump:
    """With no memory of what other tests did to Microsoft."""
    given: dict[str, Any] = {"pace": pace(), "in_flight": 8, "breaker": Breaker()}
    return Pump(**given | fields)


@pytest.fixture
def mailbox(alice: User, tenant: SandboxTenant, now: datetime) -> MailConnection:
    return connected(alice, tenant, now)


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    return active_sequence(alice, mailbox)


def states() -> Counter[str]:
    return Counter(Message.objects.values_list("state", flat=True))


def due(sequence: Sequence) -> datetime | None:
    connection = sequence.connection
    assert connection
    connection.refresh_from_db()
    return connection.due_at


def test_delivers_every_due_email_once_and_finishes(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 10, now)

    pump().run(seconds=20)

    sent = tenant.sent(ALICE, 10)
    assert {mail.to for mail in sent} == {(f"candidate{index}@talent.example",) for index in range(10)}
    assert set(tenant.submits().values()) == {1}
    assert "Hello Casey" in sent[0].text
    found = set(Enrollment.objects.values_list("state", "due_at", "next_position"))
    assert found == {(Enrollment.State.FINISHED, None, 2)}
    assert states() == {State.ACCEPTED: 10}


def test_settles_when_the_copy_is_in_sent_items(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 3, now)

    pump(pace=pace(settle_seconds=0.5)).run(seconds=5, linger=True)

    ids = {mail.id for mail in tenant.sent(ALICE, 3)}
    assert states() == {State.SENT: 3}
    assert set(Message.objects.values_list("sent_id", flat=True)) == ids
    assert due(sequence) is None
    assert len(tenant.calls(ALICE, "list")) == 1


def test_continues_the_thread(tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime) -> None:
    enrolled(active_sequence(alice, mailbox, ("<p>Hello</p>", "<p>Any thoughts, {{ first_name }}?</p>")), 2, now)
    tenant.turn(id_changes_on_send=True)

    pump().run(seconds=5)
    tenant.sent(ALICE, 2)
    for minutes in (1, 2):
        pump(clock=lambda minutes=minutes: now + timedelta(minutes=minutes)).run(seconds=5)

    first, second, *_ = sorted(tenant.sent(ALICE, 4), key=lambda mail: mail.sent_at)
    replies = [mail for mail in tenant.messages(ALICE) if mail.in_reply_to]
    assert len(replies) == 2
    for reply in replies:
        answered = next(mail for mail in (first, second) if mail.internet_message_id == reply.in_reply_to)
        assert reply.to == answered.to
        assert reply.conversation_id == answered.conversation_id
        assert "Any thoughts, Casey" in reply.text
        assert reply.subject.lower() == f"re: {answered.subject.lower()}"


@pytest.mark.parametrize("workers", [2])
def test_shares_200_emails_between_workers_and_sends_each_once(
    alice: User, bob: User, tenant: SandboxTenant, now: datetime, workers: int
) -> None:
    for person in (alice, bob):
        connection = connected(person, tenant, now)
        for _ in range(2):
            enrolled(active_sequence(person, connection), 50, now)

    at_once(*[lambda: pump(in_flight=4).run(seconds=40)] * workers)

    assert len(tenant.sent(ALICE, 100)) == len(tenant.sent("bob@demo.example", 100)) == 100
    assert Counter(tenant.submits().values()) == {1: 200}
    assert states() == {State.ACCEPTED: 200}


@pytest.mark.parametrize("kind", ["lost_after", "status_after", "html_after"])
def test_repeats_nothing_when_an_answer_is_lost(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, kind: str
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", kind)
    later = now + timedelta(minutes=2)

    pump().run(seconds=5)
    assert states() == {State.SENDING: 1}
    tenant.sent(ALICE, 1)
    pump(clock=lambda: later).run(seconds=5)

    assert states() == {State.SENT: 1}
    assert set(tenant.submits().values()) == {1}
    assert Enrollment.objects.get().state == Enrollment.State.FINISHED


def test_replaces_a_draft_that_was_never_submitted_after_two_cool_downs(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", "lost_before")
    for minutes in (0, 2, 5, 10, 31, 32, 33, 36, 42):
        pump(clock=lambda minutes=minutes: now + timedelta(minutes=minutes)).run(seconds=5)
        assert states() == {State.SENDING: 1}
        (draft,) = tenant.messages(ALICE, "drafts")
        assert bool(draft.to) == (minutes < 31)  # from then on nobody can submit it

    pump(clock=lambda: now + timedelta(minutes=58)).run(seconds=5)

    tenant.sent(ALICE, 1)
    assert set(tenant.submits().values()) == {1}
    assert tenant.messages(ALICE, "drafts") == []
    assert Message.objects.get().reason == "resubmitted"


def test_leaves_to_a_person_what_cannot_be_found_out(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", "lost_before")
    pump().run(seconds=5)
    for mail in tenant.messages(ALICE, ""):
        tenant.delete(ALICE, mail.id)

    for minutes in (2, 5, 10, 40, 41, 42, 45, 51, 67):
        pump(clock=lambda minutes=minutes: now + timedelta(minutes=minutes)).run(seconds=5)

    assert states() == {State.UNKNOWN: 1}
    enrollment = Enrollment.objects.get()
    assert (enrollment.state, enrollment.reason) == (Enrollment.State.HELD, "outcome_unknown")
    assert tenant.submits() == {}
    assert [call.status for call in tenant.calls(ALICE, "patch")] == [404]  # it may be there, and not be found


@pytest.mark.parametrize("kind", ["lost_after", "lost_before", "garbage"])
def test_drafts_again_when_a_draft_is_not_certain(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, kind: str
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "create_draft", kind)

    for minutes in (0, 2, 5, 6):
        pump(clock=lambda minutes=minutes: now + timedelta(minutes=minutes)).run(seconds=5)

    tenant.sent(ALICE, 1)
    assert len(tenant.messages(ALICE, "drafts")) == 0
    assert set(tenant.submits().values()) == {1}


@pytest.mark.parametrize("call", ["create_draft", "send"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "throttled", "retry_after": "120"}, "throttled"),
        ({"kind": "throttled"}, "throttled"),
    ],
)
def test_rests_a_throttled_mailbox_as_long_as_microsoft_asks_and_delays_no_other(
    alice: User, bob: User, tenant: SandboxTenant, now: datetime, call: str, fault: dict[str, Any], reason: str
) -> None:
    throttled = connected(alice, tenant, now)
    enrolled(active_sequence(alice, throttled), 3, now)
    enrolled(active_sequence(bob, connected(bob, tenant, now)), 3, now)
    tenant.fault(ALICE, call, times=-1, **fault)

    pump().run(seconds=5)

    tenant.sent("bob@demo.example", 3)
    throttled.refresh_from_db()
    least = timedelta(seconds=float(fault.get("retry_after", 5)))
    assert throttled.held_reason == reason
    assert throttled.held_until
    assert throttled.held_until >= now + least
    assert throttled.due_at == throttled.held_until
    assert len(tenant.calls(ALICE, call)) <= 3

    tenant.clear_faults()
    pump(clock=lambda: throttled.held_until + timedelta(seconds=1)).run(seconds=5)
    tenant.sent(ALICE, 3)
    assert set(tenant.submits().values()) == {1}


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        ("ErrorInvalidRecipients", Enrollment.State.STOPPED, "recipient_refused"),
        ("ErrorInvalidRequest", Enrollment.State.HELD, "message_failed"),
    ],
)
@pytest.mark.parametrize("call", ["create_draft", "send"])
def test_shows_a_person_what_microsoft_refuses(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, call: str, code: str, state: str, reason: str
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, call, "status", status=400, code=code)

    for _ in range(2):
        pump().run(seconds=5)

    enrollment = Enrollment.objects.get()
    message = Message.objects.get()
    assert (enrollment.state, enrollment.reason) == (state, reason)
    assert (message.state, message.reason, message.check_at) == (State.FAILED, code, None)
    assert tenant.messages(ALICE, "drafts") == []


def test_begins_anew_without_the_receipt_of_a_text_that_never_left(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "send", "status", status=400, code="ErrorInvalidRequest")
    pump().run(seconds=5)
    assert list(verify_all()) == []

    tenant.clear_faults()
    tenant.fault(ALICE, "create_draft", "status", status=400, code="ErrorInvalidRequest")
    Step.objects.update(body="<p>Another text</p>")
    Enrollment.objects.update(state=Enrollment.State.ACTIVE, reason="", due_at=now)
    MailConnection.objects.update(due_at=now)
    pump().run(seconds=5)

    assert "Another text" in Message.objects.get().body_html
    assert list(verify_all()) == []


@pytest.mark.parametrize("call", ["create_draft", "send"])
def test_holds_the_mailbox_when_microsoft_speaks_of_it(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, call: str
) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, call, "status", status=403, code="ErrorMessageSubmissionBlocked")

    pump().run(seconds=5)
    connection = MailConnection.objects.get()
    assert (connection.held_reason, Enrollment.objects.get().state) == ("submission_blocked", "active")
    pump(clock=lambda: now + timedelta(hours=25)).run(seconds=5)

    tenant.sent(ALICE, 1)


def test_takes_a_new_token_when_the_old_one_is_rejected(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 2, now)
    tenant.fault(ALICE, "create_draft", "unauthorized")

    pump().run(seconds=5)
    pump(clock=lambda: now + timedelta(minutes=2)).run(seconds=5)

    assert len(tenant.calls(ALICE, "token")) == 1
    tenant.sent(ALICE, 2)


def test_waits_while_the_owner_is_away_and_goes_on_afterwards(
    tenant: SandboxTenant, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    MailConnection.objects.update(settings_read_at=now - timedelta(minutes=16))
    tenant.away(ALICE, since=now - timedelta(days=1), until=now + timedelta(days=3))

    pump().run(seconds=5)
    mailbox.refresh_from_db()
    assert mailbox.held_reason == "away"
    assert mailbox.away_until == now.replace(microsecond=0) + timedelta(days=3)
    assert tenant.messages(ALICE, "") == []

    tenant.back(ALICE)
    pump(clock=lambda: now + timedelta(minutes=17)).run(seconds=5)
    tenant.sent(ALICE, 1)


def test_sends_although_away_where_the_owner_says_so(
    tenant: SandboxTenant, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    enrolled(sequence, 1, now)
    MailConnection.objects.update(automatic_replies="always", send_while_away=True)

    pump().run(seconds=5)

    tenant.sent(ALICE, 1)


def test_waits_for_the_window_to_open(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    tomorrow = str((now + timedelta(days=1)).isoweekday())
    Sequence.objects.update(window_days=tomorrow, time_zone="UTC")
    enrolled(sequence, 1, now)

    pump().run(seconds=5)

    due_at = Enrollment.objects.get().due_at
    assert due_at == (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert due(sequence) == due_at
    assert tenant.messages(ALICE, "") == []


def test_keeps_to_the_daily_limit(
    tenant: SandboxTenant, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    MailConnection.objects.update(daily_limit=3, time_zone="UTC")
    enrolled(sequence, 5, now)

    pump().run(seconds=5)

    assert len(tenant.sent(ALICE, 3)) == 3
    mailbox.refresh_from_db()
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (mailbox.sent_count, mailbox.held_reason, mailbox.held_until) == (3, "daily_limit", midnight)
    pump(clock=lambda: midnight + timedelta(minutes=1)).run(seconds=5)
    assert len(tenant.sent(ALICE, 5)) == 5


def test_keeps_a_distance_and_serves_sequences_in_turn(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    MailConnection.objects.update(spacing_seconds=60)
    for sequence in (active_sequence(alice, mailbox), active_sequence(alice, mailbox)):
        enrolled(sequence, 20, now)

    for minute in range(20):
        moment = now + timedelta(seconds=76 * minute)
        pump(clock=lambda moment=moment: moment).run(seconds=5)
        assert len(Message.objects.all()) == minute + 1

    shares = Counter(Message.objects.values_list("sequence", flat=True))
    assert len(shares) == 2
    assert min(shares.values()) >= 3


def test_never_outruns_30_a_minute(
    tenant: SandboxTenant, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    enrolled(sequence, 5, now)

    pump(pace=Pace()).run(seconds=5, linger=True)

    assert 2 <= len(tenant.messages(ALICE, "")) <= 3


def test_holds_back_a_missing_value_and_sends_the_rest(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    sequence = active_sequence(alice, mailbox, ("<p>Hello {{ first_name }} of {{ company }}</p>",))
    held, sent = enrolled(sequence, 2, now)
    type(sent.candidate).objects.filter(pk=sent.candidate_id).update(company="Initech")

    pump().run(seconds=5)

    held.refresh_from_db()
    assert (held.state, held.reason, held.detail) == (Enrollment.State.HELD, "missing_value", "company")
    assert "of Initech" in tenant.sent(ALICE, 1)[0].text


def test_never_writes_to_a_suppressed_address(
    tenant: SandboxTenant, sequence: Sequence, alice: User, now: datetime
) -> None:
    (enrollment,) = enrolled(sequence, 1, now)
    Suppression.objects.create(organization=alice.organization, email=enrollment.candidate.email.upper())

    pump().run(seconds=5)

    enrollment.refresh_from_db()
    assert (enrollment.state, enrollment.reason) == (Enrollment.State.STOPPED, "suppressed")
    assert tenant.messages(ALICE, "") == []


def test_leaves_paused_sequences_alone(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 2, now)
    Sequence.objects.update(state=Sequence.State.PAUSED)

    pump().run(seconds=5)

    assert states() == {}
    assert due(sequence) is None


def test_pauses_once_what_has_no_permission_and_puts_no_draft_anywhere(
    tenant: SandboxTenant, bob: User, mailbox: MailConnection, now: datetime
) -> None:
    sequence = active_sequence(bob, mailbox)
    enrolled(sequence, 4, now)

    pump().run(seconds=5)

    sequence.refresh_from_db()
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.PAUSED, "no_permission")
    assert Notification.objects.filter(kind="sequence_paused").count() == 1
    assert tenant.messages(ALICE, "") == []
    assert Enrollment.objects.filter(due_at__isnull=False, state="active").count() == 4


def test_goes_on_where_it_stopped_once_it_is_allowed_again(
    tenant: SandboxTenant, bob: User, mailbox: MailConnection, now: datetime
) -> None:
    grant = DelegationGrant.objects.create(connection=mailbox, grantee=bob, granted_by=mailbox.owner)
    sequence = active_sequence(bob, mailbox)
    enrolled(sequence, 4, now)

    def revoke_after_the_first_draft(point: str) -> None:
        if point == "draft.after":
            DelegationGrant.objects.filter(pk=grant.pk).update(archived_at=now, archived_reason="revoked")
            connections.close_all()

    pump(observe=revoke_after_the_first_draft, in_flight=1).run(seconds=5)
    assert states()[State.REFUSED] >= 1
    assert tenant.messages(ALICE) == []
    DelegationGrant.objects.create(connection=mailbox, grantee=bob, granted_by=mailbox.owner)
    Sequence.objects.update(state=Sequence.State.ACTIVE, paused_reason="")
    MailConnection.objects.update(due_at=now)
    for minutes in (0, 2):
        pump(clock=lambda minutes=minutes: now + timedelta(minutes=minutes)).run(seconds=5)

    assert len(tenant.sent(ALICE, 4)) == 4
    assert tenant.messages(ALICE, "drafts") == []
    assert set(tenant.submits().values()) == {1}


def test_waits_for_the_owners_word_to_the_first_email(
    tenant: SandboxTenant, bob: User, mailbox: MailConnection, now: datetime
) -> None:
    DelegationGrant.objects.create(connection=mailbox, grantee=bob, granted_by=mailbox.owner, approve_first_email=True)
    sequence = active_sequence(bob, mailbox)
    enrolled(sequence, 3, now)

    pump().run(seconds=5)
    approval = FirstEmailApproval.objects.get()
    assert Message.objects.filter(key=approval.message_key, state=State.PLANNED).exists()
    assert tenant.messages(ALICE, "") == []
    unread = Notification.objects.filter(user=mailbox.owner, kind="first_email", read_at=None)
    assert unread.count() == 1
    first_emails.approve(approval=approval, actor=mailbox.owner, now=now)
    pump(clock=lambda: now + timedelta(seconds=1)).run(seconds=5)

    assert len(tenant.sent(ALICE, 3)) == 3
    assert not unread.exists()


def test_waits_for_tomorrow_when_a_permissions_cap_is_reached(
    tenant: SandboxTenant, bob: User, mailbox: MailConnection, now: datetime
) -> None:
    DelegationGrant.objects.create(connection=mailbox, grantee=bob, granted_by=mailbox.owner, daily_cap=2)
    sequence = active_sequence(bob, mailbox)
    enrolled(sequence, 5, now)

    pump().run(seconds=5)

    assert len(tenant.sent(ALICE, 2)) == 2
    sequence.refresh_from_db()
    assert (sequence.state, sequence.held_reason) == (Sequence.State.ACTIVE, "grant_cap")
    pump(clock=lambda: now + timedelta(days=1, minutes=5)).run(seconds=5)
    assert len(tenant.sent(ALICE, 4)) == 4


def test_gives_up_a_thread_whose_first_email_is_gone(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    sequence = active_sequence(alice, mailbox, ("<p>Hello</p>", "<p>Again</p>"))
    Step.objects.filter(position=2).update(delay=2)
    enrolled(sequence, 1, now)
    pump(pace=pace(settle_seconds=0.2)).run(seconds=3, linger=True)
    assert states() == {State.SENT: 1}
    tenant.delete(ALICE, tenant.sent(ALICE, 1)[0].id)

    pump(clock=lambda: now + timedelta(hours=3)).run(seconds=5)

    enrollment = Enrollment.objects.get()
    assert (enrollment.state, enrollment.reason) == (Enrollment.State.HELD, "thread_lost")


def test_ends_by_itself_when_nothing_is_due(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    assert pump().run(seconds=60).rounds < 10


def test_leaves_only_in_the_name_of_whom_the_sequence_belongs_to(
    tenant: SandboxTenant, mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    """The pump knows a sequence for seconds; what is committed counts."""
    DelegationGrant.objects.create(connection=mailbox, grantee=bob, granted_by=alice)
    sequence = active_sequence(bob, mailbox)
    enrolled(sequence, 3, now)

    def goes_to_alice(point: str) -> None:
        if point == "begin.after_commit":
            Sequence.objects.update(owner=alice)

    pump(observe=goes_to_alice).run(seconds=8)

    assert set(Message.objects.exclude(permitted_to=None).values_list("permitted_to__email", flat=True)) <= {ALICE}
    assert not set(verify_all())


def test_what_was_withdrawn_while_it_was_drafted_is_ended(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 3, now)

    def withdraw_two(point: str) -> None:
        if point == "begin.after_commit":
            Suppression.objects.create(organization=sequence.organization, email="CANDIDATE0@talent.example")
            unenrolled = Enrollment.objects.filter(candidate__email="candidate1@talent.example")
            unenrolled.update(state=Enrollment.State.STOPPED, reason="unenrolled", due_at=None)

    pump(observe=withdraw_two).run(seconds=8)

    assert [mail.to for mail in tenant.sent(ALICE, 1)] == [("candidate2@talent.example",)]
    ended = Message.objects.filter(state=State.CANCELLED).order_by("to_address")
    assert list(ended.values_list("reason", "enrollment__state", "enrollment__reason")) == [
        ("suppressed", Enrollment.State.STOPPED, "suppressed"),
        ("", Enrollment.State.STOPPED, "unenrolled"),
    ]


def test_an_enrollment_that_was_stopped_meanwhile_is_not_written(sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 2, now)
    (mailbox,) = picking.lease_mailboxes(uuid4(), picking.Memory(), now=now, limit=1)
    places = picking.due_places([mailbox.id], now=now, limit=5)
    stopped, goes_on = places[mailbox.id][sequence.pk]
    Enrollment.objects.filter(pk=stopped).update(state=Enrollment.State.STOPPED, reason="unenrolled", due_at=None)

    found = picking.due_enrollments({stopped: mailbox, goes_on: mailbox})

    assert [one.id for one in found] == [goes_on]


@pytest.mark.postgres  # SQLite has no such settings
def test_postgresql_goes_by_index_while_a_pump_runs(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    def told() -> tuple[str, ...]:
        names = ("idle_in_transaction_session_timeout", "enable_seqscan", "join_collapse_limit")
        return tuple(bulk.fetch(f"SHOW {name}")[0][0] for name in names)

    enrolled(sequence, 1, now)
    usual, meanwhile = told(), set()

    pump(observe=lambda point: meanwhile.add(told()) if point.endswith("_commit") else None).run(seconds=5)

    assert meanwhile == {("10s", "off", "1")}
    assert told() == usual


def test_nothing_begins_of_a_sequence_that_was_paused_after_it_was_planned(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 1, now)

    def observe(point: str) -> None:
        if point == "begin.before_commit":
            Sequence.objects.filter(pk=sequence.pk).update(state=Sequence.State.PAUSED)

    pump(observe=observe).run(seconds=2)

    assert states() == Counter()
    assert Enrollment.objects.get().due_at is not None


def put_back_with_a_draft(sequence: Sequence, now: datetime) -> None:
    """Its sequence was paused while the draft was made; it is active again."""
    enrolled(sequence, 1, now)
    paused = Sequence.objects.filter(pk=sequence.pk)

    def pause(point: str) -> None:
        if point == "begin.after_commit":
            paused.update(state=Sequence.State.PAUSED)

    pump(observe=pause).run(seconds=3)
    paused.update(state=Sequence.State.ACTIVE)
    MailConnection.objects.update(due_at=now)


def test_a_draft_that_was_put_back_is_replaced(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    put_back_with_a_draft(sequence, now)
    assert len(tenant.messages(ALICE, "drafts")) == 1
    pump().run(seconds=3)

    assert len(tenant.sent(ALICE, 1)) == 1
    assert tenant.messages(ALICE, "drafts") == []


def test_nothing_begins_once_it_is_told_to_end(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 3, now)

    pump(stop=MailConnection.objects.filter(lease_owner__isnull=False).exists).run(seconds=5)

    assert states() == Counter()
    assert Enrollment.objects.filter(due_at__isnull=False).count() == 3
    assert due(sequence)
    assert MailConnection.objects.get().lease_owner is None


def test_removing_an_old_draft_leaves_alone_what_has_begun_anew(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    """The draft of a refused email is removed slowly; meanwhile the email is allowed, drafted anew, and sent."""
    [enrollment] = enrolled(sequence, 1, now)
    old = {"reason": "not_connected", "draft_id": "gone", "check_at": now - timedelta(minutes=1)}
    message_of(enrollment, sequence.steps.get(), State.REFUSED, now, **old)
    on_its_way = threading.Event()

    def observe(point: str) -> None:
        if point == "remove.before":
            assert on_its_way.wait(10)
        elif point == "send.before":
            on_its_way.set()
            time.sleep(0.3)

    pump(observe=observe).run(seconds=5)

    assert len(tenant.sent(ALICE, 1)) == 1
    assert states() == {State.ACCEPTED: 1}


def test_removing_an_old_draft_leaves_alone_the_draft_of_a_second_refusal(
    tenant: SandboxTenant, mailbox: MailConnection, bob: User, now: datetime
) -> None:
    """As above, but it is refused again before the removal of its old draft comes back: the new draft goes, too."""
    DelegationGrant.objects.create(connection=mailbox, grantee=bob, granted_by=mailbox.owner)
    sequence = active_sequence(bob, mailbox)
    [enrollment] = enrolled(sequence, 1, now)
    old = {"reason": "no_permission", "draft_id": "gone", "check_at": now - timedelta(minutes=1)}
    message_of(enrollment, sequence.steps.get(), State.REFUSED, now, **old)
    refused_again = threading.Event()

    def observe(point: str) -> None:
        if point == "remove.before":
            assert refused_again.wait(10)
        elif point == "begin.after_commit":
            DelegationGrant.objects.update(archived_at=now, archived_reason="revoked")
        elif point == "refuse.after_commit":
            refused_again.set()

    pump(observe=observe).run(seconds=5)

    assert states() == {State.REFUSED: 1}
    assert len(tenant.calls(ALICE, "create_draft")) == 1
    assert tenant.messages(ALICE, "drafts") == []


@pytest.mark.postgres
def test_no_round_goes_through_a_table(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    """Although PostgreSQL believes that few rows fit, and is tempted to compare them all with each of the round's."""
    sequence, *_ = [active_sequence(alice, mailbox) for _ in range(10)]
    enrolled(sequence, 200, now)
    pump(pace=pace(burst=100)).run(seconds=0.5)
    assert Message.objects.count() >= 100
    bulk.fetch("ANALYZE")
    plans: dict[str, str] = {}

    def explain(execute: Callable[..., Any], sql: str, params: Any, *others: Any) -> Any:
        if "unnest" in sql:
            explained = psycopg.Cursor(connections["default"].connection).execute(f"EXPLAIN {sql}", params)
            plans[sql] = "\n".join(line for (line,) in explained)
        return execute(sql, params, *others)

    def begun() -> bool:
        return any("INSERT INTO sequences_message" in sql for sql in plans)

    enrolled(sequence, 100, now)
    with connections["default"].execute_wrapper(explain):
        pump(pace=pace(burst=100), stop=begun).run(seconds=10)

    gone_through = re.compile(r"Scan (using \w+ )?on sequences_[^\n]*(\n|\Z)(?! +(Index|Recheck) Cond)")
    assert begun()
    assert [plan for plan in plans.values() if gone_through.search(plan)] == []


@pytest.mark.postgres
def test_ends_well_when_the_database_goes_away_last(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 1, now)
    passed: list[str] = []

    def cut_off_after_the_work() -> bool:
        if passed[-1:] != ["release.after_commit"]:
            return False
        backend = connections["default"].connection.info.backend_pid
        at_once(lambda: bulk.fetch("SELECT pg_terminate_backend(%s)", [backend]))
        return True

    tally = pump(observe=passed.append, stop=cut_off_after_the_work).run(seconds=5)

    assert tally.accepted == 1
    connections["default"].close()
