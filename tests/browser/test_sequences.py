"""Writing and starting a sequence, in a real browser."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from mailconnect.models import MailConnection
from sequences.models import Sequence, Step
from tests.browser.conftest import SignedIn
from tests.mailconnect.owning import connected
from tests.sequences.making import enrolled, sequence_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, datetime.now(UTC))


def watched(page: Page) -> list[str]:
    """What the browser complains about, such as a breach of the Content-Security-Policy."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def write(page: Page, text: str) -> None:
    # Not the textarea that the editor replaces when it is there.
    page.get_by_role("textbox", name="Text").and_(page.locator(".ql-editor")).click()
    page.keyboard.type(text)


def test_writes_two_steps_starts_pauses_and_resumes(alice: User, mailbox: MailConnection, page_of: SignedIn) -> None:
    page = page_of(alice)
    complaints = watched(page)
    page.goto("/sequences/")
    page.get_by_role("link", name="New sequence").first.click()
    page.get_by_label("Name").fill("Platform engineers")
    page.get_by_role("button", name="Create sequence").click()

    # Started too early, it says what is missing, and where.
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("There are no steps yet.")).to_be_visible()
    expect(page.get_by_text("There is no mailbox to send from.")).to_be_visible()
    expected = [text for text in complaints if "409" in text]

    page.get_by_role("link", name="To the settings").click()
    page.get_by_label("Send from").select_option(label="alice@demo.example (Alice Archer)")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Steps").click()
    page.get_by_role("link", name="Write it").click()
    page.get_by_label("Subject").fill("A role for you")
    write(page, "Dear ")
    page.get_by_text("Insert a token").click()
    page.get_by_role("button", name="First name", exact=True).click()
    expect(page.locator("#preview")).to_contain_text("Dear Alex")
    page.get_by_role("button", name="Save step").click()

    page.get_by_role("link", name="Add step").click()
    page.get_by_label("Reply in the same thread").check()
    write(page, "Did you see this?")
    expect(page.locator("#preview")).to_contain_text("Re: A role for you")
    page.get_by_role("button", name="Save step").click()
    expect(page.get_by_role("heading", name="Step 2: reply in the same thread")).to_be_visible()
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("“Platform engineers” is active.")).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Nothing of it leaves until you resume it")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("“Platform engineers” is active.")).to_be_visible()

    first, second = Step.objects.order_by("position")
    assert first.body == '<p>Dear {{ first_name | default: "there" }}</p>'
    assert (second.kind, second.body) == ("reply", "<p>Did you see this?</p>")
    assert Sequence.objects.get().state == Sequence.State.ACTIVE
    assert complaints == expected


def test_shows_at_once_what_is_wrong_with_a_text(alice: User, mailbox: MailConnection, page_of: SignedIn) -> None:
    sequence = sequence_of(alice, mailbox)
    enrolled(sequence, first_name="Zoë")
    page = page_of(alice)
    page.goto(f"/sequences/{sequence.pk}/steps/{sequence.steps.get().pk}/")
    preview = page.locator("#preview")

    expect(preview).to_contain_text("Hi Zoë")
    page.get_by_label("Subject").fill("{{ compan }}")
    expect(preview).to_contain_text("Did you mean {{ company }}?")
    page.get_by_label("Subject").fill("{{ company }}")
    expect(preview).to_contain_text("Zoë has no value for company")


def test_writes_and_previews_without_javascript(alice: User, mailbox: MailConnection, page_of: SignedIn) -> None:
    sequence = sequence_of(alice, mailbox, steps=0)
    enrolled(sequence, first_name="Zoë")
    page = page_of(alice, java_script_enabled=False)
    page.goto(f"/sequences/{sequence.pk}/steps/new/")

    page.get_by_label("Subject").fill("For {{ first_name }}")
    page.get_by_label("Text").fill("Dear {{ first_name }},\n\nhello")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("For Zoë")
    page.get_by_role("button", name="Save step").click()

    assert Step.objects.get().body == "<p>Dear {{ first_name }},</p>\n<p>hello</p>"


def test_follows_a_dry_run_to_the_first_email(alice: User, mailbox: MailConnection, page_of: SignedIn) -> None:
    sequence = sequence_of(alice, mailbox, steps=2)
    enrolled(sequence, 3)
    page = page_of(alice, viewport={"width": 375, "height": 800})
    page.goto(f"/sequences/{sequence.pk}/")

    page.locator(".tabs").get_by_role("link", name="Dry run").click()

    expect(page.get_by_text("6 emails would leave if the sequence started now")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_follows_a_sequence_that_is_starting(alice: User, mailbox: MailConnection, page_of: SignedIn) -> None:
    sequence = sequence_of(alice, mailbox, starting_at=datetime.now(UTC))
    page = page_of(alice)
    page.goto(f"/sequences/{sequence.pk}/")
    expect(page.get_by_text("Planning the time of every email.")).to_be_visible()

    Sequence.objects.update(state=Sequence.State.ACTIVE, starting_at=None)

    expect(page.get_by_text("Planning the time of every email.")).to_have_count(0)
    expect(page.get_by_role("heading", name="Engineers")).to_have_count(1)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
