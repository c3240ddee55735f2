"""Connecting a mailbox, in a real browser."""

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from mailconnect.models import ConsentFlow, MailConnection
from mailconnect.reasons import SENTENCES
from tests.browser.conftest import SignedIn
from tests.sandbox_tenant import DEMO_TENANT, SandboxTenant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SETTINGS = "/settings/mailbox/"
ALICE = "alice@demo.example"


def pick(microsoft: Page, address: str) -> None:
    microsoft.get_by_role("button", name=address).click()


def accept(microsoft: Page, address: str) -> None:
    pick(microsoft, address)
    microsoft.get_by_role("button", name="Accept").click()


def begin(page: Page, words: str = "Connect Email") -> Page:
    """Press Connect Email on the settings page. Returns the popup, at Microsoft."""
    page.goto(SETTINGS)
    with page.expect_popup() as popup:
        page.get_by_role("button", name=words).click()
    expect(popup.value.get_by_role("heading", name="Pick an account")).to_be_visible()
    return popup.value


def follow(popup: Page, *presses: str) -> None:
    """Through Microsoft's pages, until the popup has closed."""
    for words in presses[:-1]:
        popup.get_by_role("button", name=words).click()
    with popup.expect_event("close"):
        popup.get_by_role("button", name=presses[-1]).click()


def test_goes_through_a_popup_that_closes_and_the_page_follows(
    tenant: SandboxTenant, alice: User, page_of: SignedIn
) -> None:
    page = page_of(alice)

    follow(begin(page), ALICE, "Accept")

    expect(page.get_by_text("Connected as alice@demo.example")).to_be_visible()
    assert MailConnection.objects.get().state == MailConnection.State.CONNECTED


def test_goes_through_the_page_itself_where_popups_are_blocked(
    tenant: SandboxTenant, alice: User, page_of: SignedIn
) -> None:
    page = page_of(alice)
    page.add_init_script("window.open = () => null")
    page.goto(SETTINGS)

    page.get_by_role("button", name="Connect Email").click()
    accept(page, ALICE)

    expect(page.get_by_text("Connected as alice@demo.example")).to_be_visible()
    assert page.url.endswith(SETTINGS)


def test_works_without_javascript(tenant: SandboxTenant, alice: User, page_of: SignedIn) -> None:
    page = page_of(alice, java_script_enabled=False)
    page.goto(SETTINGS)

    page.get_by_role("button", name="Connect Email").click()
    accept(page, ALICE)

    expect(page.get_by_text(re.compile("Connected as alice@demo.example"))).to_be_visible()


WITHOUT_CONSENT = "Return to the application without granting consent"
Prepare = Callable[[SandboxTenant], object]
REFUSALS: list[tuple[str, Prepare, list[str]]] = [
    ("other_address", lambda tenant: None, ["bob@demo.example", "Accept"]),
    ("personal_account", lambda tenant: tenant.turn(personal_accounts_pass=True), ["pat@personal.example", "Accept"]),
    ("guest_account", lambda tenant: None, ["gus@partner.example", "Accept"]),
    ("other_tenant", lambda tenant: None, ["mallory@other.example", "Accept"]),
    ("no_mailbox", lambda tenant: None, ["erin@demo.example", "Accept"]),
    ("scope_missing", lambda tenant: tenant.change_account(ALICE, only_scopes=["User.Read"]), [ALICE, "Accept"]),
    ("approval_needed", lambda tenant: None, [ALICE, "Cancel"]),
    ("approval_needed", lambda tenant: tenant.consent_mode("demo.example", "off"), [ALICE, WITHOUT_CONSENT]),
    ("conditional_access", lambda tenant: tenant.change_account(ALICE, refused_with=53003), [ALICE, "Accept"]),
    ("microsoft_unavailable", lambda tenant: tenant.fault(ALICE, "token", "lost_before"), [ALICE, "Accept"]),
    ("flow_expired", lambda tenant: ConsentFlow.objects.update(expires_at=timezone.now()), [ALICE, "Accept"]),
]


@pytest.mark.parametrize(
    ("reason", "prepare", "presses"),
    REFUSALS,
    ids=[f"{reason}-{place}" for place, (reason, _, _) in enumerate(REFUSALS)],
)
def test_that_is_refused_says_why_in_the_page_that_opened_the_popup(
    tenant: SandboxTenant,
    alice: User,
    page_of: SignedIn,
    reason: str,
    prepare: Prepare,
    presses: list[str],
) -> None:
    Organization.objects.update(microsoft_tenant_id=DEMO_TENANT)
    page = page_of(alice)
    popup = begin(page)
    prepare(tenant)

    follow(popup, *presses)

    expect(page.get_by_role("heading", name="Your mailbox was not connected")).to_be_visible()
    for words in SENTENCES[reason]:
        expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert not MailConnection.objects.exists()


def test_cannot_be_replayed(tenant: SandboxTenant, alice: User, page_of: SignedIn) -> None:
    page = page_of(alice, java_script_enabled=False)
    page.goto(SETTINGS)
    page.get_by_role("button", name="Connect Email").click()
    pick(page, ALICE)
    with page.expect_request(lambda request: "/callback/" in request.url) as came_back:
        page.get_by_role("button", name="Accept").click()

    page.goto(came_back.value.url)

    expect(page.get_by_text(SENTENCES["flow_unknown"][0])).to_be_visible()
    expect(page.get_by_text(f"Your existing connection ({ALICE}) stays as it was.")).to_be_visible()


def test_that_microsoft_stops_on_its_own_page_can_be_begun_again(
    tenant: SandboxTenant, alice: User, page_of: SignedIn
) -> None:
    page = page_of(alice)
    popup = begin(page)
    pick(popup, "uma@demo.example")
    expect(popup.get_by_text("AADSTS50105").first).to_be_visible()
    popup.close()

    follow(begin(page), ALICE, "Accept")

    expect(page.get_by_text(f"Connected as {ALICE}")).to_be_visible()


def test_waits_for_it_and_works_once_they_have_approved(tenant: SandboxTenant, alice: User, page_of: SignedIn) -> None:
    tenant.consent_mode("demo.example", "microsoft_managed")
    page = page_of(alice)
    follow(begin(page), ALICE, WITHOUT_CONSENT)
    page.get_by_role("link", name="Ask your IT for approval").click()
    page.get_by_role("button", name="I have asked IT").click()
    expect(page.get_by_text("Waiting for IT").first).to_be_visible()

    administrator = page.context.browser.new_page()  # type: ignore[union-attr]
    administrator.goto(page.get_by_label("The link alone").input_value())
    accept(administrator, "ada@demo.example")
    expect(administrator.get_by_role("heading", name="Thank you, that was it")).to_be_visible()
    administrator.close()
    page.reload()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Test again").click()
    follow(popup.value, ALICE)

    expect(page.get_by_text(f"Connected as {ALICE}")).to_be_visible()


def test_again_after_removing_takes_up_the_same_mailbox(tenant: SandboxTenant, alice: User, page_of: SignedIn) -> None:
    page = page_of(alice)
    follow(begin(page), ALICE, "Accept")

    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_role("heading", name=f"Remove {ALICE}?")).to_be_visible()
    page.get_by_role("button", name="Remove mailbox").click()
    expect(page.get_by_text(f"{ALICE} is removed.")).to_be_visible()
    assert MailConnection.objects.get().state == MailConnection.State.REMOVED

    follow(begin(page), ALICE)  # the consent stands at Microsoft
    expect(page.get_by_text(f"Connected as {ALICE}")).to_be_visible()
    assert MailConnection.objects.get().state == MailConnection.State.CONNECTED


def test_again_mends_what_needs_reconnecting(tenant: SandboxTenant, alice: User, page_of: SignedIn) -> None:
    page = page_of(alice)
    follow(begin(page), ALICE, "Accept")
    expect(page.get_by_text(f"Connected as {ALICE}")).to_be_visible()
    MailConnection.objects.update(state=MailConnection.State.RECONNECT, reason="access_revoked")

    page.goto(SETTINGS)
    expect(page.get_by_text(SENTENCES["access_revoked"][0])).to_be_visible()
    follow(begin(page, "Reconnect"), ALICE)

    expect(page.get_by_text(f"Connected as {ALICE}")).to_be_visible()
