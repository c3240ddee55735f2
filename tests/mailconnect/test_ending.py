"""A mailbox that ends."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Notification, User
from mailconnect import ending
from mailconnect.models import (
    DefaultMailbox,
    DelegationGrant,
    DelegationRequest,
    MailConnection,
    TokenCache,
)
from mailconnect.reasons import SENTENCES
from sequences.models import Sequence
from tests.mailconnect.owning import connected, granted

pytestmark = pytest.mark.django_db
State = MailConnection.State


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


@pytest.fixture
def sequence(mailbox: MailConnection, bob: User) -> Sequence:
    return Sequence.objects.create(
        organization=bob.organization,
        owner=bob,
        name="Platform engineers",
        connection=mailbox,
        state=Sequence.State.ACTIVE,
    )


def request_by(user: User, mailbox: MailConnection, now: datetime) -> DelegationRequest:
    return DelegationRequest.objects.create(connection=mailbox, requester=user, lapses_at=now + timedelta(days=14))


def test_by_removal_says_beforehand_what_will_happen(
    alice: User, bob: User, sequence: Sequence, mailbox: MailConnection, client_of: Callable[[User], Client]
) -> None:
    granted(mailbox, bob)

    page = client_of(alice).get(reverse("mailconnect:remove")).content.decode()

    assert "Platform engineers" in page
    assert "Bob Baker" in page
    mailbox.refresh_from_db()
    assert mailbox.state == State.CONNECTED


def test_by_removal_forgets_the_tokens_and_takes_everything_that_relied_on_it(
    alice: User,
    bob: User,
    carol: User,
    sequence: Sequence,
    mailbox: MailConnection,
    now: datetime,
    client_of: Callable[[User], Client],
) -> None:
    specific, team = granted(mailbox, bob), granted(mailbox, None)
    asked = request_by(carol, mailbox, now)
    DefaultMailbox.objects.create(user=bob, connection=mailbox)

    page = client_of(alice).post(reverse("mailconnect:remove"), follow=True).content.decode()

    assert "alice@demo.example is removed. 1 sequence paused." in page
    for row in (mailbox, specific, team, asked, sequence):
        row.refresh_from_db()
    assert mailbox.state == State.REMOVED
    assert not TokenCache.objects.exists()
    assert not DefaultMailbox.objects.exists()
    assert {specific.archived_reason, team.archived_reason} == {DelegationGrant.Archived.MAILBOX_REMOVED}
    assert specific.archived_by == alice
    assert asked.state == DelegationRequest.State.LAPSED
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.PAUSED, "mailbox_removed")
    assert Notification.objects.filter(user=bob, kind="mailbox_removed").exists()
    event = AuditEvent.objects.get(action="mailbox.removed")
    assert event.details["grants_archived"] == 2
    assert "@" not in str(event.details)


def test_is_somebody_elses_to_remove_for_nobody(
    mailbox: MailConnection, bob: User, mallory: User, client_of: Callable[[User], Client]
) -> None:
    for person in (bob, mallory):
        assert client_of(person).post(reverse("mailconnect:remove")).status_code == 404

    mailbox.refresh_from_db()
    assert mailbox.state == State.CONNECTED


def test_because_microsoft_says_so_keeps_its_grants_and_tells_its_owner_once(
    alice: User, bob: User, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    grant = granted(mailbox, bob)

    for _ in range(2):
        ending.needs_reconnecting(connection=mailbox, reason="access_revoked", now=now)

    for row in (mailbox, grant, sequence):
        row.refresh_from_db()
    assert (mailbox.state, mailbox.reason) == (State.RECONNECT, "access_revoked")
    assert grant.archived_at is None
    assert sequence.state == Sequence.State.PAUSED
    told = Notification.objects.get(user=alice, kind="mailbox_reconnect")
    assert SENTENCES["access_revoked"][0] in told.text
    assert AuditEvent.objects.filter(action="mailbox.needs_reconnecting").count() == 1


def test_is_not_brought_back_by_a_late_refusal(alice: User, mailbox: MailConnection, now: datetime) -> None:
    ending.remove(connection=mailbox, actor=alice, now=now)

    ending.needs_reconnecting(connection=mailbox, reason="access_revoked", now=now)

    mailbox.refresh_from_db()
    assert mailbox.state == State.REMOVED


def test_with_its_owner_takes_permissions_given_and_received(
    alice: User, bob: User, carol: User, ada: User, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    given = granted(mailbox, bob)
    received = granted(connected(carol, now), alice)

    ending.leave(alice, ada, now)

    for row in (mailbox, given, received, sequence):
        row.refresh_from_db()
    assert mailbox.state == State.REMOVED
    assert given.archived_reason == DelegationGrant.Archived.OWNER_LEFT
    assert received.archived_reason == DelegationGrant.Archived.GRANTEE_LEFT
    assert received.archived_by == ada
    assert sequence.paused_reason == "owner_left"
    assert not TokenCache.objects.filter(connection=mailbox).exists()
