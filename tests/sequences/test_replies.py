"""What follows from an email that came in, and how a person corrects it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import AuditEvent, Notification, User
from mailconnect.models import MailConnection
from sequences.models import Enrollment, IncomingMail, Message, Sequence, Suppression
from sequences.replies.correcting import correct
from sequences.replies.looking import look_into, mailboxes_to_look_into, take_in
from tests.mailconnect.owning import connected
from tests.sandbox_tenant import SandboxTenant
from tests.sequences import outreach
from tests.sequences.already_sent import running_sequence, sent, sent_in
from tests.sequences.letters import RECEIVED_AT, from_file, letter

Kind = IncomingMail.Kind
CLEO = "cleo@candidate.example"
OURS = "<OURS1@demo.example>"
SENT_AT = RECEIVED_AT - timedelta(hours=2)
NOW = RECEIVED_AT + timedelta(minutes=1)


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, SENT_AT)


@pytest.fixture
def sequence(mailbox: MailConnection, bob: User) -> Sequence:
    """Bob's, sent from Alice's mailbox."""
    return running_sequence(mailbox, SENT_AT, owner=bob)


@pytest.fixture
def message(sequence: Sequence) -> Message:
    return sent(sequence, CLEO, at=SENT_AT, internet_message_id=OURS, conversation_id="C1", first_name="Cleo")


def came_in(mailbox: MailConnection, **facts: object) -> IncomingMail | None:
    """An email comes in: Cleo's answer, unless `facts` differ."""
    usual = {"answers": (OURS,), "read_text": lambda: "Sounds good."}
    mail = replace(letter(), **usual | facts)  # type: ignore[arg-type]
    return take_in(mail, connection=mailbox, now=NOW)


def enrollment_of(message: Message) -> Enrollment:
    return Enrollment.objects.get(pk=message.enrollment_id)


def answered(mailbox: MailConnection, kind: str) -> IncomingMail:
    """Cleo's answer of this kind has been taken in."""
    facts: dict[str, dict[str, object]] = {
        Kind.REPLY: {},
        Kind.AUTO_REPLY: {"headers": (("Auto-Submitted", "auto-replied"),), "read_text": lambda: "Back on 3 December."},
        Kind.OPT_OUT: {"read_text": lambda: "unsubscribe"},
        Kind.BOUNCE: {
            "item_class": "REPORT.IPM.Note.NDR",
            "read_mime": lambda: b"Content-Type: text/plain\n\n550 5.1.1 unknown",
        },
    }
    mail = came_in(mailbox, **facts[kind])
    assert mail
    assert mail.kind == kind
    return mail


# --- Through the wire ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "state", "reason"),
    [
        ("human", Kind.REPLY, "stopped", "replied"),
        ("unsubscribe", Kind.OPT_OUT, "stopped", "suppressed"),
        ("bounce", Kind.BOUNCE, "stopped", "bounced"),
        ("auto_reply", Kind.AUTO_REPLY, "active", ""),
        ("internal_auto_reply", Kind.AUTO_REPLY, "active", ""),
        ("delayed", Kind.OTHER, "active", ""),
    ],
)
def test_tells_answers_apart_in_a_mailbox(
    tenant: SandboxTenant, alice: User, now: datetime, answer: str, kind: str, state: str, reason: str
) -> None:
    mailbox = outreach.connected(alice, tenant, now)
    message = sent_in(tenant, running_sequence(mailbox, now), CLEO, at=now)
    tenant.reply_as_candidate(mailbox.address, answer)

    assert look_into(mailbox.pk, now + timedelta(minutes=1))

    mail = IncomingMail.objects.get()
    assert (mail.kind, mail.message) == (kind, message)
    enrollment = enrollment_of(message)
    assert (enrollment.state, enrollment.reason) == (state, reason)


def test_takes_in_each_answer_once_and_no_other_mail(tenant: SandboxTenant, alice: User, now: datetime) -> None:
    mailbox = outreach.connected(alice, tenant, now)
    sent_in(tenant, running_sequence(mailbox, now), CLEO, at=now)
    tenant.turn(mailbox.address, replays_delta_pages=True)
    tenant.put(mailbox.address, subject="Lunch?", **{"from": "friend@home.example"})
    tenant.reply_as_candidate(mailbox.address, folder="junkemail")

    for minutes in (1, 3, 5):
        assert look_into(mailbox.pk, now + timedelta(minutes=minutes))

    assert [mail.subject for mail in IncomingMail.objects.all()] == ["Re: A role for you"]


def test_finds_a_bounce_without_references_by_the_email_that_it_returns(
    tenant: SandboxTenant, alice: User, now: datetime
) -> None:
    mailbox = outreach.connected(alice, tenant, now)
    message = sent_in(tenant, running_sequence(mailbox, now), CLEO, at=now)
    tenant.reply_as_candidate(mailbox.address, "bounce", has_thread_headers=False)

    look_into(mailbox.pk, now + timedelta(minutes=1))

    assert IncomingMail.objects.get().message == message
    assert Suppression.objects.get().email == CLEO  # the address that we wrote to


# --- Which mailboxes ----------------------------------------------------------------------------------------------


def test_looks_into_mailboxes_that_sent_within_60_days(
    mailbox: MailConnection, sequence: Sequence, carol: User
) -> None:
    connected(carol, SENT_AT)  # has sent nothing
    sent(sequence, at=SENT_AT)

    assert mailboxes_to_look_into(SENT_AT + timedelta(days=60), 10) == [mailbox.pk]
    assert mailboxes_to_look_into(SENT_AT + timedelta(days=60, seconds=1), 10) == []


def test_looks_into_no_mailbox_that_is_not_connected(mailbox: MailConnection, message: Message) -> None:
    MailConnection.objects.update(state=MailConnection.State.RECONNECT, reason="sign_in_again")

    assert mailboxes_to_look_into(NOW, 10) == []


# --- Matching -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        {"from_address": "cleo@home.example"},
        {"answers": ("<other@x.example>", OURS)},
        {"answers": (), "conversation_id": "C1"},
        {"answers": (), "conversation_id": "C1", "from_address": "assistant@candidate.example"},
        {"answers": ()},  # from the address that we wrote to
    ],
)
def test_knows_an_answer(mailbox: MailConnection, message: Message, facts: dict[str, object]) -> None:
    mail = came_in(mailbox, **facts)

    assert mail
    assert (mail.kind, mail.message) == (Kind.REPLY, message)


@pytest.mark.parametrize(
    "facts",
    [
        {"answers": (), "conversation_id": "C1", "from_address": "stranger@other.example"},
        {"answers": (), "from_address": "colleague@candidate.example"},
        {"answers": ("<other@x.example>",), "from_address": "stranger@other.example"},
        {"internet_message_id": OURS},  # our own email, that came to its sender too
        {"answers": (), "received_at": SENT_AT - timedelta(minutes=1)},  # before we wrote
        {"answers": (), "received_at": SENT_AT + timedelta(days=61)},
    ],
)
def test_leaves_other_mail_alone(mailbox: MailConnection, message: Message, facts: dict[str, object]) -> None:
    assert came_in(mailbox, **facts) is None
    assert enrollment_of(message).state == Enrollment.State.ACTIVE


def test_takes_nobody_at_a_mail_provider_for_a_colleague(mailbox: MailConnection, sequence: Sequence) -> None:
    sent(sequence, "cleo@gmail.com", at=SENT_AT, conversation_id="C1")

    assert came_in(mailbox, answers=(), conversation_id="C1", from_address="dan@gmail.com") is None


def test_knows_no_answer_to_another_mailbox(mailbox: MailConnection, message: Message, carol: User) -> None:
    assert came_in(connected(carol, SENT_AT)) is None


def test_only_notes_a_colleague_of_the_sender_in_the_thread(mailbox: MailConnection, message: Message) -> None:
    mail = came_in(mailbox, from_address="carol@demo.example")

    assert mail
    assert (mail.kind, mail.because) == (Kind.OTHER, "it comes from a colleague of yours")
    assert enrollment_of(message).state == Enrollment.State.ACTIVE


# --- Replies ------------------------------------------------------------------------------------------------------


def test_stops_everything_to_a_candidate_who_replied(
    mailbox: MailConnection, message: Message, sequence: Sequence
) -> None:
    other = sent(running_sequence(mailbox, SENT_AT), CLEO, at=SENT_AT)
    stranger = sent(sequence, "dora@candidate.example", at=SENT_AT)

    answered(mailbox, Kind.REPLY)

    for stopped in (enrollment_of(message), enrollment_of(other)):
        assert (stopped.state, stopped.reason, stopped.due_at) == ("stopped", "replied", None)
    assert enrollment_of(stranger).state == "active"


@pytest.mark.parametrize(
    ("policy", "email", "state"),
    [
        (True, "dora@candidate.example", "stopped"),
        (True, "dora@Candidate.Example", "stopped"),
        (True, "dora@sub.candidate.example", "active"),
        (False, "dora@candidate.example", "active"),
    ],
)
def test_stops_for_colleagues_where_the_organization_wants_it(
    mailbox: MailConnection, message: Message, sequence: Sequence, policy: bool, email: str, state: str
) -> None:
    sequence.organization.stop_for_colleagues = policy
    sequence.organization.save()
    colleague = sent(sequence, email, at=SENT_AT)

    answered(mailbox, Kind.REPLY)

    assert enrollment_of(colleague).state == state
    assert enrollment_of(colleague).reason == ("colleague_replied" if state == "stopped" else "")


def test_stops_nobody_else_at_a_mail_provider(mailbox: MailConnection, sequence: Sequence) -> None:
    sequence.organization.stop_for_colleagues = True
    sequence.organization.save()
    sent(sequence, "cleo@yahoo.co.uk", at=SENT_AT, internet_message_id=OURS)
    other = sent(sequence, "dan@yahoo.co.uk", at=SENT_AT)

    came_in(mailbox, from_address="cleo@yahoo.co.uk")

    assert enrollment_of(other).state == "active"


def test_tells_the_owner_of_the_sequence_once(mailbox: MailConnection, message: Message, bob: User) -> None:
    answered(mailbox, Kind.REPLY)
    came_in(mailbox, internet_message_id="<second@candidate.example>")

    told = Notification.objects.get()
    assert (told.user, told.kind, told.title) == (bob, "candidate_replied", "Cleo replied")


@pytest.mark.parametrize("kind", [Kind.AUTO_REPLY, Kind.BOUNCE, Kind.OPT_OUT])
def test_tells_nobody_of_other_answers(mailbox: MailConnection, message: Message, kind: str) -> None:
    answered(mailbox, kind)

    assert not Notification.objects.exists()


def test_keeps_a_short_preview_and_no_more(mailbox: MailConnection, message: Message) -> None:
    came_in(mailbox, read_text=lambda: "Word \n" * 200 + "\n\nVon: Alice\nGesendet: gestern\n\nquoted")

    assert IncomingMail.objects.get().preview == "Word " * 40


# --- Automatic replies --------------------------------------------------------------------------------------------


def test_holds_until_the_business_day_after_the_return(mailbox: MailConnection, message: Message) -> None:
    mail = answered(mailbox, Kind.AUTO_REPLY)  # back on Thursday, 3 December

    back_at = datetime(2026, 12, 4, 8, tzinfo=UTC)  # nine o'clock in Berlin
    enrollment = enrollment_of(message)
    assert mail.back_after == date(2026, 12, 3)
    assert (enrollment.state, enrollment.due_at, enrollment.away_until) == ("active", back_at, back_at)


def test_holds_three_business_days_where_no_day_is_named(mailbox: MailConnection, message: Message) -> None:
    Enrollment.objects.update(due_at=RECEIVED_AT)

    came_in(mailbox, headers=(("Auto-Submitted", "auto-replied"),), read_text=lambda: "Away.")

    assert enrollment_of(message).due_at == datetime(2026, 11, 27, 8, tzinfo=UTC)


def test_moves_nothing_that_is_due_later_anyway(mailbox: MailConnection, message: Message) -> None:
    due_at = datetime(2026, 12, 24, 9, tzinfo=UTC)
    Enrollment.objects.update(due_at=due_at)

    answered(mailbox, Kind.AUTO_REPLY)

    assert enrollment_of(message).due_at == due_at


# --- Bounces ------------------------------------------------------------------------------------------------------


def test_suppresses_an_address_that_bounced(mailbox: MailConnection, sequence: Sequence) -> None:
    message = sent(sequence, "nobody@candidate.example", at=SENT_AT, internet_message_id=OURS)

    mail = take_in(from_file("postfix.eml"), connection=mailbox, now=NOW)

    assert mail
    assert (mail.kind, mail.status, mail.message) == (Kind.BOUNCE, "5.1.1", message)
    suppression = Suppression.objects.get()
    assert (suppression.email, suppression.reason) == ("nobody@candidate.example", "bounced")
    assert enrollment_of(message).reason == "bounced"
    assert AuditEvent.objects.get(action="address.suppressed").details["reason"] == "bounced"


def test_holds_the_mailbox_and_not_the_candidate_for_our_own_limit(mailbox: MailConnection, message: Message) -> None:
    mail = take_in(from_file("exchange_limit.eml", "REPORT.IPM.Note.NDR"), connection=mailbox, now=NOW)

    assert mail
    assert (mail.kind, mail.status) == (Kind.OTHER, "5.7.233")
    mailbox.refresh_from_db()
    assert (mailbox.held_until, mailbox.held_reason) == (RECEIVED_AT + timedelta(hours=24), "tenant_limit")
    assert enrollment_of(message).state == "active"
    assert not Suppression.objects.exists()


def test_believes_no_report_about_an_address_that_we_did_not_just_write_to(
    mailbox: MailConnection, sequence: Sequence
) -> None:
    sent(sequence, "nobody@candidate.example", at=SENT_AT - timedelta(days=6))

    assert take_in(from_file("postfix.eml"), connection=mailbox, now=NOW) is None


# --- Opt-outs -----------------------------------------------------------------------------------------------------


def test_suppresses_for_good_who_asks_for_it(mailbox: MailConnection, message: Message) -> None:
    answered(mailbox, Kind.OPT_OUT)

    suppression = Suppression.objects.get()
    assert (suppression.email, suppression.reason) == (CLEO, "opt_out")
    assert (enrollment_of(message).state, enrollment_of(message).reason) == ("stopped", "suppressed")


def test_suppresses_the_one_who_asks_and_no_other(
    mailbox: MailConnection, message: Message, sequence: Sequence
) -> None:
    other = sent(sequence, "dora@candidate.example", at=SENT_AT)

    answered(mailbox, Kind.OPT_OUT)

    assert enrollment_of(other).state == "active"
    sequence.refresh_from_db()
    assert sequence.state == Sequence.State.ACTIVE


# --- Evidence -----------------------------------------------------------------------------------------------------


def test_an_answer_settles_an_email_whose_outcome_was_unknown(mailbox: MailConnection, message: Message) -> None:
    Message.objects.update(state=Message.State.UNKNOWN, reason="outcome_unknown", sent_at=None)
    Enrollment.objects.update(state="held", reason="outcome_unknown", due_at=None, next_position=1, last_sent_at=None)

    answered(mailbox, Kind.AUTO_REPLY)

    message.refresh_from_db()
    assert (message.state, message.reason, message.sent_at) == ("sent", "", SENT_AT)
    enrollment = enrollment_of(message)
    assert (enrollment.state, enrollment.next_position) == ("active", 2)
    assert enrollment.due_at == datetime(2026, 12, 4, 8, tzinfo=UTC)  # held for the absence


def test_an_answer_without_its_id_settles_nothing(mailbox: MailConnection, message: Message) -> None:
    Message.objects.update(state=Message.State.UNKNOWN, reason="outcome_unknown")

    came_in(mailbox, answers=())

    message.refresh_from_db()
    assert message.state == Message.State.UNKNOWN


def test_leaves_an_email_to_its_worker_that_is_being_sent_right_now(mailbox: MailConnection, message: Message) -> None:
    Message.objects.update(state=Message.State.SENDING, check_at=NOW, sending_at=NOW - timedelta(minutes=1))

    answered(mailbox, Kind.REPLY)

    message.refresh_from_db()
    assert message.state == Message.State.SENDING


# --- Corrections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.REPLY, Kind.BOUNCE, Kind.OPT_OUT])
@pytest.mark.parametrize("truth", [Kind.OTHER, Kind.AUTO_REPLY])
def test_goes_on_when_a_stop_was_wrong(
    mailbox: MailConnection,
    message: Message,
    bob: User,
    kind: str,
    truth: IncomingMail.Kind,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    before = enrollment_of(message)

    with django_capture_on_commit_callbacks(execute=True):
        correct(answered(mailbox, kind), truth, actor=bob, now=NOW)

    enrollment = enrollment_of(message)
    assert (enrollment.state, enrollment.reason) == ("active", "")
    assert enrollment.due_at == before.due_at
    assert bool(enrollment.away_until) is (truth == Kind.AUTO_REPLY)
    assert not Suppression.objects.exists()
    mailbox.refresh_from_db()
    assert mailbox.due_at
    assert enrollment.due_at
    assert mailbox.due_at <= enrollment.due_at


def test_no_longer_holds_when_the_absence_was_none(mailbox: MailConnection, message: Message, bob: User) -> None:
    before = enrollment_of(message).due_at

    correct(answered(mailbox, Kind.AUTO_REPLY), Kind.OTHER, actor=bob, now=NOW)

    enrollment = enrollment_of(message)
    assert (enrollment.due_at, enrollment.away_until) == (before, None)


def test_keeps_the_hold_of_another_automatic_reply(mailbox: MailConnection, message: Message, bob: User) -> None:
    answered(mailbox, Kind.AUTO_REPLY)
    held = enrollment_of(message)
    later = came_in(
        mailbox,
        internet_message_id="<second@candidate.example>",
        headers=(("Auto-Submitted", "auto-replied"),),
        read_text=lambda: "Back on 17 December.",
    )
    assert later
    assert enrollment_of(message).due_at == datetime(2026, 12, 18, 8, tzinfo=UTC)

    correct(later, Kind.REPLY, actor=bob, now=NOW)
    correct(IncomingMail.objects.get(pk=later.pk), Kind.OTHER, actor=bob, now=NOW)

    enrollment = enrollment_of(message)
    assert (enrollment.due_at, enrollment.away_until) == (held.due_at, held.away_until)


def test_an_opt_out_that_was_none_is_still_a_reply(mailbox: MailConnection, message: Message, bob: User) -> None:
    mail = correct(answered(mailbox, Kind.OPT_OUT), Kind.REPLY, actor=bob, now=NOW)

    assert (mail.kind, mail.corrected_by, mail.corrected_at) == (Kind.REPLY, bob, NOW)
    assert not Suppression.objects.exists()
    assert (enrollment_of(message).state, enrollment_of(message).reason) == ("stopped", "replied")
    assert AuditEvent.objects.get(action="reply.corrected").details == {"before": "opt_out", "after": "reply"}


def test_lifts_no_suppression_that_a_colleague_had_entered(
    mailbox: MailConnection, message: Message, bob: User
) -> None:
    Suppression.objects.create(organization=bob.organization, email=CLEO, created_by=bob)

    correct(answered(mailbox, Kind.OPT_OUT), Kind.REPLY, actor=bob, now=NOW)

    assert Suppression.objects.exists()


def test_stays_stopped_while_another_answer_says_so(mailbox: MailConnection, message: Message, bob: User) -> None:
    first = answered(mailbox, Kind.REPLY)
    second = came_in(mailbox, internet_message_id="<second@candidate.example>")
    assert second

    correct(first, Kind.OTHER, actor=bob, now=NOW)
    assert enrollment_of(message).state == "stopped"

    correct(IncomingMail.objects.get(pk=second.pk), Kind.OTHER, actor=bob, now=NOW)
    assert enrollment_of(message).state == "active"


def test_changes_nothing_when_it_is_pressed_twice(mailbox: MailConnection, message: Message, bob: User) -> None:
    mail = answered(mailbox, Kind.REPLY)
    correct(mail, Kind.OTHER, actor=bob, now=NOW)

    correct(mail, Kind.OTHER, actor=bob, now=NOW)

    assert AuditEvent.objects.filter(action="reply.corrected").count() == 1


def test_leaves_alone_what_a_colleague_decided_since(mailbox: MailConnection, message: Message, bob: User) -> None:
    mail = answered(mailbox, Kind.REPLY)
    Enrollment.objects.update(reason="unenrolled")

    correct(mail, Kind.OTHER, actor=bob, now=NOW)

    assert (enrollment_of(message).state, enrollment_of(message).reason) == ("stopped", "unenrolled")
