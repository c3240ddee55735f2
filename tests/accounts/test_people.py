"""People of an organization: roles, invitations, and those who leave."""

import threading
from collections.abc import Callable
from datetime import datetime
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts import inviting, leaving
from accounts.models import AuditEvent, Invitation, Organization, User
from mailconnect.models import DelegationGrant, MailConnection, TokenCache
from tests.mailconnect.owning import connected, granted

ClientOf = Callable[[User], Client]
PEOPLE = reverse("accounts:people")


@pytest.fixture
def invitation(ada: User, now: datetime) -> Invitation:
    return inviting.invite(
        organization=ada.organization, email="dora@new.example", role="member", invited_by=ada, now=now
    )[0]


def test_lists_the_own_people_only(client_of: ClientOf, ada: User, bob: User, mallory: User) -> None:
    page = client_of(ada).get(PEOPLE).content.decode()

    assert bob.email in page
    assert mallory.email not in page


@pytest.mark.parametrize("count", [3, 60])
def test_asks_the_same_number_of_queries_for_many_people(
    client_of: ClientOf, ada: User, count: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        User.objects.create_user(f"p{number}@demo.example", organization=ada.organization, name=f"P {number}")
    client = client_of(ada)

    with django_assert_max_num_queries(9):
        client.get(PEOPLE)


def test_invites_by_mail(client_of: ClientOf, ada: User) -> None:
    client_of(ada).post(reverse("accounts:invite"), {"email": "Dora@New.example", "role": "admin"})

    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.role, invitation.invited_by) == ("dora@new.example", "admin", ada)
    assert mail.outbox[0].to == ["dora@new.example"]
    assert AuditEvent.objects.get(action="invitation.sent").details == {"role": "admin"}


def test_invites_whatever_stands_in_the_names(client_of: ClientOf, ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(name="Ada\nBcc: eve@evil.example")
    Organization.objects.update(name="De\r\nmo")

    client_of(ada).post(reverse("accounts:invite"), {"email": "dora@new.example", "role": "member"})

    assert mail.outbox[0].subject == "Ada Bcc: eve@evil.example invites you to De mo"
    assert mail.outbox[0].recipients() == ["dora@new.example"]


@pytest.mark.parametrize("sent", [{"email": "nonsense", "role": "member"}, {"email": "x@y.example", "role": "owner"}])
def test_refuses_a_senseless_invitation(client_of: ClientOf, ada: User, sent: dict[str, str]) -> None:
    answer = client_of(ada).post(reverse("accounts:invite"), sent)

    assert answer.status_code == 200
    assert not Invitation.objects.exists()


def test_does_not_invite_who_is_here(client_of: ClientOf, ada: User, bob: User) -> None:
    answer = client_of(ada).post(reverse("accounts:invite"), {"email": bob.email.upper(), "role": "member"})

    assert "in your organization already" in answer.content.decode()
    assert not mail.outbox


def test_does_not_say_that_an_address_belongs_elsewhere(client_of: ClientOf, ada: User, mallory: User) -> None:
    client = client_of(ada)

    known = client.post(reverse("accounts:invite"), {"email": mallory.email, "role": "member"}, follow=True)
    unknown = client.post(reverse("accounts:invite"), {"email": "nobody@other.example", "role": "member"}, follow=True)

    assert f"{mallory.email} is invited" in known.content.decode()
    assert "nobody@other.example is invited" in unknown.content.decode()


def test_keeps_the_invitation_when_the_mail_server_is_down(client_of: ClientOf, ada: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    answer = client_of(ada).post(
        reverse("accounts:invite"), {"email": "dora@new.example", "role": "member"}, follow=True
    )

    assert "could not be sent" in answer.content.decode()
    assert Invitation.objects.count() == 1


def test_limits_invitations(client_of: ClientOf, ada: User) -> None:
    client = client_of(ada)
    for number in range(101):
        client.post(reverse("accounts:invite"), {"email": f"p{number}@new.example", "role": "member"})

    assert len(mail.outbox) == 100


def test_sends_an_invitation_again(client_of: ClientOf, ada: User, invitation: Invitation) -> None:
    client_of(ada).post(reverse("accounts:invite_again", args=[invitation.pk]))

    invitation.refresh_from_db()
    assert invitation.revoked_at
    assert Invitation.objects.get(revoked_at=None).email == invitation.email
    assert len(mail.outbox) == 1


def test_changes_a_role(client_of: ClientOf, ada: User, bob: User) -> None:
    client_of(ada).post(reverse("accounts:person", args=[bob.pk]), {"role": "admin"})

    bob.refresh_from_db()
    assert bob.is_admin
    assert AuditEvent.objects.get(action="user.role_changed").object_id == str(bob.pk)


def test_keeps_an_admin(client_of: ClientOf, ada: User, bob: User, now: datetime) -> None:
    client_of(ada).post(reverse("accounts:person", args=[ada.pk]), {"role": "member"})
    with pytest.raises(leaving.LeavingRefused, match="last admin"):
        leaving.deactivate(user=ada, actor=None, now=now)

    ada.refresh_from_db()
    assert ada.is_admin
    assert ada.is_active


def test_lets_nobody_deactivate_themselves(client_of: ClientOf, ada: User, bob: User, now: datetime) -> None:
    leaving.change_role(user=bob, role="admin", actor=ada, now=now)

    answer = client_of(ada).post(reverse("accounts:deactivate", args=[ada.pk]), follow=True)

    ada.refresh_from_db()
    assert ada.is_active
    assert "cannot deactivate yourself" in answer.content.decode()


def test_says_before_a_deactivation_what_will_happen(
    client_of: ClientOf, ada: User, alice: User, bob: User, now: datetime
) -> None:
    connection = connected(alice, now)
    granted(connection, bob)
    client = client_of(ada)

    owner_page = client.get(reverse("accounts:deactivate", args=[alice.pk])).content.decode()
    grantee_page = client.get(reverse("accounts:deactivate", args=[bob.pk])).content.decode()

    assert f"The mailbox {alice.email} is disconnected" in owner_page
    assert f"1 permission to send from {alice.email} ends." in owner_page
    assert f"The permission to send from {alice.email} ends." in grantee_page


def test_ends_everything_of_who_leaves(
    client_of: ClientOf, ada: User, alice: User, bob: User, carol: User, now: datetime
) -> None:
    granted(connected(alice, now), bob)
    received = granted(connected(carol, now), alice)

    client_of(ada).post(reverse("accounts:deactivate", args=[alice.pk]))

    alice.refresh_from_db()
    received.refresh_from_db()
    assert (alice.is_active, bool(alice.deactivated_at)) == (False, True)
    assert not TokenCache.objects.filter(connection__owner=alice).exists()
    assert MailConnection.objects.get(owner=alice).state == "removed"
    assert DelegationGrant.objects.get(grantee=bob).archived_reason == "owner_left"
    assert received.archived_reason == "grantee_left"
    assert AuditEvent.objects.get(action="user.deactivated").actor == ada


def test_keeps_everything_when_one_part_fails(ada: User, alice: User, now: datetime) -> None:
    class Failing:
        def foresee(self, user: User, now: datetime) -> list[str]:
            return []

        def leave(self, user: User, actor: User | None, now: datetime) -> Callable[[], int]:
            raise RuntimeError

    connected(alice, now)
    leaving.register(Failing())
    try:
        with pytest.raises(RuntimeError):
            leaving.deactivate(user=alice, actor=ada, now=now)
    finally:
        leaving._dependents.pop()

    alice.refresh_from_db()
    assert alice.is_active
    assert MailConnection.objects.get(owner=alice).state == "connected"


@pytest.mark.django_db(transaction=True)
def test_keeps_an_admin_when_two_deactivate_each_other(ada: User, bob: User, now: datetime) -> None:
    leaving.change_role(user=bob, role="admin", actor=ada, now=now)
    together = threading.Barrier(2)
    refused = []

    def deactivate(user: User, actor: User) -> None:
        together.wait()
        try:
            leaving.deactivate(user=user, actor=actor, now=now)
        except leaving.LeavingRefused as refusal:
            refused.append(str(refusal))
        connections.close_all()

    acts = [threading.Thread(target=deactivate, args=pair) for pair in ((ada, bob), (bob, ada))]
    for act in acts:
        act.start()
    for act in acts:
        act.join()

    assert User.objects.filter(role="admin", is_active=True).count() == 1
    assert len(refused) == 1


def test_lets_a_person_come_back(client_of: ClientOf, ada: User, bob: User, now: datetime) -> None:
    leaving.deactivate(user=bob, actor=ada, now=now)

    client_of(ada).post(reverse("accounts:activate", args=[bob.pk]))

    bob.refresh_from_db()
    assert (bob.is_active, bob.deactivated_at) == (True, None)


def test_lets_another_admin_send_again_what_a_leaver_had_sent(
    client_of: ClientOf, ada: User, bob: User, invitation: Invitation, now: datetime
) -> None:
    leaving.change_role(user=bob, role="admin", actor=ada, now=now)
    client = client_of(bob)
    before = client.get(reverse("accounts:deactivate", args=[ada.pk])).content.decode()

    client.post(reverse("accounts:deactivate", args=[ada.pk]))
    people = client.get(PEOPLE).content.decode()
    client.post(reverse("accounts:invite_again", args=[invitation.pk]))

    assert f"The invitation of {invitation.email} lapses" in before
    assert "Lapsed" in people
    assert Invitation.objects.open(now).get().invited_by == bob


def test_revokes_what_a_leaver_had_sent_for_good(
    client_of: ClientOf, ada: User, bob: User, invitation: Invitation, now: datetime
) -> None:
    leaving.change_role(user=bob, role="admin", actor=ada, now=now)
    leaving.deactivate(user=ada, actor=bob, now=now)

    client_of(bob).post(reverse("accounts:revoke_invitation", args=[invitation.pk]))
    leaving.activate(user=ada, actor=bob, now=now)

    assert not Invitation.objects.open(now).exists()


def test_deactivates_by_command(ada: User, bob: User) -> None:
    told = StringIO()

    call_command("deactivate_user", "BOB@demo.example", stdout=told)

    bob.refresh_from_db()
    assert not bob.is_active
    assert "signed out everywhere" in told.getvalue()


@pytest.mark.parametrize(("email", "sentence"), [("nobody@demo.example", "Nobody"), ("ada@demo.example", "last admin")])
def test_refuses_by_command_with_one_sentence(ada: User, email: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("deactivate_user", email)


PAGES = ["people", "invite", "organization", "audit"]
ABOUT_A_PERSON = ["person", "deactivate", "activate"]


@pytest.mark.parametrize("name", PAGES)
def test_is_for_admins(client_of: ClientOf, client: Client, ada: User, bob: User, name: str) -> None:
    path = reverse(f"accounts:{name}")

    assert client_of(ada).get(path).status_code == 200
    assert client_of(bob).get(path).status_code == 403
    assert client.get(path)["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("name", ABOUT_A_PERSON)
@pytest.mark.parametrize("method", ["get", "post"])
def test_shows_no_person_of_another_organization(
    client_of: ClientOf, bob: User, mallory: User, name: str, method: str
) -> None:
    User.objects.filter(pk=mallory.pk).update(role=User.Role.ADMIN)
    path = reverse(f"accounts:{name}", args=[bob.pk])

    answer = getattr(client_of(mallory), method)(path, {"role": "admin"})

    bob.refresh_from_db()
    assert answer.status_code == (405 if (name, method) == ("activate", "get") else 404)
    assert (bob.is_active, bob.is_admin) == (True, False)


@pytest.mark.parametrize("name", ["invite_again", "revoke_invitation"])
def test_touches_no_invitation_of_another_organization(
    client_of: ClientOf, mallory: User, invitation: Invitation, name: str
) -> None:
    User.objects.filter(pk=mallory.pk).update(role=User.Role.ADMIN)

    answer = client_of(mallory).post(reverse(f"accounts:{name}", args=[invitation.pk]))

    invitation.refresh_from_db()
    assert answer.status_code == 404
    assert invitation.revoked_at is None


def test_saves_the_organization_and_notes_what_changed(client_of: ClientOf, ada: User) -> None:
    sent = {"name": "Demo", "time_zone": "Asia/Tokyo", "holiday_country": "JP", "grant_max_days": "30"}

    client_of(ada).post(reverse("accounts:organization"), sent)

    organization = Organization.objects.get()
    assert (organization.time_zone, organization.holiday_country, organization.grant_max_days) == (
        "Asia/Tokyo",
        "JP",
        30,
    )
    assert not organization.allow_team_grants
    changed = AuditEvent.objects.get(action="organization.changed").details["changed"]
    assert set(changed) == {"time_zone", "holiday_country", "allow_team_grants", "grant_max_days"}


@pytest.mark.parametrize(
    "wrong", [{"time_zone": "Mars/Olympus"}, {"holiday_country": "XX"}, {"grant_max_days": "0"}, {"name": " "}]
)
def test_refuses_senseless_settings(client_of: ClientOf, ada: User, wrong: dict[str, str]) -> None:
    sent = {"name": "Demo", "time_zone": "Asia/Tokyo", "holiday_country": "", "grant_max_days": ""} | wrong

    answer = client_of(ada).post(reverse("accounts:organization"), sent)

    assert "invalid-feedback" in answer.content.decode()
    assert Organization.objects.get().time_zone == "Europe/Berlin"
