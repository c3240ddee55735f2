"""The sandbox's mail obeys Exchange's rules."""

import time
from typing import Any

import pytest

from tests.sandbox.conftest import KEY, Graph, code_of
from tests.sandbox_tenant import SandboxTenant

ALICE = "alice@demo.example"


def test_stays_in_drafts_for_a_while_after_it_was_accepted(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(settle_seconds=-1)
    made = alice.draft("key-1")

    assert alice.send(made["id"]).status_code == 202

    assert alice.by_key("KEY-1") == [{**alice.by_key("key-1")[0], "id": made["id"], "isDraft": True}]
    assert tenant.settle(ALICE) == 1
    [sent] = alice.by_key("key-1", "id,isDraft,parentFolderId,sentDateTime")
    assert (sent["id"], sent["isDraft"]) == (made["id"], False)
    assert sent["parentFolderId"] == alice.get("/me/mailFolders/sentitems")["id"]


def test_keeps_its_immutable_id_and_changes_the_regular_one(alice: Graph, tenant: SandboxTenant) -> None:
    made = alice.draft()
    regular = alice.ask("GET", f"/me/messages/{made['id']}", headers={"Prefer": ""}).json()["id"]

    moved = alice.ask("POST", f"/me/messages/{made['id']}/move", {"destinationId": "archive"}).json()

    assert regular != made["id"] == moved["id"]
    assert code_of(alice.ask("GET", f"/me/messages/{regular}")) == (404, "ErrorItemNotFound")


def test_may_change_its_immutable_id_when_it_is_sent(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, id_changes_on_send=True)
    made = alice.draft()

    alice.send(made["id"])
    [sent] = tenant.sent(ALICE, 1)

    assert sent.id != made["id"]
    assert alice.ask("GET", f"/me/messages/{made['id']}").status_code == 404
    assert [found["id"] for found in alice.by_key("key-1")] == [sent.id]


def test_is_sent_twice_when_it_is_submitted_twice(alice: Graph, tenant: SandboxTenant) -> None:
    made = alice.draft("key-1")

    alice.send(made["id"])
    alice.send(made["id"])

    assert [mail.key for mail in tenant.sent(ALICE, 2)] == ["key-1", "key-1"]
    assert tenant.submits(ALICE) == tenant.submits() == {"key-1": 2}


def test_may_be_refused_when_it_is_submitted_again(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, repeated_send="refuse")
    made = alice.draft("key-1")
    alice.send(made["id"])

    assert code_of(alice.send(made["id"])) == (400, "ErrorInvalidRequest")

    assert len(tenant.sent(ALICE, 1)) == 1
    assert tenant.submits(ALICE) == {"key-1": 1}


def test_is_found_only_after_the_index_has_seen_it(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, search_lag_seconds=1.5)
    made = alice.draft("key-1")

    assert alice.by_key("key-1") == []
    assert alice.get(f"/me/messages/{made['id']}")["id"] == made["id"]
    time.sleep(1.6)
    assert len(alice.by_key("key-1")) == 1


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ({"internetMessageHeaders": [{"name": "List-Unsubscribe", "value": "x"}]}, "InvalidInternetMessageHeader"),
        (
            {"internetMessageHeaders": [{"name": f"x-{number}", "value": "x"} for number in range(6)]},
            "InvalidInternetMessageHeaderCollection",
        ),
        ({"singleValueExtendedProperties": [{"id": "OutreachKey", "value": "x"}]}, "ErrorInvalidPropertyId"),
        ({"toRecipients": [{"emailAddress": {}}]}, "RequestBodyRead"),
        ({"body": {"contentType": "markdown", "content": "x"}}, "RequestBodyRead"),
    ],
)
def test_is_refused_when_it_is_written_wrongly(alice: Graph, content: dict[str, object], refusal: str) -> None:
    assert code_of(alice.ask("POST", "/me/messages", content)) == (400, refusal)


def test_is_wrapped_into_a_document(alice: Graph) -> None:
    made = alice.draft(body={"contentType": "HTML", "content": "<p>Hello</p>"})

    assert made["body"]["content"].startswith("<html><head>")
    assert "<body><p>Hello</p></body>" in made["body"]["content"]
    assert "internetMessageHeaders" not in made
    assert "singleValueExtendedProperties" not in made


@pytest.mark.parametrize("to", ["nobody", "two@at@signs.example", "with space@candidate.example"])
def test_is_refused_on_sending_when_an_address_is_none(alice: Graph, to: str) -> None:
    assert code_of(alice.send(alice.draft(to=to)["id"])) == (400, "ErrorInvalidRecipients")


def test_cannot_be_sent_in_the_name_of_another(alice: Graph) -> None:
    author: dict[str, Any] = {"from": {"emailAddress": {"address": "bob@demo.example"}}}
    made = alice.draft(**author)

    assert code_of(alice.send(made["id"])) == (403, "ErrorSendAsDenied")


def test_can_be_sent_by_an_own_alias(alice: Graph) -> None:
    author: dict[str, Any] = {"from": {"emailAddress": {"address": "alice.archer@demo.example"}}}
    made = alice.draft(**author)

    assert alice.send(made["id"]).status_code == 202


def test_can_be_changed_only_while_it_is_a_draft(alice: Graph) -> None:
    sent = alice.sent()

    assert code_of(alice.ask("PATCH", f"/me/messages/{sent.id}", {"subject": "x"})) == (400, "ErrorInvalidPropertySet")
    tagged = {"singleValueExtendedProperties": [{"id": KEY, "value": "key-2"}], "isRead": False}
    assert alice.ask("PATCH", f"/me/messages/{sent.id}", tagged).status_code == 200
    assert (alice.by_key("key-1"), len(alice.by_key("key-2"))) == ([], 1)


def test_takes_no_headers_after_it_was_created(alice: Graph) -> None:
    made = alice.draft()
    headers = {"internetMessageHeaders": [{"name": "x-one", "value": "1"}]}

    assert alice.ask("PATCH", f"/me/messages/{made['id']}", headers).status_code == 400


def test_is_not_overwritten_on_an_old_change_key(alice: Graph) -> None:
    made = alice.draft()
    old = {"If-Match": made["@odata.etag"]}
    path = f"/me/messages/{made['id']}"

    assert alice.ask("PATCH", path, {"subject": "One"}, headers=old).status_code == 200
    assert code_of(alice.ask("PATCH", path, {"subject": "Two"}, headers=old)) == (412, "ErrorIrresolvableConflict")


def test_goes_to_deleted_items_first(alice: Graph, tenant: SandboxTenant) -> None:
    made = alice.draft("key-1")

    assert alice.ask("DELETE", f"/me/messages/{made['id']}").status_code == 204

    assert [mail.key for mail in tenant.messages(ALICE, "deleteditems")] == ["key-1"]
    assert len(alice.by_key("key-1")) == 1


def test_takes_comment_or_body_in_a_reply_but_not_both(alice: Graph) -> None:
    sent = alice.sent()
    both = {"comment": "Hello", "message": {"body": {"contentType": "HTML", "content": "Hello"}}}

    answer = alice.ask("POST", f"/me/messages/{sent.id}/createReply", both)

    assert code_of(answer) == (400, "ErrorInvalidRequest")


def test_does_not_thread_a_reply_to_a_draft(alice: Graph) -> None:
    made = alice.draft()

    reply = alice.ask("POST", f"/me/messages/{made['id']}/createReply").json()

    assert reply["conversationId"] != made["conversationId"]


def test_may_ignore_what_a_reply_is_given(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, reply_ignores_message=True)
    sent = alice.sent()
    given = {"toRecipients": [{"emailAddress": {"address": "dana@candidate.example"}}]}

    reply = alice.ask("POST", f"/me/messages/{sent.id}/createReply", {"message": given}).json()

    assert reply["toRecipients"][0]["emailAddress"]["address"] == ALICE


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ({"filter": "isRead eq false", "orderby": "receivedDateTime desc"}, "InefficientFilter"),
        ({"filter": "isRead eq"}, "ErrorInvalidUrlQueryFilter"),
        ({"filter": "receivedDateTime ge 'yesterday'"}, "ErrorInvalidUrlQueryFilter"),
        ({"filter": "colour eq 'red'"}, "RequestBroker--ParseUri"),
        ({"select": "id,colour"}, "RequestBroker--ParseUri"),
    ],
)
def test_is_not_listed_by_a_query_that_exchange_refuses(alice: Graph, query: dict[str, str], refusal: str) -> None:
    answer = alice.ask("GET", "/me/messages", params={f"${name}": value for name, value in query.items()})

    assert code_of(answer) == (400, refusal)


@pytest.mark.parametrize(
    "wanted",
    [
        "subject eq 'it''s FOUR'",
        "startswith(subject,'it''s') and not isRead eq true",
        "(subject eq 'x' or contains(subject,'four')) and receivedDateTime ge 2020-01-01T00:00:00Z",
        "from/emailAddress/address eq 'Dana@candidate.example'",
        "singleValueExtendedProperties/any(ep: ep/id eq 'String {00020386-0000-0000-C000-000000000046} Name X' and "
        "startswith(ep/value, 'abc'))",
    ],
)
def test_is_listed_by_what_a_filter_wants(alice: Graph, tenant: SandboxTenant, wanted: str) -> None:
    tagged = {"String {00020386-0000-0000-c000-000000000046} Name X": "ABC-1"}
    tenant.put(ALICE, subject="It's four", is_read=False, properties=tagged, **{"from": "dana@candidate.example"})
    tenant.put(ALICE, subject="Three")

    assert [found["subject"] for found in alice.get("/me/messages", filter=wanted)["value"]] == ["It's four"]


def test_shows_its_headers_and_its_class_only_when_asked(alice: Graph, tenant: SandboxTenant) -> None:
    sent = alice.sent()
    bounce = tenant.reply_as_candidate(ALICE, "bounce", status="5.1.1")
    expand = "singleValueExtendedProperties($filter=id eq 'String 0x001A' or id eq 'String 0x1042')"

    found = alice.get(f"/me/messages/{bounce.id}", select="internetMessageHeaders", expand=expand)
    mime = alice.ask("GET", f"/me/messages/{bounce.id}/$value").text

    assert {entry["name"] for entry in found["internetMessageHeaders"]} >= {"Return-Path", "X-Failed-Recipients"}
    assert [entry["value"] for entry in found["singleValueExtendedProperties"]] == [
        "REPORT.IPM.Note.NDR",
        sent.internet_message_id,
    ]
    assert "Status: 5.1.1" in mime
    assert sent.internet_message_id in mime


def test_can_be_read_as_text(alice: Graph) -> None:
    made = alice.draft()

    headers = {"Prefer": 'IdType="ImmutableId", outlook.body-content-type="text"'}
    found = alice.ask("GET", f"/me/messages/{made['id']}", headers=headers).json()

    assert found["body"] == {"contentType": "text", "content": "Hello"}


def test_reaches_a_colleague_and_brings_the_automatic_reply_back(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.away("bob@demo.example")

    sent = alice.sent(to="bob@demo.example")

    [arrived] = tenant.messages("bob@demo.example", "inbox")
    assert arrived.internet_message_id == sent.internet_message_id
    [told] = tenant.messages(ALICE, "inbox")
    assert told.message_class == "IPM.Note.Rules.OofTemplate.Microsoft"
    assert told.in_reply_to == sent.internet_message_id


@pytest.mark.parametrize(
    ("kind", "message_class", "header"),
    [
        ("human", "IPM.Note", ""),
        ("unsubscribe", "IPM.Note", ""),
        ("auto_reply", "IPM.Note", "Auto-Submitted"),
        ("internal_auto_reply", "IPM.Note.Rules.OofTemplate.Microsoft", "Auto-Submitted"),
        ("bounce", "REPORT.IPM.Note.NDR", "Return-Path"),
        ("delayed", "REPORT.IPM.Note.Delayed", "Return-Path"),
    ],
)
def test_is_answered_as_a_candidate_would(
    alice: Graph, tenant: SandboxTenant, kind: str, message_class: str, header: str
) -> None:
    sent = alice.sent()

    answer = tenant.reply_as_candidate(ALICE, kind)

    assert answer.message_class == message_class
    assert answer.in_reply_to == sent.internet_message_id
    assert not header or header in dict(answer.headers)
    assert answer.conversation_id != sent.conversation_id  # a hint at best


def test_may_be_answered_by_a_program_that_forgets_the_thread(alice: Graph, tenant: SandboxTenant) -> None:
    sent = alice.sent()

    answer = tenant.reply_as_candidate(ALICE, has_thread_headers=False, keeps_conversation=True, folder="junkemail")

    assert (answer.in_reply_to, answer.references) == ("", ())
    assert (answer.conversation_id, answer.folder) == (sent.conversation_id, "junkemail")


def test_comes_back_when_there_is_no_such_address(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, bouncing=["nobody@candidate.example"])

    alice.sent(to="nobody@candidate.example")

    assert [mail.message_class for mail in tenant.messages(ALICE, "inbox")] == ["REPORT.IPM.Note.NDR"]


def test_comes_back_beyond_the_days_recipients(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, recipients_per_day=1)

    alice.sent(key="key-1")
    alice.sent(key="key-2")

    [bounce] = tenant.messages(ALICE, "inbox")
    assert "5.7.233" in bounce.text


def test_waits_its_turn_beyond_the_minutes_rate(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, sends_per_minute=2)

    for number in range(3):
        assert alice.send(alice.draft(f"key-{number}")["id"]).status_code == 202

    assert len(tenant.sent(ALICE, 2)) == 2
    time.sleep(0.2)
    assert [mail.key for mail in tenant.messages(ALICE, "drafts")] == ["key-2"]
