"""A permission that is taken back."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Notification, User
from mailconnect import granting, stopping
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.permission import Permit, Refusal
from sequences.models import Message, Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import permit_and_stamp, ready, running, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


@pytest.fixture
def grant(mailbox: MailConnection, bob: User) -> DelegationGrant:
    return granted(mailbox, bob)


@pytest.fixture
def sequence(mailbox: MailConnection, bob: User, grant: DelegationGrant) -> Sequence:
    return running(bob, mailbox)


def test_says_before_what_stops_and_afterwards_what_was_on_its_way(
    grant: DelegationGrant, sequence: Sequence, alice: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    for name in ("cora", "dan", "eve"):
        leaving = ready(sequence, now, name=name)
    permit_and_stamp([leaving], now)
    client, address = client_of(alice), reverse("mailconnect:revoke", args=[grant.pk])

    before = client.get(address).content.decode()
    after = client.post(address, follow=True).content.decode()

    assert "Platform engineers" in before
    assert "3 waiting emails stop" in before
    assert "Bob Baker may no longer send from this mailbox. 1 sequence paused." in after
    assert "1 email was already on the way" in after
    grant.refresh_from_db()
    sequence.refresh_from_db()
    assert (grant.archived_reason, grant.archived_by) == ("revoked", alice)
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.PAUSED, "grant_revoked")
    assert Notification.objects.get(user_id=sequence.owner_id, kind="sequence_paused").url.endswith(f"{sequence.pk}/")
    assert AuditEvent.objects.get(action="grant.revoked").details["sequences_paused"] == 1


def test_permits_nothing_any_more(grant: DelegationGrant, sequence: Sequence, alice: User, now: datetime) -> None:
    first, second = ready(sequence, now), ready(sequence, now, name="dan")
    assert isinstance(permit_and_stamp([first], now)[0], Permit)
    settle(first, now)

    granting.revoke(grant=grant, actor=alice, now=now)
    [verdict] = permit_and_stamp([second], now)

    assert isinstance(verdict, Refusal)
    assert verdict.reason == "no_permission"
    second.refresh_from_db()
    assert second.state == Message.State.DRAFTED


def test_leaves_running_what_another_permission_allows(
    grant: DelegationGrant, mailbox: MailConnection, sequence: Sequence, alice: User, bob: User, now: datetime
) -> None:
    granted(mailbox, None)
    own = running(alice, mailbox, "Alice's own")

    revoked = granting.revoke(grant=grant, actor=alice, now=now)

    for each in (sequence, own):
        each.refresh_from_db()
        assert each.state == Sequence.State.ACTIVE
    assert revoked.effect.sequences == []


def test_of_the_team_leaves_running_who_has_a_permission_of_their_own(
    grant: DelegationGrant, mailbox: MailConnection, sequence: Sequence, alice: User, carol: User, now: datetime
) -> None:
    team = granted(mailbox, None)
    by_carol = running(carol, mailbox, "Carol's")

    granting.revoke(grant=team, actor=alice, now=now)

    for each in (sequence, by_carol):
        each.refresh_from_db()
    assert sequence.state == Sequence.State.ACTIVE
    assert by_carol.state == Sequence.State.PAUSED


def test_a_second_time_tells_who_was_quicker(
    grant: DelegationGrant, alice: User, bob: User, ada: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    granting.revoke(grant=grant, actor=ada, now=now)
    client, address = client_of(alice), reverse("mailconnect:revoke", args=[grant.pk])

    shown = client.get(address).content.decode()
    posted = client.post(address, follow=True).content.decode()

    assert "has ended already: revoked" in shown
    assert "Ada Admin ended it before" in posted
    assert AuditEvent.objects.filter(action="grant.revoked").count() == 1
    assert Notification.objects.filter(user=bob, kind="grant").count() == 1


def test_by_an_admin_is_told_to_the_owner(
    grant: DelegationGrant, alice: User, ada: User, client_of: Callable[[User], Client]
) -> None:
    answer = client_of(ada).post(reverse("mailconnect:revoke", args=[grant.pk]))

    assert answer["Location"] == reverse("mailconnect:overview")
    assert "Ada Admin revoked" in Notification.objects.get(user=alice, kind="grant_ended").text


def test_is_for_the_owner_and_admins_alone(
    grant: DelegationGrant, bob: User, carol: User, mallory: User, client_of: Callable[[User], Client]
) -> None:
    User.objects.filter(pk=mallory.pk).update(role=User.Role.ADMIN)
    for person in (bob, carol, mallory):
        for answer in (client_of(person).get, client_of(person).post):
            assert answer(reverse("mailconnect:revoke", args=[grant.pk])).status_code == 404

    grant.refresh_from_db()
    assert grant.archived_at is None


def test_and_given_again_tells_the_sequences_owner_that_it_can_go_on(
    grant: DelegationGrant, mailbox: MailConnection, sequence: Sequence, alice: User, bob: User, now: datetime
) -> None:
    granting.revoke(grant=grant, actor=alice, now=now)
    by_hand = running(bob, mailbox, "Paused by hand", state=Sequence.State.PAUSED)

    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=granting.Terms(), now=now)

    told = Notification.objects.filter(user=bob, kind="sequence_resumable")
    assert [each.title for each in told] == ["“Platform engineers” can go on"]
    assert by_hand.paused_reason == ""


def test_and_given_for_another_sequence_does_not_say_that_it_can_go_on(
    grant: DelegationGrant, mailbox: MailConnection, sequence: Sequence, alice: User, bob: User, now: datetime
) -> None:
    granting.revoke(grant=grant, actor=alice, now=now)
    other = running(bob, mailbox, "Other", state=Sequence.State.DRAFT)

    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=granting.Terms(sequence_id=other.pk), now=now)

    assert not Notification.objects.filter(user=bob, kind="sequence_resumable").exists()


def test_waits_for_what_was_on_its_way_but_no_longer_than_a_permit_lives(
    grant: DelegationGrant, sequence: Sequence, now: datetime
) -> None:
    messages = [ready(sequence, now, name=name) for name in ("cora", "dan")]
    permit_and_stamp(messages, now)
    clock = [100.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] > 101:
            settle(messages[0], now)

    on_their_way = stopping.drain(
        stopping.Stop(grant=grant, reason="grant_revoked"), monotonic=lambda: clock[0], sleep=sleep
    )

    assert on_their_way == 2
    assert 105 <= clock[0] < 105.2
