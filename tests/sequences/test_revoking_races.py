"""Two at once: revoke and revoke, grant and deactivate, approve and deactivate, activate and revoke."""

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone

from accounts import leaving
from accounts.models import AuditEvent, Organization, User
from mailconnect import ending, granting, requesting
from mailconnect.granting import GrantRefused, Terms
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.requesting import RequestRefused
from sequences import activating, pausing
from sequences.activating import ActivationRefused
from sequences.models import Sequence, Step
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import permit_and_stamp, ready, running

pytestmark = pytest.mark.django_db(transaction=True)
RUNS = 10


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each returned, or the refusal that it raised; anything else that it raised is raised here."""
    found: list[Any] = [None] * len(acts)
    together = threading.Barrier(len(acts))

    def run(place: int, act: Callable[[], Any]) -> None:
        with closing(database):
            together.wait(10)
            try:
                found[place] = act()
            except Exception as error:
                found[place] = error

    threads = [threading.Thread(target=run, args=[place, act]) for place, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in found:
        if isinstance(each, Exception) and not isinstance(each, GrantRefused | RequestRefused | ActivationRefused):
            raise each
    return found


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, timezone.now())


def test_of_two_who_revoke_one_acts_and_the_other_is_told(
    mailbox: MailConnection, alice: User, ada: User, bob: User
) -> None:
    for run in range(RUNS):
        grant = granted(mailbox, bob)

        both = at_once(
            partial(granting.revoke, grant=grant, actor=alice, now=timezone.now()),
            partial(granting.revoke, grant=grant, actor=ada, now=timezone.now()),
        )

        assert sorted(each.acted for each in both) == [False, True]
        assert {each.grant.archived_by for each in both} == {alice if both[0].acted else ada}
        assert AuditEvent.objects.filter(action="grant.revoked").count() == run + 1


def test_of_two_who_give_the_same_one_is_refused(mailbox: MailConnection, alice: User, bob: User) -> None:
    def give() -> DelegationGrant:
        return granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(), now=timezone.now())

    for _ in range(RUNS):
        both = at_once(give, give)

        [refused] = [each for each in both if isinstance(each, GrantRefused)]
        assert refused.reason == "already_granted"
        granting.revoke(grant=DelegationGrant.objects.get(archived_at=None), actor=alice, now=timezone.now())


@pytest.mark.parametrize("who_leaves", ["bob", "alice"])
def test_no_permission_outlives_a_deactivation_that_came_at_the_same_moment(
    who_leaves: str, mailbox: MailConnection, alice: User, bob: User, ada: User
) -> None:
    leaver = bob if who_leaves == "bob" else alice
    for _ in range(RUNS):
        leaving.activate(user=leaver, actor=ada, now=timezone.now())
        MailConnection.objects.update(state=MailConnection.State.CONNECTED)
        asked = requesting.ask(connection=mailbox, requester=bob, now=timezone.now())

        at_once(
            lambda: leaving.deactivate(user=User.objects.get(pk=leaver.pk), actor=ada, now=timezone.now()),
            lambda: granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(), now=timezone.now()),
            partial(requesting.approve, request=asked, actor=alice, terms=Terms(), now=timezone.now()),
        )

        assert not DelegationGrant.objects.filter(archived_at=None).exists()


def test_what_is_activated_while_its_permission_is_revoked_sends_nothing_and_does_not_stay_active(
    mailbox: MailConnection, alice: User, bob: User
) -> None:
    for run in range(RUNS):
        grant = granted(mailbox, bob)
        sequence = running(bob, mailbox, f"Run {run}", state=Sequence.State.DRAFT)

        at_once(
            partial(granting.revoke, grant=grant, actor=alice, now=timezone.now()),
            partial(activating.start, sequence=sequence, actor=bob, now=timezone.now()),
        )

        sequence.refresh_from_db()
        if sequence.state == Sequence.State.ACTIVE:  # the permit is the last word
            pausing.pause_refused(permit_and_stamp([ready(sequence, timezone.now())], timezone.now()), timezone.now())  # type: ignore[arg-type]
            sequence.refresh_from_db()
        assert sequence.state != Sequence.State.ACTIVE


@pytest.mark.postgres
def test_all_that_ends_permissions_at_once_takes_turns_and_never_deadlocks(
    alice: User, bob: User, carol: User, ada: User
) -> None:
    """Sequences that send from two mailboxes, whose permissions end together in many ways."""
    now = timezone.now()
    mailboxes = [connected(person, now) for person in (alice, carol)]
    sequences = [_from_both(bob, mailboxes) for _ in range(6)]
    for _ in range(RUNS * 2):
        _allow_again(bob, mailboxes, sequences)
        first, second = (granted(mailbox, bob) for mailbox in mailboxes)
        for mailbox in mailboxes:
            granted(mailbox, None)
        organization = Organization(pk=bob.organization_id, allow_team_grants=False, grant_max_days=1)

        at_once(
            partial(granting.apply_policy, organization, ada, now),
            partial(granting.revoke, grant=second, actor=carol, now=now),
            partial(granting.revoke, grant=first, actor=ada, now=now),
            partial(granting.change, grant=first, actor=alice, terms=Terms(daily_cap=9), now=now),
            partial(ending.remove, connection=mailboxes[1], actor=carol, now=now),
            lambda: leaving.deactivate(user=User.objects.get(pk=bob.pk), actor=ada, now=now),
        )

        assert not DelegationGrant.objects.filter(archived_at=None, grantee=None).exists()
        assert set(Sequence.objects.values_list("state", flat=True)) == {Sequence.State.PAUSED}


def _from_both(owner: User, mailboxes: list[MailConnection]) -> Sequence:
    sequence = running(owner, mailboxes[0])
    Step.objects.create(sequence=sequence, position=2, subject="Again", body="<p>Again</p>", connection=mailboxes[1])
    return sequence


def _allow_again(owner: User, mailboxes: list[MailConnection], sequences: list[Sequence]) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=True, deactivated_at=None)
    DelegationGrant.objects.filter(archived_at=None).update(archived_at=timezone.now(), archived_reason="revoked")
    MailConnection.objects.update(state=MailConnection.State.CONNECTED)
    Sequence.objects.update(state=Sequence.State.ACTIVE, paused_reason="")
