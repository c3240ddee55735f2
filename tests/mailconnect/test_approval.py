"""Approval by the company's IT."""

import html
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse

from accounts.models import Notification, Organization, User
from mailconnect import approval
from mailconnect.models import AdminConsent, MailConnection
from tests.sandbox_tenant import DEMO_TENANT, ELSEWHERE_TENANT, SandboxTenant
from tests.signing_in import Browser, begin, path_of

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
ALICE = "alice@demo.example"
APPROVAL = reverse("mailconnect:approval")


@pytest.fixture(autouse=True)
def only_administrators_may_consent(tenant: SandboxTenant) -> None:
    tenant.consent_mode("demo.example", "microsoft_managed")


def link_of(client: Client) -> str:
    """The link for IT, as the page shows it."""
    shown = client.get(APPROVAL).content.decode()
    return html.unescape(shown.partition('id="link" readonly value="')[2].partition('"')[0])


def approved_by(address: str, link: str, *presses: str) -> str:
    """An administrator opens the link. Returns where Microsoft leads back to."""
    visitor = Browser().open(link).press(address, *presses)
    visitor.close()
    return path_of(visitor.came_back)


def test_is_asked_for_with_a_link_and_a_mail(alice: User, client_of: ClientOf) -> None:
    shown = html.unescape(client_of(alice).get(APPROVAL).content.decode())

    link = link_of(client_of(alice))
    assert urlsplit(link).path == "/organizations/v2.0/adminconsent"
    assert parse_qs(urlsplit(link).query)["scope"][0].count("https://graph.microsoft.com/") == 4
    assert "mailto:?subject=Please%20approve%20Metaview%20Outreach" in shown
    for scope in ("Mail.ReadWrite", "Mail.Send", "MailboxSettings.Read", "User.Read"):
        assert scope in shown


def test_names_the_tenant_once_it_is_known(alice: User, client_of: ClientOf) -> None:
    Organization.objects.update(microsoft_tenant_id=DEMO_TENANT)

    assert urlsplit(link_of(client_of(alice))).path == f"/{DEMO_TENANT}/v2.0/adminconsent"


def test_that_is_waited_for_shows_to_everybody(alice: User, bob: User, client_of: ClientOf) -> None:
    client_of(alice).post(reverse("mailconnect:approval_asked"), follow=True)

    shown = client_of(bob).get(reverse("mailconnect:settings")).content.decode()

    assert "Waiting for IT" in shown
    assert "Alice Archer asked IT" in shown
    assert "Connect Email" in shown


def test_makes_the_next_sign_in_work_and_is_told(
    tenant: SandboxTenant, alice: User, client_of: ClientOf, now: datetime
) -> None:
    client = client_of(alice)
    client.post(reverse("mailconnect:approval_asked"))
    link = link_of(client)

    shown = Client().get(approved_by("ada@demo.example", link, "Accept")).content.decode()

    assert "We have told Alice Archer" in shown
    assert Notification.objects.get(user=alice, kind="mailbox_approved")
    consent = AdminConsent.objects.get()
    assert (consent.tenant_hint, bool(consent.approved_at)) == (DEMO_TENANT, True)
    assert "Test again" in client.get(APPROVAL).content.decode()
    visitor = Browser().open(begin(client)).press(ALICE)  # no consent is asked for any more
    client.get(path_of(visitor.came_back))
    visitor.close()
    assert MailConnection.objects.get().address == ALICE


def test_that_does_not_stand_yet_changes_nothing_when_it_is_tested(
    tenant: SandboxTenant, alice: User, client_of: ClientOf
) -> None:
    client = client_of(alice)
    client.post(reverse("mailconnect:approval_asked"))
    visitor = Browser().open(begin(client)).press(ALICE, "Return to the application without granting consent")

    shown = client.get(path_of(visitor.came_back), follow=True).content.decode()

    visitor.close()
    assert "Ask your IT for approval" in shown
    assert AdminConsent.objects.get().approved_at is None


def test_that_was_refused_is_said_and_changes_nothing(alice: User, client_of: ClientOf) -> None:
    came_back = approved_by("ada@demo.example", link_of(client_of(alice)), "Cancel")

    shown = Client().get(came_back).content.decode()

    assert "admin_consent=True" in came_back
    assert "The app was not approved" in shown
    assert not AdminConsent.objects.exists()


def test_with_a_state_that_is_not_ours_is_nobodys(alice: User) -> None:
    state = signing.dumps({"user": alice.pk}, salt="another")
    query = f"?admin_consent=True&tenant={DEMO_TENANT}&state={state}"

    shown = Client().get(reverse("mailconnect:approval_callback") + query).content.decode()

    assert "Please tell the person who asked you" in shown
    assert not AdminConsent.objects.exists()
    assert not Notification.objects.exists()


def test_is_no_authentication(alice: User, organization: Organization) -> None:
    state = signing.dumps({"user": alice.pk}, salt=approval.SALT)

    for tenant in (ELSEWHERE_TENANT, "<script>"):
        Client().get(f"{reverse('mailconnect:approval_callback')}?admin_consent=True&tenant={tenant}&state={state}")

    organization.refresh_from_db()
    assert organization.microsoft_tenant_id == ""
    assert AdminConsent.objects.get().tenant_hint == ""
    assert not MailConnection.objects.exists()
