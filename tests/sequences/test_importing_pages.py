"""The pages of an import: upload, look over, confirm, follow, fetch what was refused."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.models import User
from sequences.importing import uploading
from sequences.importing.running import KEPT_REFUSALS, advance
from sequences.models import Candidate, CandidateImport, Enrollment, Sequence
from tests.sequences.uploading import HEADER, uploaded

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)
GOOD = f"{HEADER}\ncarol@client.example,Carol,Chen,Client,Berlin,carol-c\nnobody,X\n"
ClientOf = Callable[[User], Client]


def upload_file(client: Client, content: bytes | str, name: str = "people.csv") -> Any:
    data = content.encode() if isinstance(content, str) else content
    return client.post(reverse("sequences:new_import"), {"file": SimpleUploadedFile(name, data)})


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_shows_what_is_in_the_file_before_anything_is_stored(alice: User, client_of: ClientOf) -> None:
    Candidate.objects.create(organization=alice.organization, email="Carol@client.example")

    response = upload_file(client_of(alice), GOOD)
    page = text_of(client_of(alice).get(response["Location"]))

    assert Candidate.objects.count() == 1
    assert "carol@client.example" in page
    assert "Europe/Berlin" in page
    assert "Line 3" in page
    assert "This is not an e-mail address." in page
    assert '<option value="first_name" selected>First name</option>' in page
    assert "Token {{ github }}" in page
    assert "will be completed" in page


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"E-mail,Name\n", "no rows"),
        (b'E-mail,Name\na@client.example,"A\n', "Line 2: a quotation mark"),
        (b"PK\x03\x04", "Excel workbook"),
        (",".join(["c"] * 200).encode() + b"\n1\n", "200 columns"),
    ],
)
def test_says_why_a_file_is_refused_and_keeps_nothing(
    alice: User, client_of: ClientOf, content: bytes, says: str
) -> None:
    response = upload_file(client_of(alice), content)

    assert response.status_code == 422
    assert says in text_of(response)
    assert not CandidateImport.objects.exists()


def test_asks_for_a_file_when_there_is_none(alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post(reverse("sequences:new_import"))

    assert "Choose a file first." in response.content.decode()


@pytest.mark.parametrize("size", [2_000, 5_000_000])
def test_refuses_a_file_that_is_too_large_without_keeping_it(
    alice: User, client_of: ClientOf, settings: Settings, size: int
) -> None:
    settings.CANDIDATE_FILE_MAX_BYTES = 1_000

    response = upload_file(client_of(alice), b"E-mail\n" + b"a@client.example\n" * (size // 17))

    assert response.status_code == 422
    assert "This file is larger than 0 MB. Split it" in text_of(response)
    assert not CandidateImport.objects.exists()


def test_checks_the_forms_token_all_the_same(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")

    assert upload_file(client, GOOD).status_code == 403
    assert not CandidateImport.objects.exists()


def test_lets_the_person_say_which_column_has_the_addresses(alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    location = upload_file(client, "Who,Where\nCarol,carol at client\n")["Location"]
    upload = CandidateImport.objects.get()
    before = text_of(client.get(location))
    refused = client.post(
        reverse("sequences:start_import", args=[upload.pk]), {"field": ["full_name", ""]}, follow=True
    )

    after = client.post(
        reverse("sequences:choose_columns", args=[upload.pk]), {"field": ["full_name", "email"]}, follow=True
    )

    assert "Which column has the e-mail addresses?" in before
    assert "Choose the column that has the e-mail addresses." in text_of(refused)
    assert "carol at client" in text_of(after)
    assert [column["field"] for column in CandidateImport.objects.get().columns] == ["full_name", "email"]


def test_remembers_the_sequence_that_the_person_came_from(alice: User, client_of: ClientOf) -> None:
    sequence = Sequence.objects.create(organization=alice.organization, owner=alice, name="Outreach")
    client = client_of(alice)

    enroll_page = text_of(client.get(reverse("sequences:enroll", args=[sequence.pk])))
    address = f"{reverse('sequences:new_import')}?sequence={sequence.pk}"
    preview = client.post(address, {"file": SimpleUploadedFile("people.csv", GOOD.encode())}, follow=True)

    assert address in enroll_page
    assert f'<option value="{sequence.pk}" selected>' in text_of(preview)


def test_answers_htmx_with_the_preview_itself(alice: User, client_of: ClientOf) -> None:
    upload = uploaded(alice, NOW, "carol@client.example,Carol", waiting=False)

    response = client_of(alice).post(
        reverse("sequences:choose_columns", args=[upload.pk]),
        {"field": ["email", "last_name", "", "", "", ""]},
        headers={"HX-Request": "true"},
    )

    assert response.status_code == 200
    assert '<option value="last_name" selected>' in response.content.decode()


def test_starts_in_the_background_and_enrolls_into_the_chosen_sequence(alice: User, client_of: ClientOf) -> None:
    sequence = Sequence.objects.create(organization=alice.organization, owner=alice, name="Outreach")
    upload = uploaded(alice, NOW, "carol@client.example,Carol", waiting=False)
    fields = ["email", "first_name", "last_name", "", "", ""]

    response = client_of(alice).post(
        reverse("sequences:start_import", args=[upload.pk]), {"field": fields, "sequence": sequence.pk}, follow=True
    )
    waiting = text_of(response)
    advance(upload.pk, clock=lambda: NOW)
    done = text_of(client_of(alice).get(reverse("sequences:import", args=[upload.pk])))

    assert "Waiting for a worker to begin." in waiting
    assert Enrollment.objects.get(sequence=sequence).candidate.email == "carol@client.example"
    assert "See the sequence" in done


@pytest.mark.parametrize("chosen", ["colleagues", "strangers", "nonsense", "9" * 30])
def test_enrolls_into_ones_own_sequences_only(
    alice: User, bob: User, mallory: User, client_of: ClientOf, chosen: str
) -> None:
    owners = {"colleagues": bob, "strangers": mallory}
    if chosen in owners:
        owner = owners[chosen]
        chosen = str(Sequence.objects.create(organization=owner.organization, owner=owner, name="Other").pk)
    upload = uploaded(alice, NOW, "carol@client.example", waiting=False)

    response = client_of(alice).post(
        reverse("sequences:start_import", args=[upload.pk]), {"sequence": chosen}, follow=True
    )

    upload.refresh_from_db()
    assert upload.state == "preview"
    assert "You cannot enroll into that sequence." in text_of(response)


@pytest.mark.parametrize(
    ("state", "refreshes"), [("waiting", False), ("running", False), ("done", True), ("failed", True)]
)
def test_follows_the_progress_until_there_is_an_end(
    alice: User, client_of: ClientOf, state: str, refreshes: bool
) -> None:
    upload = uploaded(alice, NOW, *["carol@client.example"] * 4)
    CandidateImport.objects.update(state=state, rows_read=3)

    response = client_of(alice).get(reverse("sequences:import_progress", args=[upload.pk]))

    page = text_of(response)
    assert response.headers.get("HX-Refresh") == ("true" if refreshes else None)
    assert 'value="3" max="4"' in page
    assert ("every 1s" in page) is not refreshes


def test_says_why_it_failed_and_goes_on_where_it_stopped(alice: User, client_of: ClientOf) -> None:
    upload = uploaded(alice, NOW, "carol@client.example")
    CandidateImport.objects.update(state="failed", reason="interrupted")

    page = text_of(client_of(alice).get(reverse("sequences:import", args=[upload.pk])))
    client_of(alice).post(reverse("sequences:start_import", args=[upload.pk]))

    upload.refresh_from_db()
    assert "interrupted twice at the same place" in page
    assert "Go on where it stopped" in page
    assert upload.state == "waiting"


@pytest.mark.parametrize("is_done", [False, True])
def test_gives_the_refused_rows_as_a_file_that_is_safe_to_open(alice: User, client_of: ClientOf, is_done: bool) -> None:
    upload = uploaded(alice, NOW, "ok@client.example", "\"=cmd|' /C calc'!A0\"", "@SUM(A1)", waiting=is_done)
    if is_done:
        advance(upload.pk, clock=lambda: NOW)

    response: Any = client_of(alice).get(reverse("sequences:refused_rows", args=[upload.pk]))

    content = b"".join(response.streaming_content).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content))) == [
        ["Line", "Why it was refused", "Value"],
        ["3", "This is not an e-mail address.", "'=cmd|' /C calc'!A0"],
        ["4", "This is not an e-mail address.", "'@SUM(A1)"],
    ]


def test_says_that_not_every_refused_row_is_kept(alice: User, client_of: ClientOf) -> None:
    upload = uploaded(alice, NOW, *["no address"] * (KEPT_REFUSALS + 1), waiting=False)
    address = reverse("sequences:import", args=[upload.pk])

    before = text_of(client_of(alice).get(address))
    CandidateImport.objects.update(state="waiting")
    advance(upload.pk, clock=lambda: NOW)
    after = text_of(client_of(alice).get(address))

    assert "once imported, only the first 1,000 are kept." in before
    assert "10 of 1,001. Only the first 1,000 were kept" in after


def test_forgets_a_file_that_is_discarded(alice: User, client_of: ClientOf) -> None:
    waiting, under_way = (
        uploaded(alice, NOW, "a@client.example", waiting=False),
        uploaded(alice, NOW, "b@client.example"),
    )

    for upload in (waiting, under_way):
        client_of(alice).post(reverse("sequences:discard_import", args=[upload.pk]))

    assert list(CandidateImport.objects.all()) == [under_way]


def test_forgets_what_nobody_confirmed_within_a_week(alice: User) -> None:
    states = ["preview", "failed", "waiting"]
    uploads = [uploaded(alice, NOW, "a@client.example", waiting=False) for _ in states]
    for upload, state in zip(uploads, states, strict=True):
        CandidateImport.objects.filter(pk=upload.pk).update(state=state)

    forgotten = [uploading.forget_abandoned(NOW + timedelta(days=days)) for days in (6, 8)]

    assert forgotten == [0, 2]
    assert list(CandidateImport.objects.order_by("pk").values_list("state", flat=True)) == ["failed", "waiting"]
    assert [bool(upload.content) for upload in CandidateImport.objects.order_by("pk")] == [False, True]


PAGES = ("import", "import_progress", "refused_rows")
DEEDS = ("choose_columns", "start_import", "discard_import")


@pytest.mark.parametrize("name", [*PAGES, *DEEDS])
@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("ada", 200), ("bob", 404), ("mallory", 404)])
def test_is_seen_by_its_owner_and_admins_only(
    request: pytest.FixtureRequest, alice: User, client_of: ClientOf, name: str, who: str, status: int
) -> None:
    upload = uploaded(alice, NOW, "a@client.example", waiting=False)
    client = client_of(request.getfixturevalue(who))
    address = reverse(f"sequences:{name}", args=[upload.pk])

    response = client.post(address, follow=True) if name in DEEDS else client.get(address)

    assert response.status_code == status


@pytest.mark.parametrize("name", [*PAGES, *DEEDS])
def test_sends_a_stranger_to_sign_in(alice: User, name: str) -> None:
    upload = uploaded(alice, NOW, "a@client.example", waiting=False)
    address = reverse(f"sequences:{name}", args=[upload.pk])

    response = Client().post(address) if name in DEEDS else Client().get(address)

    assert response["Location"].startswith(reverse("account_login"))


def test_looks_through_a_longer_file_with_as_many_queries(alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    short = uploaded(alice, NOW, "a@client.example", waiting=False)
    long = uploaded(alice, NOW, *[f"p{number}@client.example" for number in range(300)], waiting=False)
    counts = []

    for upload in (short, long):
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("sequences:import", args=[upload.pk]))
        counts.append(len(queries))

    assert counts[0] == counts[1]
