"""The receipt of an email that left."""

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.http import StreamingHttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.models import AuditEvent, User
from mailconnect import receipts as signing
from mailconnect.models import DelegationGrant, MailConnection
from sequences import receipts
from sequences.models import Message
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running, sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


@pytest.fixture
def by_bob(mailbox: MailConnection, bob: User, now: datetime) -> Message:
    granted(mailbox, bob)
    return sent(running(bob, mailbox), now)


@pytest.fixture
def by_alice(mailbox: MailConnection, alice: User, now: datetime) -> Message:
    return sent(running(alice, mailbox, "Alice's own"), now)


def verified() -> str:
    """What the command says, with its verdict."""
    out = io.StringIO()
    try:
        call_command("verify_receipts", stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def exported(client: Client, **choice: Any) -> str:
    answer = client.get(reverse("sequences:export_receipts"), {"format": "csv"} | choice)
    assert isinstance(answer, StreamingHttpResponse), answer.content
    return answer.getvalue().decode()


def test_verifies_as_long_as_nothing_is_changed(by_bob: Message, by_alice: Message) -> None:
    assert verified() == "All receipts that are there verify.\n"


def test_shows_by_whose_word(by_bob: Message, by_alice: Message) -> None:
    delegated = render_to_string("sequences/_receipt.html", {"receipt": receipts.shown(by_bob)})
    own = render_to_string("sequences/_receipt.html", {"receipt": receipts.shown(by_alice)})

    assert "Bob Baker" in delegated
    assert "given by Alice Archer" in delegated
    assert "owner of the mailbox" in own
    assert "Verified" in delegated


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"subject": "Other"}, "body"),
        ({"body_html": "<p>Other</p>"}, "body"),
        ({"subject": "Other", "body_hash": signing.body_hash("Other", "<p>Hello</p>")}, "signature"),
        ({"to_address": "other@candidates.example"}, "signature"),
        ({"permitted_at": F("planned_at")}, "signature"),
        ({"key": "6f1e6c0e-54a5-4a43-9c1b-0d5b8a2f7e11"}, "signature"),
        ({"grant": None, "grant_version": None, "grant_digest": ""}, "signature"),
        ({"grant_version": 9}, "grant"),
        ({"receipt": "0" * 64}, "signature"),
        ({"receipt_key": "gone"}, "key"),
    ],
)
def test_finds_a_change_to_the_row(changed: dict[str, Any], problem: str, by_bob: Message, by_alice: Message) -> None:
    Message.objects.filter(pk=by_bob.pk).update(**changed)

    said = verified()

    assert f"Message {by_bob.pk}: " in said
    assert receipts.PROBLEMS[problem] in said
    assert "1 receipt does not verify" in said


@pytest.mark.parametrize("field", ["permitted_to", "connection", "sequence"])
def test_finds_another_person_mailbox_or_sequence(field: str, by_bob: Message, carol: User, now: datetime) -> None:
    theirs = connected(carol, now)
    other = {"permitted_to": carol, "connection": theirs, "sequence": running(carol, theirs)}[field]

    Message.objects.filter(pk=by_bob.pk).update(**{field: other})

    assert receipts.PROBLEMS["signature"] in verified()


@pytest.mark.parametrize(
    "changed",
    [
        {"daily_cap": 500},
        {"expires_at": F("created_at") + timedelta(days=3650)},
        {"created_at": F("created_at") - timedelta(days=1)},
        {"sequence_id": 1},
        {"approve_first_email": True},
        {"version": 2},
        {"grantee": None},
    ],
)
def test_finds_a_change_to_the_terms_of_the_grant(changed: dict[str, Any], by_bob: Message) -> None:
    DelegationGrant.objects.update(**changed)

    assert receipts.PROBLEMS["grant"] in verified()


def test_stays_good_when_the_grant_ends(by_bob: Message, now: datetime) -> None:
    DelegationGrant.objects.update(archived_at=now, archived_reason=DelegationGrant.Archived.REVOKED)

    assert verified() == "All receipts that are there verify.\n"


def test_made_by_who_can_write_the_database_but_has_no_key_is_found(by_bob: Message, settings: Settings) -> None:
    keys = settings.RECEIPT_KEYS
    settings.RECEIPT_KEYS = dict.fromkeys(keys, "a guess")
    _, forged = signing.sign(receipts.statement_of(by_bob))
    settings.RECEIPT_KEYS = keys

    Message.objects.filter(pk=by_bob.pk).update(receipt=forged)

    assert receipts.PROBLEMS["signature"] in verified()


def test_stays_verifiable_after_its_key_was_rotated(
    by_bob: Message, mailbox: MailConnection, bob: User, now: datetime, settings: Settings
) -> None:
    settings.RECEIPT_KEYS = {"new": "a new key", **settings.RECEIPT_KEYS}
    newer = sent(by_bob.sequence, now, name="dan")

    assert newer.receipt_key == "new"
    assert by_bob.receipt_key != "new"
    assert verified() == "All receipts that are there verify.\n"

    settings.RECEIPT_KEYS = {"new": "a new key"}
    assert receipts.PROBLEMS["key"] in verified()


def test_is_exported_as_the_statement_that_was_signed(
    by_bob: Message, mailbox: MailConnection, bob: User, client_of: Callable[[User], Client]
) -> None:
    [row] = json.loads(exported(client_of(bob), format="json"))

    assert row["initiated_by"] == "bob@demo.example"
    assert row["sent_from"] == "alice@demo.example"
    assert row["grant"] == by_bob.grant_id
    assert row["allowed_by"] == f"permission {by_bob.grant_id}, version 1"
    fields = {name: row[name] for name in signing.Statement.__dataclass_fields__}
    fields["permitted_at"] = datetime.fromisoformat(fields["permitted_at"])
    assert signing.verifies(signing.Statement(**fields), row["key"], row["signature"])
    event = AuditEvent.objects.get(action="receipts.exported")
    assert "@" not in str(event.details)


def test_in_a_spreadsheet_is_never_a_formula(by_bob: Message, client_of: Callable[[User], Client], bob: User) -> None:
    evil = '=HYPERLINK("http://evil.example","x")'
    type(by_bob.sequence).objects.update(name=evil)
    Message.objects.update(to_address="+49@candidates.example")

    [row] = csv.DictReader(io.StringIO(exported(client_of(bob)).removeprefix("\ufeff")))

    assert row["sequence_name"] == f"'{evil}"
    assert row["to_address"] == "'+49@candidates.example"


def test_is_exported_for_whom_it_concerns(
    by_bob: Message,
    by_alice: Message,
    alice: User,
    bob: User,
    carol: User,
    ada: User,
    mallory: User,
    client_of: Callable[[User], Client],
) -> None:
    def seen_by(user: User, **choice: Any) -> set[str]:
        return {row["message"] for row in json.loads(exported(client_of(user), format="json", **choice))}

    both = {str(by_bob.key), str(by_alice.key)}
    assert seen_by(alice) == both
    assert seen_by(bob) == {str(by_bob.key)}
    assert seen_by(carol) == set()
    assert seen_by(ada) == both
    assert seen_by(ada, person=bob.pk) == {str(by_bob.key)}
    assert seen_by(ada, mailbox=by_bob.connection_id) == both
    assert seen_by(mallory) == set()


def test_is_exported_for_a_time(by_bob: Message, ada: User, client_of: Callable[[User], Client]) -> None:
    Message.objects.update(permitted_at=datetime.fromisoformat("2026-03-10T22:30:00+00:00"))
    client = client_of(ada)

    assert str(by_bob.key) in exported(client, since="2026-03-10", until="2026-03-10")
    assert str(by_bob.key) not in exported(client, since="2026-03-11")
    assert str(by_bob.key) not in exported(client, until="2026-03-09")


@pytest.mark.parametrize("choice", ["mailbox", "person"])
def test_of_somebody_else_is_no_choice(
    choice: str, by_bob: Message, carol: User, mallory: User, client_of: Callable[[User], Client]
) -> None:
    wanted = {"mailbox": by_bob.connection_id, "person": by_bob.permitted_to_id}[choice] or 0
    for person in (carol, mallory):
        answer = client_of(person).get(reverse("sequences:export_receipts"), {choice: str(wanted), "format": "csv"})

        assert answer.status_code == 400


def test_of_thousands_is_read_a_few_hundred_at_a_time(
    by_bob: Message, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    """One statement, whatever the number of rows: no query per row for its mailbox, grant or person."""
    sent_many = [sent(by_bob.sequence, by_bob.planned_at, name=f"n{number}") for number in range(12)]

    with django_assert_max_num_queries(1):
        lines = "".join(receipts.as_csv(receipts.chosen(Message.objects.all()))).splitlines()
    assert len(lines) == len(sent_many) + 2  # the first one, and the names
    with django_assert_max_num_queries(1):
        assert list(receipts.verify_all()) == []
