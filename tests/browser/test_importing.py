"""Importing candidates, in a real browser."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from sequences.importing.running import advance
from sequences.models import Candidate, CandidateImport, Sequence
from tests.browser.conftest import SignedIn

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NEW = "/candidates/import/"
LINES = (
    "Wer;Adresse;Firma;GitHub",
    "Carol Chen;carol@client.example;Client;carol-c",
    "Dora Deng;dora@client.example;=1+1;dora-d",
    "Nobody;nobody at client;Client;",
)


def now() -> datetime:
    return datetime.now(UTC)


def choose(page: Page, folder: Path, *lines: str) -> None:
    file = folder / "people.csv"
    file.write_text("\r\n".join(lines), encoding="cp1252")
    page.goto(NEW)
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at the file").click()


def import_with_a_sequence(page: Page) -> CandidateImport:
    """Confirm, watch it wait, let a worker run, and see it done."""
    page.get_by_label("Enroll into a sequence, too").select_option(label="Outreach (draft)")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Waiting for a worker to begin.")).to_be_visible()
    upload = CandidateImport.objects.get()
    advance(upload.pk, clock=now)
    return upload


def test_looks_a_file_over_changes_a_column_and_follows_it_to_the_end(
    alice: User, page_of: SignedIn, tmp_path: Path
) -> None:
    Sequence.objects.create(organization=alice.organization, owner=alice, name="Outreach")
    page = page_of(alice)
    choose(page, tmp_path, *LINES)
    expect(page.get_by_role("heading", name="people.csv")).to_be_visible()

    # A change shows at once, without a button.
    page.get_by_label("Wer").select_option("full_name")
    expect(page.get_by_role("cell", name="Carol Chen", exact=True).last).to_be_visible()
    expect(page.get_by_role("row", name="Line 4")).to_contain_text("This is not an e-mail address.")
    import_with_a_sequence(page)

    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="Line 4")).to_contain_text("nobody at client")
    carol = Candidate.objects.get(email="carol@client.example")
    assert (carol.first_name, carol.last_name, carol.fields) == ("Carol", "Chen", {"github": "carol-c"})
    assert Sequence.objects.get().enrollments.count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the refused rows").click()
    assert "nobody at client" in download.value.path().read_text(encoding="utf-8-sig")


def test_works_without_javascript(alice: User, page_of: SignedIn, tmp_path: Path) -> None:
    Sequence.objects.create(organization=alice.organization, owner=alice, name="Outreach")
    page = page_of(alice, java_script_enabled=False)
    choose(page, tmp_path, *LINES)

    page.get_by_label("Wer").select_option("full_name")
    page.get_by_role("button", name="Update the preview").click()
    expect(page.get_by_role("cell", name="Carol Chen", exact=True).last).to_be_visible()
    import_with_a_sequence(page)
    page.reload()

    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    assert Candidate.objects.count() == 2


def test_says_that_a_file_is_too_large_before_it_travels(alice: User, page_of: SignedIn, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    file.write_bytes(b"E-mail\n" + b"a@client.example\n" * 1_300_000)
    page = page_of(alice)
    page.goto(NEW)

    page.get_by_label("CSV file").set_input_files(file)

    expect(page.get_by_role("alert")).to_contain_text("Split it")
    assert not CandidateImport.objects.exists()


def test_says_which_line_a_quote_was_left_open_on(alice: User, page_of: SignedIn, tmp_path: Path) -> None:
    page = page_of(alice)

    choose(page, tmp_path, "E-mail,Name", 'carol@client.example,"Carol', "dora@client.example,Dora")

    expect(page.get_by_text("Line 2: a quotation mark is opened and not closed.")).to_be_visible()
