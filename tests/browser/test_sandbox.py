"""The sandbox in a real Chromium: axe-core finds no serious fault, a phone is wide enough, no script of a mail runs."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.test_accessibility import faults_of
from tests.sandbox.conftest import Graph
from tests.sandbox.test_signing_in import ADA, admin_link, asked
from tests.sandbox_tenant import SandboxTenant

pytestmark = pytest.mark.browser
ALICE = "alice@demo.example"
BOB = "bob@demo.example"


@pytest.fixture
def filled(tenant: SandboxTenant) -> SandboxTenant:
    """A tenant in which something has happened."""
    alice = Graph(tenant, ALICE)
    alice.sent(subject="A question about your work on query planners, and one about your plans for the year")
    alice.draft("key-2")
    alice.session.close()
    tenant.reply_as_candidate(ALICE, text="Sounds good.")
    tenant.reply_as_candidate(ALICE, "bounce", folder="junkemail")
    tenant.fault(ALICE, "send", "status_after", status=504, skip=2, times=-1)
    tenant.away(BOB)
    tenant.consent_mode("demo.example", "off", workflow=True)
    return tenant


def pick(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_role("button", name=name).click()


def test_can_be_used_by_everybody(filled: SandboxTenant, new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(base_url=filled.url, bypass_csp=True).new_page()
    places = [f"/mail/{ALICE}/{place}" for place in ("inbox", "sentitems", "drafts", "archive", "setup")]
    faults = []

    for place in ["/", *places]:
        page.goto(place)
        faults += faults_of(page)
    page.goto(f"/mail/{ALICE}/sentitems")
    page.get_by_text("A question about your work").click()
    expect(page.get_by_role("heading", name="Answer as dana@candidate.example")).to_be_visible()
    faults += faults_of(page)

    assert not faults, "\n".join(faults)


def test_signs_in_for_everybody(filled: SandboxTenant, new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(bypass_csp=True).new_page()
    faults = []

    def look(address: str, *presses: str) -> None:
        page.goto(address)
        pick(page, *presses)
        page.wait_for_load_state()
        faults.extend(faults_of(page))

    look(asked(filled))
    look(asked(filled), "uma@demo.example")
    look(asked(filled), BOB)
    look(asked(filled), BOB, "Request approval")
    look(asked(filled), ADA)
    look(admin_link(filled), ADA)
    filled.consent_mode("demo.example", "microsoft_managed")
    look(asked(filled), BOB)

    assert not faults, "\n".join(faults)


def test_runs_no_script_of_a_mail(tenant: SandboxTenant, new_context: Callable[..., BrowserContext]) -> None:
    script = "<script>parent.document.title = 'taken'; document.body.innerText = 'ran'</script>"
    mail = f"<p>Hello</p><img src=x onerror=\"document.body.innerText = 'ran'\">{script}"
    tenant.put(ALICE, subject="A mail with a script", body=mail)
    page = new_context(base_url=tenant.url).new_page()

    page.goto(f"/mail/{ALICE}/inbox")
    page.get_by_text("A mail with a script").click()

    expect(page.frame_locator("iframe").get_by_text("Hello")).to_be_visible()
    expect(page).to_have_title("Alice Archer · Sandbox 365")
