"""A permission to send: given, changed, ended by time or by policy."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEvent, Notification, Organization, User
from mailconnect import ending, first_emails, granting, tasks
from mailconnect.granting import GrantRefused, Terms
from mailconnect.models import DelegationGrant, DelegationRequest, FirstEmailApproval, MailConnection
from sequences.models import Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running

pytestmark = pytest.mark.django_db
Archived = DelegationGrant.Archived


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


def give(mailbox: MailConnection, grantee: User | None, now: datetime, **terms: Any) -> DelegationGrant:
    return granting.grant(connection=mailbox, grantee=grantee, actor=mailbox.owner, terms=Terms(**terms), now=now)


@pytest.fixture
def many(mailbox: MailConnection, bob: User) -> Sequence:
    """The oldest of more sequences of Bob's than fit on a screen."""
    oldest = running(bob, mailbox, "Oldest")
    later = (
        Sequence(organization=bob.organization, owner=bob, name=f"Later {number}", connection=mailbox)
        for number in range(250)
    )
    Sequence.objects.bulk_create(later)
    return oldest


@pytest.mark.parametrize(("team", "shown"), [(False, ">Oldest<"), (True, ">Oldest (Bob Baker)<")])
def test_can_be_limited_to_any_sequence_of_the_colleague_however_old(
    team: bool,
    shown: str,
    many: Sequence,
    alice: User,
    bob: User,
    carol: User,
    mallory: User,
    mailbox: MailConnection,
    client_of: Callable[[User], Client],
) -> None:
    running(carol, mailbox, "Of Carol")
    foreign = running(mallory, connected(mallory, many.created_at), "Foreign")
    client = client_of(alice)
    form = reverse("mailconnect:grant_team") if team else reverse("mailconnect:grant", args=[bob.pk])

    page = client.get(form).content.decode()
    refused = client.post(form, {"sequence_id": foreign.pk}).content.decode()
    client.post(form, {"sequence_id": many.pk})

    assert shown in page
    assert ("Of Carol" in page) == team
    assert "Foreign" not in page
    assert "Select a valid choice" in refused
    assert DelegationGrant.objects.get().sequence_id == many.pk


def test_can_be_asked_for_by_any_own_sequence_however_old(
    many: Sequence, mailbox: MailConnection, bob: User, client_of: Callable[[User], Client]
) -> None:
    client_of(bob).post(f"{reverse('mailconnect:ask_for', args=[mailbox.pk])}?sequence={many.pk}")

    assert DelegationRequest.objects.get().sequence_id == many.pk


def test_finds_active_colleagues_and_nobody_else(
    mailbox: MailConnection,
    alice: User,
    bob: User,
    carol: User,
    mallory: User,
    client_of: Callable[[User], Client],
) -> None:
    User.objects.filter(pk=carol.pk).update(is_active=False)
    found = client_of(alice).get(reverse("mailconnect:permissions"), {"q": "er"}, headers={"HX-Request": "true"})

    page = found.content.decode()

    assert "Bob Baker" in page
    for other in ("Carol", "Mallory", "Alice", "<html"):
        assert other not in page


def test_of_a_colleague_with_limits_is_kept_shown_and_told(
    mailbox: MailConnection, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    sequence = running(bob, mailbox)
    limits = {
        "expires_on": "2031-01-31",
        "daily_cap": "20",
        "sequence_id": str(sequence.pk),
        "approve_first_email": "on",
    }

    page = client_of(alice).post(reverse("mailconnect:grant", args=[bob.pk]), limits, follow=True).content.decode()

    grant = DelegationGrant.objects.get()
    assert (grant.grantee, grant.granted_by, grant.daily_cap, grant.version) == (bob, alice, 20, 1)
    assert (grant.sequence_id, grant.approve_first_email) == (sequence.pk, True)
    assert grant.expires_at is not None
    assert grant.expires_at.isoformat() == "2031-01-31T23:00:00+00:00", "the end of the day in Berlin"
    for shown in ("Bob Baker may now send", "at most 20 a day", "only “Platform engineers”", "Sends now: “Platform"):
        assert shown in page
    assert Notification.objects.filter(user=bob, kind="grant").exists()
    assert AuditEvent.objects.get(action="grant.given").details["grantee"] == bob.pk


def test_of_the_entire_team_comes_with_a_warning(
    mailbox: MailConnection, alice: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(alice)
    address = reverse("mailconnect:grant_team")

    warned = client.get(address).content.decode()
    client.post(address)

    assert "Everybody in Demo will be able to send from alice@demo.example" in warned
    assert DelegationGrant.objects.get().grantee is None


@pytest.mark.parametrize("whom", ["herself", "a deactivated member", "twice"])
def test_is_refused_with_a_sentence(
    whom: str, mailbox: MailConnection, alice: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    if whom == "a deactivated member":
        User.objects.filter(pk=bob.pk).update(is_active=False)
    if whom == "twice":
        granted(mailbox, bob)
    grantee = alice if whom == "herself" else bob
    before = DelegationGrant.objects.count()

    answer = client_of(alice).post(reverse("mailconnect:grant", args=[grantee.pk]))

    reason = {"herself": "own_mailbox", "a deactivated member": "not_a_colleague", "twice": "already_granted"}[whom]
    assert granting.REFUSALS[reason] in answer.content.decode()
    assert DelegationGrant.objects.count() == before


def test_of_a_foreign_member_is_not_there_to_give(
    mailbox: MailConnection, alice: User, mallory: User, client_of: Callable[[User], Client], now: datetime
) -> None:
    assert client_of(alice).post(reverse("mailconnect:grant", args=[mallory.pk])).status_code == 404

    with pytest.raises(GrantRefused, match="not an active member"):
        give(mailbox, mallory, now)


def test_cannot_be_given_for_somebody_else(mailbox: MailConnection, bob: User, carol: User, now: datetime) -> None:
    with pytest.raises(GrantRefused) as refused:
        granting.grant(connection=mailbox, grantee=carol, actor=bob, terms=Terms(), now=now)

    assert refused.value.reason == "not_owner"


def test_cannot_be_given_on_a_mailbox_that_was_just_removed(
    mailbox: MailConnection, alice: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    seen_before = MailConnection.objects.get(pk=mailbox.pk)
    ending.remove(connection=mailbox, actor=alice, now=now)

    with pytest.raises(GrantRefused) as refused:
        granting.grant(connection=seen_before, grantee=bob, actor=alice, terms=Terms(), now=now)

    assert refused.value.reason == "not_connected"
    assert client_of(alice).post(reverse("mailconnect:grant", args=[bob.pk])).status_code == 404


@pytest.mark.parametrize(
    ("policy", "grantee_is_team", "days", "reason"),
    [
        ({"allow_team_grants": False}, True, None, "team_forbidden"),
        ({"grant_max_days": 30}, False, None, "needs_an_end"),
        ({"grant_max_days": 30}, False, 31, "needs_an_end"),
        ({}, False, -1, "ends_in_the_past"),
    ],
)
def test_keeps_to_the_organizations_policy(
    policy: dict[str, Any],
    grantee_is_team: bool,
    days: int | None,
    reason: str,
    mailbox: MailConnection,
    bob: User,
    now: datetime,
) -> None:
    Organization.objects.filter(pk=bob.organization_id).update(**policy)
    expires_at = now + timedelta(days=days) if days is not None else None

    with pytest.raises(GrantRefused) as refused:
        give(mailbox, None if grantee_is_team else bob, now, expires_at=expires_at)

    assert refused.value.reason == reason


def test_with_a_longest_life_proposes_its_last_day(
    mailbox: MailConnection, alice: User, bob: User, client_of: Callable[[User], Client], now: datetime
) -> None:
    Organization.objects.filter(pk=alice.organization_id).update(grant_max_days=30)
    client, address = client_of(alice), reverse("mailconnect:grant", args=[bob.pk])
    proposed = client.get(address).context["form"]["expires_on"].initial

    client.post(address, {"expires_on": proposed.isoformat()})

    expires_at = DelegationGrant.objects.get().expires_at
    assert expires_at
    assert timedelta(days=28) < expires_at - now <= timedelta(days=30)


def test_with_changed_terms_is_a_new_version_and_what_it_still_allows_runs_on(
    mailbox: MailConnection, alice: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    sequence = running(bob, mailbox)
    old = give(mailbox, bob, now, approve_first_email=True)
    first_emails.ask(grant=old, sequence_id=sequence.pk, message_key="6f1e6c0e-54a5-4a43-9c1b-0d5b8a2f7e11", now=now)
    first_emails.answer(approval=FirstEmailApproval.objects.get(), approved=True, actor=alice, now=now)

    terms = {"daily_cap": "5", "approve_first_email": "on"}
    client_of(alice).post(reverse("mailconnect:change_grant", args=[old.pk]), terms)

    old.refresh_from_db()
    sequence.refresh_from_db()
    new = DelegationGrant.objects.get(archived_at=None)
    assert (old.archived_reason, old.daily_cap) == (Archived.CHANGED, None)
    assert (new.version, new.daily_cap, new.grantee) == (2, 5, bob)
    assert sequence.state == Sequence.State.ACTIVE
    assert FirstEmailApproval.objects.filter(grant=new, approved_at__isnull=False).exists()


def test_narrowed_to_one_sequence_pauses_the_others(
    mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    kept, other = running(bob, mailbox, "Kept"), running(bob, mailbox, "Other")
    old = give(mailbox, bob, now)

    changed = granting.change(grant=old, actor=alice, terms=Terms(sequence_id=kept.pk), now=now)

    for sequence in (kept, other):
        sequence.refresh_from_db()
    assert kept.state == Sequence.State.ACTIVE
    assert (other.state, other.paused_reason) == (Sequence.State.PAUSED, "grant_scope")
    assert changed.effect.sequences == [(other.pk, "Other")]


def test_that_has_ended_cannot_be_changed(mailbox: MailConnection, alice: User, bob: User, now: datetime) -> None:
    grant = give(mailbox, bob, now)
    granting.revoke(grant=grant, actor=alice, now=now)

    with pytest.raises(GrantRefused) as refused:
        granting.change(grant=grant, actor=alice, terms=Terms(), now=now)

    assert refused.value.reason == "ended"


def test_that_time_has_ended_pauses_what_depends_on_it_and_is_told_once(
    mailbox: MailConnection, alice: User, bob: User, now: datetime
) -> None:
    sequence = running(bob, mailbox)
    grant = give(mailbox, bob, now, expires_at=now + timedelta(days=1))
    later = now + timedelta(days=1, seconds=1)

    for moment in (now, later, later):
        tasks.expire(moment)

    grant.refresh_from_db()
    sequence.refresh_from_db()
    assert grant.archived_reason == Archived.EXPIRED
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.PAUSED, "grant_expired")
    assert Notification.objects.filter(user=bob, kind="sequence_paused").count() == 1
    assert Notification.objects.filter(user=alice, kind="grant_ended").count() == 1


def test_that_time_has_ended_makes_room_for_a_new_one(mailbox: MailConnection, bob: User, now: datetime) -> None:
    give(mailbox, bob, now, expires_at=now + timedelta(days=1))

    new = give(mailbox, bob, now + timedelta(days=2))

    assert new.version == 2
    assert DelegationGrant.objects.get(version=1).archived_reason == Archived.EXPIRED


def test_outside_of_a_tightened_policy_ends_through_the_same_stop(
    mailbox: MailConnection, ada: User, bob: User, carol: User, organization: Organization, now: datetime
) -> None:
    team = give(mailbox, None, now, expires_at=now + timedelta(days=5))
    endless = give(mailbox, bob, now)
    short = give(mailbox, carol, now, expires_at=now + timedelta(days=5))
    by_bob, by_carol = running(bob, mailbox, "Bob's"), running(carol, mailbox, "Carol's")
    organization.allow_team_grants, organization.grant_max_days = False, 30
    organization.save()

    assert set(granting.outside_of_policy(organization, now)) == {team, endless}
    ended = granting.apply_policy(organization, ada, now)

    for row in (team, endless, short, by_bob, by_carol):
        row.refresh_from_db()
    assert ended == 2
    assert {team.archived_reason, endless.archived_reason} == {Archived.POLICY}
    assert short.archived_at is None
    assert (by_bob.state, by_bob.paused_reason) == (Sequence.State.PAUSED, "policy")
    assert by_carol.state == Sequence.State.ACTIVE


def test_of_others_is_listed_for_admins_alone(
    mailbox: MailConnection, ada: User, bob: User, mallory: User, client_of: Callable[[User], Client]
) -> None:
    granted(mailbox, bob)
    address = reverse("mailconnect:overview")

    page = client_of(ada).get(address).content.decode()

    assert "alice@demo.example" in page
    assert "Bob Baker" in page
    assert client_of(bob).get(address).status_code == 404


@pytest.mark.parametrize("name", ["permissions", "overview"])
def test_in_great_number_costs_the_page_no_more_queries(
    name: str,
    mailbox: MailConnection,
    alice: User,
    organization: Organization,
    now: datetime,
    client_of: Callable[[User], Client],
) -> None:
    User.objects.filter(pk=alice.pk).update(role=User.Role.ADMIN)
    client, address = client_of(alice), reverse(f"mailconnect:{name}")

    def colleagues(numbers: range) -> None:
        for number in numbers:
            person = User.objects.create_user(f"{number}@demo.example", organization=organization)
            granted(mailbox, person)
            running(person, mailbox)

    def queries() -> int:
        with CaptureQueriesContext(database) as seen:
            client.get(address)
        return len(seen)

    colleagues(range(2))
    few = queries()
    colleagues(range(2, 12))

    assert queries() == few


def test_outside_of_a_tightened_policy_is_said_before_it_ends(
    mailbox: MailConnection, ada: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    team = give(mailbox, None, now)
    running(bob, mailbox)
    client, address = client_of(ada), reverse("accounts:organization")
    tighter = {"name": "Demo", "time_zone": "Europe/Berlin", "holiday_country": "", "grant_max_days": "30"}

    said = client.post(address, tighter)
    team.refresh_from_db()
    untouched = team.archived_at is None and Organization.objects.get(name="Demo").allow_team_grants
    client.post(address, tighter | {"confirmed": "yes"})

    page = said.content.decode()
    assert "The permission of the entire team to send from alice@demo.example ends." in page
    assert "1 sequence pauses: “Platform engineers”." in page
    assert untouched
    team.refresh_from_db()
    assert team.archived_reason == Archived.POLICY
    assert Organization.objects.get(name="Demo").grant_max_days == 30
