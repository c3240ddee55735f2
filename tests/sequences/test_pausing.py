"""What pauses when a permission is found missing at the moment of sending."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEvent, Notification, User
from mailconnect import ending, granting, stopping
from mailconnect.granting import Terms
from mailconnect.models import DelegationGrant, FirstEmailApproval, MailConnection
from mailconnect.permission import Permit, Refusal, permit
from sequences import editing, first_emails, pausing
from sequences.models import Message, Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import ask_for, permit_and_stamp, ready, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


def refused(messages: list[Message], now: datetime) -> list[Refusal]:
    verdicts = permit_and_stamp(messages, now)
    assert all(isinstance(verdict, Refusal) for verdict in verdicts)
    return [verdict for verdict in verdicts if isinstance(verdict, Refusal)]


def reason_of(sequence: Sequence) -> str:
    sequence.refresh_from_db()
    assert sequence.state == Sequence.State.PAUSED
    return sequence.paused_reason


def end(how: str, mailbox: MailConnection, bob: User, now: datetime) -> None:
    """Take the permission away as if nothing had paused: a race, or a row changed by hand."""
    if how == "expired":
        granted(mailbox, bob)
        DelegationGrant.objects.update(expires_at=now - timedelta(seconds=1))
    if how == "revoked":
        granted(mailbox, bob)
        DelegationGrant.objects.update(archived_at=now, archived_reason=DelegationGrant.Archived.REVOKED)
    if how == "for another":
        granted(mailbox, bob)
        DelegationGrant.objects.update(sequence_id=0)
    if how == "removed":
        MailConnection.objects.update(state=MailConnection.State.REMOVED)
    if how == "reconnect":
        MailConnection.objects.update(state=MailConnection.State.RECONNECT)
    if how == "owner left":
        User.objects.filter(pk=mailbox.owner_id).update(is_active=False)
    if how == "initiator left":
        User.objects.filter(pk=bob.pk).update(is_active=False)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("never given", "no_permission"),
        ("expired", "grant_expired"),
        ("revoked", "grant_revoked"),
        ("for another", "grant_scope"),
        ("removed", "mailbox_removed"),
        ("reconnect", "mailbox_reconnect"),
        ("owner left", "owner_left"),
        ("initiator left", "grantee_left"),
    ],
)
def test_is_every_sequence_that_depends_on_it_with_the_reason_and_both_are_told_once(
    how: str, reason: str, mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    first, second = running(bob, mailbox, "First"), running(bob, mailbox, "Second")
    emails = [ready(first, now, name=name) for name in ("cora", "dan", "eve")] + [ready(second, now, name="finn")]
    end(how, mailbox, bob, now)

    for _ in range(2):
        pausing.pause_refused(refused(emails, now), now)

    assert (reason_of(first), reason_of(second)) == (reason, reason)
    is_told = how != "initiator left"
    assert Notification.objects.filter(user=bob, kind="sequence_paused").count() == (2 if is_told else 0)
    owner_is_told = how != "owner left"
    assert Notification.objects.filter(user=alice, kind="sending_refused").count() == (1 if owner_is_told else 0)


def test_is_nothing_that_others_send_with_a_permission(
    mailbox: MailConnection, alice: User, bob: User, carol: User, now: datetime
) -> None:
    granted(mailbox, carol)
    by_carol, by_alice, by_bob = running(carol, mailbox), running(alice, mailbox), running(bob, mailbox)

    pausing.pause_refused(refused([ready(by_bob, now)], now), now)

    assert reason_of(by_bob) == "no_permission"
    for sequence in (by_carol, by_alice):
        sequence.refresh_from_db()
        assert sequence.state == Sequence.State.ACTIVE


def test_asks_no_more_of_the_database_for_many_emails_under_a_cap(
    mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(daily_cap=50), now=now)
    sequence = running(bob, mailbox)
    emails = [ready(sequence, now, name=f"c{number}") for number in range(9)]
    counts = []
    for batch in (emails[:1], emails[1:]):
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            permit([ask_for(email) for email in batch], now=now)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_is_nothing_when_a_cap_is_reached(mailbox: MailConnection, alice: User, bob: User, now: datetime) -> None:
    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(daily_cap=2), now=now)
    sequence = running(bob, mailbox)
    emails = [ready(sequence, now, name=name) for name in ("cora", "dan", "eve")]

    verdicts = permit_and_stamp(emails, now)
    pausing.pause_refused([each for each in verdicts if isinstance(each, Refusal)], now)

    assert [getattr(verdict, "reason", "permitted") for verdict in verdicts] == ["permitted"] * 2 + ["grant_cap"]
    sequence.refresh_from_db()
    assert sequence.state == Sequence.State.ACTIVE
    assert isinstance(permit_and_stamp([emails[2]], now + timedelta(days=1))[0], Permit)


def test_is_nothing_when_of_two_permissions_one_lets_it_wait_and_the_other_is_for_another_sequence(
    mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    other, sequence = running(alice, mailbox), running(bob, mailbox)
    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(daily_cap=1), now=now)
    granting.grant(connection=mailbox, grantee=None, actor=alice, terms=Terms(sequence_id=other.pk), now=now)

    verdicts = permit_and_stamp([ready(sequence, now, name=name) for name in ("cora", "dan")], now)

    assert [getattr(verdict, "reason", "permitted") for verdict in verdicts] == ["permitted", "grant_cap"]


class TestAFirstEmail:
    """Under a grant with "I approve the first email of each sequence"."""

    @pytest.fixture
    def sequence(self, mailbox: MailConnection, alice: User, bob: User, now: datetime) -> Sequence:
        terms = Terms(approve_first_email=True)
        granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=terms, now=now)
        return running(bob, mailbox)

    @pytest.fixture
    def email(self, sequence: Sequence, now: datetime) -> Message:
        email = ready(sequence, now)
        for _ in range(2):
            pausing.pause_refused(refused([email], now), now)
        return email

    def test_waits_and_its_owner_is_asked_once(self, email: Message, sequence: Sequence, alice: User) -> None:
        sequence.refresh_from_db()
        assert sequence.state == Sequence.State.ACTIVE
        assert Notification.objects.filter(user=alice, kind="first_email").count() == 1

    def test_leaves_once_its_owner_has_read_and_approved_it(
        self, email: Message, alice: User, now: datetime, client_of: Callable[[User], Client]
    ) -> None:
        # A candidate's own value may have become an address.
        harmful = '<p>Hello <a href="javascript:alert(1)">there</a></p>'
        Message.objects.filter(pk=email.pk).update(body_html=harmful)
        client = client_of(alice)
        shown = client.get(Notification.objects.get(user=alice, kind="first_email").url).content.decode()

        approval = FirstEmailApproval.objects.get()
        client.post(reverse("sequences:answer_first_email", args=[approval.pk]), {"answer": "approve"})

        assert "<p>Hello <a" in shown
        assert "javascript:alert" not in shown
        assert isinstance(permit_and_stamp([email], now)[0], Permit)
        email.connection.refresh_from_db()
        assert email.connection.due_at is not None, "the bell was rung"

    def test_that_is_declined_pauses_its_sequence_and_is_asked_again_after_resuming(
        self, email: Message, sequence: Sequence, alice: User, now: datetime, client_of: Callable[[User], Client]
    ) -> None:
        approval = FirstEmailApproval.objects.get()
        answer = reverse("sequences:answer_first_email", args=[approval.pk])

        client_of(alice).post(answer, {"answer": "decline"})
        assert reason_of(sequence) == "first_email_declined"
        assert "answered this already" in client_of(alice).post(answer, follow=True).content.decode()
        Notification.objects.update(read_at=now)
        Sequence.objects.update(state=Sequence.State.ACTIVE, paused_reason="")
        pausing.pause_refused(refused([email], now), now)

        approval.refresh_from_db()
        assert approval.declined_at is None
        assert Notification.objects.filter(user=alice, kind="first_email").count() == 2

    def test_is_waited_for_until_the_owner_approves(
        self, email: Message, sequence: Sequence, bob: User, now: datetime, client_of: Callable[[User], Client]
    ) -> None:
        until = datetime.now(UTC) + timedelta(hours=1)
        Sequence.objects.update(held_until=until, held_reason="awaiting_approval")
        address = reverse("sequences:detail", args=[sequence.pk])

        before = client_of(bob).get(address).content.decode()
        FirstEmailApproval.objects.update(approved_at=now)
        after = client_of(bob).get(address).content.decode()

        assert "has not approved the first email yet. It goes on by itself." in before
        assert "has not approved the first email" not in after

    def test_that_is_rewritten_after_its_approval_must_be_approved_anew(
        self, email: Message, sequence: Sequence, alice: User, bob: User, now: datetime
    ) -> None:
        first_emails.approve(approval=FirstEmailApproval.objects.get(), actor=alice, now=now)
        step = sequence.steps.get()
        step.body = "<p>Something else</p>"

        editing.save_step(step=step, actor=bob, now=now)

        [refusal] = refused([email], now)
        assert refusal.reason == "awaiting_approval"
        assert AuditEvent.objects.get(action="first_email.rewritten").details["was_approved"] is True

    def test_is_nobody_elses_to_see_or_to_answer(
        self, email: Message, bob: User, ada: User, mallory: User, client_of: Callable[[User], Client]
    ) -> None:
        approval = FirstEmailApproval.objects.get()
        for person in (bob, ada, mallory):
            client = client_of(person)
            assert client.get(reverse("sequences:first_email", args=[approval.pk])).status_code == 404
            assert client.post(reverse("sequences:answer_first_email", args=[approval.pk])).status_code == 404


def test_is_what_a_leaver_ran_also_from_the_own_mailbox(
    mailbox: MailConnection, alice: User, bob: User, carol: User, ada: User, now: datetime
) -> None:
    theirs = connected(carol, now)
    granted(theirs, None)
    own = running(alice, mailbox, "From the own mailbox")
    by_the_teams_permission = running(alice, theirs, "By the team's permission")
    granted(mailbox, bob)
    by_bob = running(bob, mailbox, "Bob's from hers")
    by_carol = running(carol, theirs, "Carol's own")

    User.objects.filter(pk=alice.pk).update(is_active=False)
    ending.leave(alice, ada, now)

    assert reason_of(own) == "grantee_left"
    assert reason_of(by_the_teams_permission) == "grantee_left"
    assert reason_of(by_bob) == "owner_left"
    by_carol.refresh_from_db()
    assert by_carol.state == Sequence.State.ACTIVE


def test_after_reconnecting_goes_on_with_one_click_and_its_owner_is_told_so_once(
    mailbox: MailConnection, alice: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    granted(mailbox, bob)
    sequence = running(bob, mailbox, activated_at=now)
    ending.needs_reconnecting(connection=mailbox, reason="access_revoked", now=now)
    assert reason_of(sequence) == "mailbox_reconnect"
    stopping.allow_again(mailbox, now)
    assert not Notification.objects.filter(kind="sequence_resumable").exists(), "it is not connected yet"

    MailConnection.objects.update(state=MailConnection.State.CONNECTED)
    for _ in range(2):
        stopping.allow_again(mailbox, now)
    client_of(bob).post(reverse("sequences:activate", args=[sequence.pk]))

    assert Notification.objects.filter(user=bob, kind="sequence_resumable").count() == 1
    sequence.refresh_from_db()
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.ACTIVE, "")


def test_goes_on_when_the_owner_raises_the_cap(mailbox: MailConnection, alice: User, bob: User, now: datetime) -> None:
    grant = granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(daily_cap=1), now=now)
    tomorrow = now + timedelta(days=1)
    sequence = running(bob, mailbox, held_until=tomorrow, held_reason="grant_cap")

    granting.change(grant=grant, actor=alice, terms=Terms(daily_cap=50), now=now)

    sequence.refresh_from_db()
    mailbox.refresh_from_db()
    assert (sequence.held_until, sequence.held_reason) == (None, "")
    assert mailbox.due_at == now
