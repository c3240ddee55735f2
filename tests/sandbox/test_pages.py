"""The sandbox's own pages, by what is written on them."""

from collections.abc import Iterator

import pytest
import requests

from tests.sandbox.conftest import Graph
from tests.sandbox_tenant import SandboxTenant
from tests.signing_in import Browser

ALICE = "alice@demo.example"


@pytest.fixture
def visitor() -> Iterator[Browser]:
    visitor = Browser(site="http://nowhere.example")
    yield visitor
    visitor.close()


def test_show_a_mailbox_and_its_mail(alice: Graph, tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.put(ALICE, subject="<b>Hello</b>", body="<p>Good <script>alert(1)</script> day</p>")

    visitor.open(tenant.url).press("Alice Archer")

    assert "&lt;b&gt;Hello&lt;/b&gt;" in visitor.page.html
    visitor.press("Hello")
    body = requests.get(f"{visitor.page.address}/body", timeout=30)
    assert "<p>Good" in body.text
    assert "sandbox" in body.headers["Content-Security-Policy"]
    assert "script-src" not in body.headers["Content-Security-Policy"]  # default-src 'none' stands for it


@pytest.mark.parametrize(
    ("kind", "subject", "message_class"),
    [
        ("human", "Re: Platform engineering", "IPM.Note"),
        ("auto_reply", "Automatic reply: Platform engineering", "IPM.Note"),
        ("bounce", "Undeliverable: Platform engineering", "REPORT.IPM.Note.NDR"),
        ("bounce_soft", "Undeliverable: Platform engineering", "REPORT.IPM.Note.NDR"),
        ("delayed", "Delivery delayed: Platform engineering", "REPORT.IPM.Note.Delayed"),
        ("unsubscribe", "Re: Platform engineering", "IPM.Note"),
    ],
)
def test_answer_as_the_candidate(
    alice: Graph, tenant: SandboxTenant, visitor: Browser, kind: str, subject: str, message_class: str
) -> None:
    sent = alice.sent()
    visitor.open(f"{tenant.url}/mail/{ALICE}/sentitems").press("Platform engineering")

    visitor.press("Let it arrive", kind=kind, text="I am <here>", strips="", folder="junkemail")

    [come] = tenant.messages(ALICE, "junkemail")
    assert (come.subject, come.message_class, come.in_reply_to) == (subject, message_class, sent.internet_message_id)
    assert ("I am <here>" in come.text) == (not message_class.startswith("REPORT"))
    assert "Platform engineering" in visitor.page.html


def test_turn_automatic_replies_on_and_off(alice: Graph, tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(f"{tenant.url}/mail/{ALICE}/setup")
    settings = {"zone": "GMT Standard Time", "since": "2026-12-01T08:00", "until": "2026-12-05T17:30"}

    visitor.press("Save settings", status="scheduled", opens="09:00", closes="17:30", **settings)

    found = alice.get("/me/mailboxSettings")
    assert found["automaticRepliesSetting"]["status"] == "scheduled"
    assert found["automaticRepliesSetting"]["scheduledEndDateTime"]["dateTime"] == "2026-12-05T17:30:00.0000000"
    assert found["workingHours"]["startTime"] == "09:00:00.0000000"
    assert found["timeZone"] == found["workingHours"]["timeZone"]["name"] == "GMT Standard Time"
    assert "away" in visitor.page.html


def test_set_and_clear_a_fault(alice: Graph, tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(f"{tenant.url}/mail/{ALICE}/setup")

    visitor.press("Set fault", call="me", kind="status", times="-1", status="504", retry_after="", code="")
    assert alice.ask("GET", "/me").status_code == 504

    visitor.press("Clear")
    assert alice.ask("GET", "/me").status_code == 200


def test_let_wait_what_is_on_its_way_and_leave(alice: Graph, tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.turn(settle_seconds=-1)
    alice.send(alice.draft()["id"])

    visitor.open(f"{tenant.url}/mail/{ALICE}/drafts").press("Platform engineering", "Let it leave now")

    assert len(tenant.messages(ALICE)) == 1


def test_set_up_consent_and_approve(tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(tenant.url).press("Save", consent="off", workflow="yes")
    assert "administrators only" in visitor.page.html

    visitor.press("Approve the app for everybody")

    assert "Withdraw the approval for everybody" in visitor.page.pressable


def test_revoke_tokens_and_let_the_secret_expire(alice: Graph, tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(f"{tenant.url}/mail/{ALICE}/setup").press("Revoke all tokens")
    assert alice.ask("GET", "/me").status_code == 401

    visitor.open(tenant.url).press("Let the secret expire")
    assert "AADSTS7000222" in visitor.page.html


@pytest.mark.parametrize(
    "path",
    ["/mail/nobody@demo.example/inbox", "/mail/erin@demo.example/inbox", f"/mail/{ALICE}/message/99", "/no/such/page"],
)
def test_say_when_there_is_nothing(tenant: SandboxTenant, path: str) -> None:
    answer = requests.get(f"{tenant.url}{path}", timeout=30)

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
