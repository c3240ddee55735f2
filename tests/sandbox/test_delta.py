"""Following a folder: pages, links, removals, and a link that is no longer known."""

from typing import Any

import pytest

from tests.sandbox.conftest import Graph, code_of
from tests.sandbox_tenant import SandboxTenant

ALICE = "alice@demo.example"
DELTA = "/me/mailFolders/inbox/messages/delta"


def drained(alice: Graph, link: str, **query: str) -> tuple[list[Any], str]:
    """All changes from here on, and the link for the next round."""
    page = alice.get(link, **query)
    found = page["value"]
    while "@odata.nextLink" in page:
        page = alice.get(page["@odata.nextLink"])
        found += page["value"]
    return found, page["@odata.deltaLink"]


def test_tells_what_is_there_then_what_has_changed(alice: Graph, tenant: SandboxTenant) -> None:
    old = [tenant.put(ALICE, subject=f"Old {number}") for number in range(12)]
    found, link = drained(alice, DELTA, select="subject", top="5")
    assert [item["subject"] for item in found] == [f"Old {number}" for number in range(12)]
    assert drained(alice, link)[0] == []

    tenant.put(ALICE, subject="New")
    alice.ask("PATCH", f"/me/messages/{old[0].id}", {"isRead": False})
    alice.ask("POST", f"/me/messages/{old[1].id}/move", {"destinationId": "archive"})
    tenant.delete(ALICE, old[2].id)

    found, _ = drained(alice, link)
    assert [item.get("subject") for item in found[:2]] == ["New", "Old 0"]
    assert [(item["id"], item["@removed"]) for item in found[2:]] == [
        (old[1].id, {"reason": "deleted"}),
        (old[2].id, {"reason": "deleted"}),
    ]


def test_begins_where_a_filter_says(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.put(ALICE, subject="Long ago", received_at=1_000_000_000.0)
    tenant.put(ALICE, subject="Today")

    found, _ = drained(alice, DELTA, filter="receivedDateTime ge 2026-01-01T00:00:00Z")

    assert [item["subject"] for item in found] == ["Today"]


@pytest.mark.parametrize(
    "query",
    [{"filter": "isRead eq true"}, {"orderby": "subject"}, {"search": "hello"}],
    ids=lambda query: next(iter(query)),
)
def test_takes_few_queries(alice: Graph, query: dict[str, str]) -> None:
    answer = alice.ask("GET", DELTA, params={f"${name}": value for name, value in query.items()})

    assert answer.status_code == 400


def test_begins_anew_when_its_link_is_forgotten(alice: Graph, tenant: SandboxTenant) -> None:
    _, link = drained(alice, DELTA)
    tenant.forget_delta(ALICE)

    answer = alice.ask("GET", link)

    assert code_of(answer) == (410, "SyncStateNotFound")
    assert "deltatoken=" in answer.headers["Location"]
    assert drained(alice, DELTA)[0] == []


def test_works_for_junk_and_with_both_kinds_of_ids(alice: Graph, tenant: SandboxTenant) -> None:
    mail = tenant.put(ALICE, folder="junkemail", subject="Junk")

    immutable, _ = drained(alice, "/me/mailFolders('junkemail')/messages/delta()")
    alice.session.headers["Prefer"] = "odata.maxpagesize=1"
    regular, _ = drained(alice, "/me/mailFolders/junkemail/messages/microsoft.graph.delta()")

    assert immutable[0]["id"] == mail.id != regular[0]["id"]


def test_may_tell_twice(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, replays_delta_pages=True)
    for number in range(4):
        tenant.put(ALICE, subject=f"Mail {number}")

    found, _ = drained(alice, DELTA, top="2")

    assert [item["subject"] for item in found] == ["Mail 0", "Mail 1", "Mail 1", "Mail 2", "Mail 3"]


def test_may_tell_out_of_order(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, shuffles_delta_pages=True)
    for number in range(4):
        tenant.put(ALICE, subject=f"Mail {number}")

    found, _ = drained(alice, DELTA, top="2")

    assert [item["subject"] for item in found] == ["Mail 1", "Mail 0", "Mail 3", "Mail 2"]


def test_may_keep_the_automatic_reply_of_a_colleague_to_itself(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, hides_internal_auto_replies=True)
    tenant.away("bob@demo.example")
    sent = alice.sent(to="bob@demo.example")

    [hidden] = tenant.messages(ALICE, "inbox")

    assert hidden.in_reply_to == sent.internet_message_id
    assert drained(alice, DELTA)[0] == []
    assert alice.get("/me/mailFolders/inbox/messages")["value"] == []
    found = alice.get("/me/messages", filter=f"internetMessageId eq '{hidden.internet_message_id}'")
    assert len(found["value"]) == 1
