"""A sequence that is handed to somebody else."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Notification, User
from mailconnect import ending
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.permission import Permit
from sequences import activating, handing_over
from sequences.models import Enrollment, Sequence, Step
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import permit_and_stamp, ready, running, sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


@pytest.fixture
def sequence(mailbox: MailConnection, bob: User) -> Sequence:
    granted(mailbox, bob)
    return running(bob, mailbox)


def address(sequence: Sequence) -> str:
    return reverse("sequences:hand_over", args=[sequence.pk])


def leave(user: User, by: User, now: datetime) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    ending.leave(user, by, now)


def test_goes_to_a_colleague_with_permission_who_resumes_it_where_it_stopped(
    sequence: Sequence,
    mailbox: MailConnection,
    bob: User,
    carol: User,
    ada: User,
    now: datetime,
    client_of: Callable[[User], Client],
) -> None:
    sent(sequence, now)
    waiting = ready(sequence, now, name="dan")
    granted(mailbox, carol)
    leave(bob, ada, now)

    client_of(ada).post(address(sequence), {"to": carol.pk})

    sequence.refresh_from_db()
    assert (sequence.owner, sequence.state, sequence.paused_reason) == (carol, Sequence.State.PAUSED, "handed_over")
    assert Notification.objects.filter(user=carol, kind="sequence_handed_over").exists()
    assert AuditEvent.objects.get(action="sequence.handed_over").details["after"] == carol.pk
    waiting.sequence.refresh_from_db()
    [verdict] = permit_and_stamp([waiting], now)
    assert isinstance(verdict, Permit)
    assert verdict.ask.person_id == carol.pk


def test_does_not_go_to_who_has_no_permission(
    sequence: Sequence, bob: User, carol: User, ada: User, client_of: Callable[[User], Client]
) -> None:
    page = client_of(ada).post(address(sequence), {"to": carol.pk}).content.decode()

    assert "Carol Chen has no permission to send from its mailbox" in page
    sequence.refresh_from_db()
    assert (sequence.owner, sequence.state) == (bob, Sequence.State.ACTIVE)


def test_of_whose_mailbox_is_gone_gets_another_one(
    mailbox: MailConnection,
    alice: User,
    carol: User,
    ada: User,
    now: datetime,
    client_of: Callable[[User], Client],
) -> None:
    sequence = running(alice, mailbox)
    Step.objects.filter(sequence=sequence).update(connection=mailbox)
    ready(sequence, now)
    hers = connected(carol, now)
    leave(alice, ada, now)
    client = client_of(ada)

    refused = client.post(address(sequence), {"to": carol.pk}).content.decode()
    client.post(address(sequence), {"to": carol.pk, "connection": hers.pk})

    assert "Its mailbox is gone" in refused
    sequence.refresh_from_db()
    assert (sequence.owner, sequence.connection) == (carol, hers)
    assert sequence.steps.get().connection is None
    assert Enrollment.objects.get().connection == hers


def test_is_for_admins_alone_and_inside_of_the_organization(
    sequence: Sequence,
    alice: User,
    bob: User,
    carol: User,
    ada: User,
    mallory: User,
    client_of: Callable[[User], Client],
) -> None:
    for person in (alice, bob, carol, mallory):
        client = client_of(person)
        assert client.post(address(sequence), {"to": carol.pk}).status_code == 404
        assert client.get(reverse("sequences:sequences_of", args=[bob.pk])).status_code == 404

    page = client_of(ada).post(address(sequence), {"to": mallory.pk}).content.decode()

    assert "Select a valid choice" in page
    sequence.refresh_from_db()
    assert sequence.owner == bob


def test_is_found_with_all_that_a_leaver_ran(
    sequence: Sequence, bob: User, ada: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    leave(bob, ada, now)

    page = client_of(ada).get(reverse("sequences:sequences_of", args=[bob.pk])).content.decode()

    assert "Platform engineers" in page
    assert address(sequence) in page


def test_does_not_run_before_its_new_owner_starts_it_although_its_times_were_being_planned(
    sequence: Sequence, mailbox: MailConnection, bob: User, carol: User, ada: User, now: datetime
) -> None:
    granted(mailbox, carol)
    Sequence.objects.filter(pk=sequence.pk).update(state=Sequence.State.PAUSED, starting_at=now)

    handing_over.hand_over(sequence=sequence, to=carol, actor=ada, now=now)
    activating.plan_rest(sequence.pk)

    sequence.refresh_from_db()
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.PAUSED, "handed_over")


@pytest.mark.parametrize("becomes", ["archived", "handed over"])
def test_or_archived_stays_what_a_permission_is_limited_to(
    becomes: str,
    mailbox: MailConnection,
    alice: User,
    bob: User,
    carol: User,
    client_of: Callable[[User], Client],
) -> None:
    """The owner changes another term: the form must not begin with “Every sequence”."""
    theirs = running(bob, mailbox)
    grant = granted(mailbox, bob)
    DelegationGrant.objects.filter(pk=grant.pk).update(sequence_id=theirs.pk)
    changed = {"state": Sequence.State.ARCHIVED} if becomes == "archived" else {"owner": carol}
    Sequence.objects.filter(pk=theirs.pk).update(**changed)

    client, page = client_of(alice), reverse("mailconnect:change_grant", args=[grant.pk])
    assert f'<option value="{theirs.pk}" selected' in client.get(page).content.decode()
    client.post(page, {"sequence_id": theirs.pk, "daily_cap": "7"})

    now_live = DelegationGrant.objects.get(archived_at=None)
    assert (now_live.sequence_id, now_live.daily_cap) == (theirs.pk, 7)
