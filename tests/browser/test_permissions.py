"""Sending from a colleague's mailbox, in a real browser: ask, approve, send, revoke, be paused, be allowed, resume."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from mailconnect.models import DelegationGrant
from sequences.models import Candidate, Enrollment, Sequence, Step
from sequences.sending import Pace, Pump
from tests.browser.conftest import SignedIn
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import ANY_TIME, TEXT, connected

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PATIENCE_MS = 40_000  # two browsers, the product and the sandbox, perhaps on a busy machine
expect.set_options(timeout=PATIENCE_MS)
PERMISSIONS = "/settings/mailbox/permissions/"


def work() -> None:
    """What a worker does meanwhile."""
    Pump(pace=Pace(per_minute=None, settle_seconds=0.1), in_flight=2).run(seconds=10)


def written(owner: User, candidates: int) -> Sequence:
    """A sequence without a mailbox yet, with its first email and its candidates."""
    sequence = Sequence.objects.create(
        organization=owner.organization, owner=owner, name="Platform engineers", **ANY_TIME
    )
    Step.objects.create(sequence=sequence, position=1, subject="A role for {{ first_name }}", body=TEXT)
    for number in range(candidates):
        candidate = Candidate.objects.create(
            organization=owner.organization, email=f"candidate{number}@talent.example", first_name=f"Casey{number}"
        )
        Enrollment.objects.create(sequence=sequence, candidate=candidate, enrolled_by=owner)
    return sequence


def ask(page: Page, sequence: Sequence) -> None:
    page.goto(f"/sequences/{sequence.pk}/settings/")
    page.get_by_role("link", name="Ask a colleague…").click()
    page.get_by_role("link", name="Ask… Alice Archer").click()
    expect(page.get_by_text("for “Platform engineers”")).to_be_visible()
    page.get_by_label("Your message").fill("For the Berlin roles")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("Alice Archer was asked.")).to_be_visible()


def start(page: Page, sequence: Sequence) -> None:
    page.goto(f"/sequences/{sequence.pk}/settings/")
    page.get_by_label("Send from").select_option(label="alice@demo.example (Alice Archer)")
    page.get_by_role("button", name="Save").click()
    page.goto(f"/sequences/{sequence.pk}/")
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("“Platform engineers” is active.")).to_be_visible()


def test_is_asked_for_approved_used_revoked_given_again_and_resumed(
    tenant: SandboxTenant, alice: User, bob: User, page_of: SignedIn
) -> None:
    connected(alice, tenant, datetime.now(UTC))
    sequence = written(bob, candidates=2)
    hers, his = page_of(alice), page_of(bob)
    for page in (hers, his):
        page.set_default_timeout(PATIENCE_MS)

    ask(his, sequence)

    hers.goto(PERMISSIONS)
    hers.get_by_role("link", name="Answer Bob Baker").click()
    expect(hers.get_by_text("For the Berlin roles")).to_be_visible()
    hers.get_by_label("Emails a day, at most").fill("1")
    hers.get_by_role("button", name="Approve").click()
    expect(hers.get_by_text("Bob Baker may now send from your mailbox.")).to_be_visible()

    start(his, sequence)
    work()
    [first] = tenant.sent("alice@demo.example", 1)
    his.reload()
    expect(his.get_by_text("The permission's daily cap is reached.")).to_be_visible()

    hers.goto("/sent-by-others/")
    expect(hers.get_by_text("Bob Baker", exact=False).first).to_be_visible()
    hers.get_by_role("link", name="Revoke… the permission of Bob Baker").click()
    expect(hers.get_by_text("1 running sequence pauses, and 1 waiting email stops")).to_be_visible()
    hers.get_by_role("button", name="Revoke").click()
    expect(hers.get_by_text("Bob Baker may no longer send from this mailbox. 1 sequence paused.")).to_be_visible()

    his.reload()
    expect(his.get_by_text("The permission to send from this mailbox was revoked.")).to_be_visible()
    work()
    assert len(tenant.messages("alice@demo.example")) == 1

    hers.get_by_label("Specific people").fill("bob")
    hers.get_by_role("link", name="Give permission… to Bob Baker").click()
    hers.get_by_role("button", name="Give permission").click()
    expect(hers.get_by_text("Bob Baker may now send from your mailbox.")).to_be_visible()

    his.goto("/notifications/")
    expect(his.get_by_text("“Platform engineers” can go on").first).to_be_visible()
    his.goto(f"/sequences/{sequence.pk}/")
    his.get_by_role("button", name="Resume").click()
    work()
    both = tenant.sent("alice@demo.example", 2)

    assert {mail.to for mail in both} == {("candidate0@talent.example",), ("candidate1@talent.example",)}
    assert set(tenant.submits().values()) == {1}
    assert first.id in {mail.id for mail in both}
    assert {mail.sender for mail in both} == {"alice@demo.example"}


def test_is_given_found_and_revoked_without_javascript(
    tenant: SandboxTenant, alice: User, bob: User, page_of: SignedIn
) -> None:
    connected(alice, tenant, datetime.now(UTC))
    page = page_of(alice, java_script_enabled=False)
    page.goto(PERMISSIONS)

    page.get_by_label("Specific people").fill("bob")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Give permission… to Bob Baker").click()
    page.get_by_role("button", name="Give permission").click()
    page.get_by_role("link", name="Revoke… Bob Baker").click()
    page.get_by_role("button", name="Revoke").click()

    expect(page.get_by_text("Bob Baker may no longer send from this mailbox.")).to_be_visible()
    assert DelegationGrant.objects.get().archived_reason == "revoked"
