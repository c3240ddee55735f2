"""A request for permission."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Notification, User
from mailconnect import ending, granting, requesting, tasks
from mailconnect.granting import Terms
from mailconnect.models import REQUEST_LIFE, DelegationGrant, DelegationRequest, MailConnection
from mailconnect.requesting import RequestRefused
from sequences.models import Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running

pytestmark = pytest.mark.django_db
State = DelegationRequest.State


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


@pytest.fixture
def asked(mailbox: MailConnection, bob: User, now: datetime) -> DelegationRequest:
    return requesting.ask(connection=mailbox, requester=bob, note="For the Berlin roles", now=now)


def address(name: str, asked: DelegationRequest) -> str:
    return reverse(f"mailconnect:{name}", args=[asked.pk])


def test_from_the_sequences_sender_reaches_the_owner_with_its_name(
    mailbox: MailConnection, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    sequence = running(bob, mailbox, state=Sequence.State.DRAFT)
    ask = reverse("mailconnect:ask_for", args=[mailbox.pk])

    client_of(bob).post(f"{ask}?sequence={sequence.pk}", {"note": "For the Berlin roles"})

    asked = DelegationRequest.objects.get()
    told = Notification.objects.get(user=alice, kind="permission_request")
    assert (asked.requester, asked.sequence_id, asked.state) == (bob, sequence.pk, State.REQUESTED)
    page = client_of(alice).get(told.url).content.decode()
    for shown in ("Bob Baker", "For the Berlin roles", "Platform engineers", "Approve", "Decline"):
        assert shown in page


@pytest.mark.parametrize("answer", ["approve_request", "decline_request", "withdraw_request"])
def test_leaves_the_owners_bell_once_it_is_answered(
    answer: str, asked: DelegationRequest, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    by = bob if answer == "withdraw_request" else alice

    client_of(by).post(address(answer, asked))

    assert not Notification.objects.filter(user=alice, read_at=None).exists()
    if by == alice:
        assert Notification.objects.filter(user=bob, read_at=None).exists()


def test_leaves_the_owners_bell_once_it_has_lapsed(asked: DelegationRequest, alice: User, now: datetime) -> None:
    requesting.lapse(now + REQUEST_LIFE)

    assert not Notification.objects.filter(user=alice, read_at=None).exists()


def test_is_made_from_the_sequence_that_lost_its_permission(
    mailbox: MailConnection, alice: User, bob: User, ada: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    grant = granted(mailbox, bob)
    sequence = running(bob, mailbox)
    granting.revoke(grant=grant, actor=alice, now=now)
    page = reverse("sequences:detail", args=[sequence.pk])
    ask = f"{reverse('mailconnect:ask_for', args=[mailbox.pk])}?sequence={sequence.pk}"
    client = client_of(bob)

    before = client.get(page).content.decode()
    for_ada = client_of(ada).get(page).content.decode()
    client.post(ask)
    after = client.get(page).content.decode()
    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(), now=now)
    allowed = client.get(page).content.decode()

    asked = DelegationRequest.objects.get()
    assert asked.sequence_id == sequence.pk
    assert ask in before
    assert "Ask Alice Archer…" in before
    assert ask not in for_ada, "who asks is asked for: only the sequence's owner"
    assert address("request", asked) in after
    assert ask not in after
    assert ask not in allowed


def test_cannot_be_mailed_to_an_owner_without_end(
    mailbox: MailConnection, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(bob)
    for _ in range(31):
        client.post(reverse("mailconnect:ask_for", args=[mailbox.pk]))
        DelegationRequest.objects.filter(state=State.REQUESTED).update(state=State.WITHDRAWN)

    assert Notification.objects.filter(user=alice, kind="permission_request").count() == 30


def test_does_not_carry_the_name_of_somebody_elses_sequence(
    mailbox: MailConnection, bob: User, carol: User, client_of: Callable[[User], Client]
) -> None:
    secret = running(carol, mailbox, "Carol's secret")
    ask = f"{reverse('mailconnect:ask_for', args=[mailbox.pk])}?sequence={secret.pk}"
    client = client_of(bob)

    assert "secret" not in client.get(ask).content.decode()
    client.post(ask)

    assert DelegationRequest.objects.get().sequence_id is None


def test_approved_becomes_a_permission_with_the_owners_limits(
    asked: DelegationRequest, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    client_of(alice).post(address("approve_request", asked), {"daily_cap": "7"})

    asked.refresh_from_db()
    grant = DelegationGrant.objects.get()
    assert (asked.state, asked.grant) == (State.APPROVED, grant)
    assert (grant.grantee, grant.daily_cap) == (bob, 7)
    assert "Approved" in client_of(bob).get(address("request", asked)).content.decode()
    assert {"request.made", "request.approved", "grant.given"} == set(
        AuditEvent.objects.values_list("action", flat=True)
    )


def test_approved_with_wider_terms_comes_in_place_of_a_narrower_permission(
    mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    first, second = running(bob, mailbox, "First"), running(bob, mailbox, "Second")
    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(sequence_id=first.pk), now=now)
    asked = requesting.ask(connection=mailbox, requester=bob, sequence_id=second.pk, now=now)

    requesting.approve(request=asked, actor=alice, terms=Terms(), now=now)

    live = DelegationGrant.objects.get(archived_at=None)
    assert (live.version, live.sequence_id) == (2, None)
    first.refresh_from_db()
    assert first.state == Sequence.State.ACTIVE


def test_declined_is_told_to_who_asked(
    asked: DelegationRequest, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    client_of(alice).post(address("decline_request", asked))

    asked.refresh_from_db()
    assert asked.state == State.DECLINED
    assert not DelegationGrant.objects.exists()
    assert Notification.objects.filter(user=bob, title__contains="declined").exists()
    assert "Declined" in client_of(bob).get(address("request", asked)).content.decode()


def test_can_be_withdrawn_by_who_made_it_alone(
    asked: DelegationRequest, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    assert client_of(alice).post(address("withdraw_request", asked)).status_code == 404

    client_of(bob).post(address("withdraw_request", asked))

    asked.refresh_from_db()
    assert asked.state == State.WITHDRAWN


def test_that_nobody_answers_lapses_once_and_can_be_made_again(
    asked: DelegationRequest, mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    later = now + REQUEST_LIFE + timedelta(seconds=1)
    for moment in (now, later, later):
        tasks.expire(moment)

    asked.refresh_from_db()
    assert asked.state == State.LAPSED
    assert Notification.objects.filter(user=bob, title__contains="did not answer").count() == 1
    with pytest.raises(RequestRefused) as refused:
        requesting.approve(request=asked, actor=alice, terms=Terms(), now=later)
    assert refused.value.reason == "lapsed"
    assert requesting.ask(connection=mailbox, requester=bob, now=later).pk != asked.pk


def test_that_lapsed_a_second_ago_cannot_be_approved_although_no_task_has_run(
    asked: DelegationRequest, alice: User, now: datetime
) -> None:
    with pytest.raises(RequestRefused) as refused:
        requesting.approve(request=asked, actor=alice, terms=Terms(), now=now + REQUEST_LIFE + timedelta(seconds=1))

    assert refused.value.reason == "lapsed"


def test_approved_a_second_time_by_an_old_link_says_that_it_is_answered(
    asked: DelegationRequest, alice: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    client = client_of(alice)
    client.post(address("approve_request", asked))
    granting.revoke(grant=DelegationGrant.objects.get(), actor=alice, now=now)

    again = client.post(address("approve_request", asked), follow=True).content.decode()

    assert requesting.REFUSALS["answered"] in again
    assert "There is nothing left to answer" in again
    assert not DelegationGrant.objects.filter(archived_at=None).exists()


def test_of_someone_who_left_says_so(
    asked: DelegationRequest, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    client = client_of(alice)

    page = client.get(address("request", asked)).content.decode()
    answer = client.post(address("approve_request", asked), follow=True).content.decode()

    assert "no longer active" in page
    assert "Approve</button>" not in page
    assert requesting.REFUSALS["requester_left"] in answer
    assert not DelegationGrant.objects.exists()


def test_lapses_when_its_asker_is_deactivated(asked: DelegationRequest, bob: User, ada: User, now: datetime) -> None:
    ending.leave(bob, ada, now)

    asked.refresh_from_db()
    assert asked.state == State.LAPSED


@pytest.mark.parametrize("why", ["own_mailbox", "already_asked", "already_allowed", "owner_left", "not_connected"])
def test_is_refused_with_a_sentence(why: str, mailbox: MailConnection, alice: User, bob: User, now: datetime) -> None:
    requester = alice if why == "own_mailbox" else bob
    if why == "already_asked":
        requesting.ask(connection=mailbox, requester=bob, now=now)
    if why == "already_allowed":
        granted(mailbox, None)
    if why == "owner_left":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    if why == "not_connected":
        ending.remove(connection=mailbox, actor=alice, now=now)

    with pytest.raises(RequestRefused) as refused:
        requesting.ask(connection=mailbox, requester=requester, now=now)

    assert refused.value.reason == why


def test_is_nobody_elses_to_see_or_to_answer(
    asked: DelegationRequest, carol: User, bob: User, mallory: User, client_of: Callable[[User], Client]
) -> None:
    for person in (carol, mallory):
        assert client_of(person).get(address("request", asked)).status_code == 404
    for person in (bob, carol, mallory):
        for name in ("approve_request", "decline_request"):
            assert client_of(person).post(address(name, asked)).status_code == 404
    asked.refresh_from_db()
    assert asked.state == State.REQUESTED


def test_cannot_be_made_for_a_mailbox_of_another_organization(
    mailbox: MailConnection, mallory: User, client_of: Callable[[User], Client]
) -> None:
    assert client_of(mallory).post(reverse("mailconnect:ask_for", args=[mailbox.pk])).status_code == 404
