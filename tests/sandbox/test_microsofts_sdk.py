"""Microsoft's own SDK for Python as the judge: it must read everything that the sandbox writes."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest
from kiota_abstractions.authentication import AuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty
from msgraph.generated.users.item.mail_folders.item.messages.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import (
    CreateReplyPostRequestBody,
)
from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]

from tests.sandbox_tenant import SandboxTenant

T = TypeVar("T")
KEY = "String {6f1e6c0e-54a5-4a43-9c1b-0d5b8a2f7e11} Name OutreachKey"
ALICE = "alice@demo.example"
MessagesQuery = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters


class _Bearer(AuthenticationProvider):
    def __init__(self, token: str) -> None:
        self._token = token

    async def authenticate_request(
        self, request: RequestInformation, additional_authentication_context: dict[str, Any] | None = None
    ) -> None:
        request.headers.add("Authorization", f"Bearer {self._token}")


Speaking = Callable[[Callable[[Any], Coroutine[Any, Any, T]]], T]


@pytest.fixture
def speak(tenant: SandboxTenant) -> Speaking[Any]:
    """Run some calls of the SDK as Alice."""

    async def run(calls: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        token = tenant.sign_in_tokens(ALICE).access_token
        # Microsoft's transport wraps this one and does not close it.
        async with httpx.AsyncHTTPTransport() as wire:
            plain = httpx.AsyncClient(transport=wire, trust_env=False)
            client = GraphClientFactory.create_with_default_middleware(client=plain, options=options)
            adapter = GraphRequestAdapter(_Bearer(token), client=client)
            adapter.base_url = f"{tenant.url}/v1.0"
            return await calls(GraphServiceClient(request_adapter=adapter))

    def in_a_thread_of_its_own(calls: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        # A browser test before this one leaves its event loop running in the tests' thread.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(run(calls))).result()

    return in_a_thread_of_its_own


def draft(key: str, subject: str = "Platform engineering") -> Message:
    return Message(
        subject=subject,
        body=ItemBody(content_type=BodyType.Html, content="<p>Hello</p>"),
        to_recipients=[_recipient("dana@candidate.example")],
        single_value_extended_properties=[SingleValueLegacyExtendedProperty(id=KEY, value=key)],
    )


def _recipient(address: str) -> Recipient:
    return Recipient(email_address=EmailAddress(address=address, name=address))


def immutable(query: Any = None) -> RequestConfiguration[Any]:
    configuration: RequestConfiguration[Any] = RequestConfiguration(query_parameters=query)
    configuration.headers.add("Prefer", 'IdType="ImmutableId"')
    return configuration


def by_key(key: str) -> RequestConfiguration[Any]:
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY}' and ep/value eq '{key}')"
    return immutable(MessagesQuery(filter=wanted, select=["id", "isDraft", "sentDateTime"]))


def test_reads_who_somebody_is(speak: Speaking[Any]) -> None:
    me = speak(lambda graph: graph.me.get())

    assert (me.mail, me.display_name, me.user_principal_name) == (ALICE, "Alice Archer", ALICE)


def test_reads_the_settings_of_a_mailbox(speak: Speaking[Any], tenant: SandboxTenant) -> None:
    tenant.away(ALICE)

    found = speak(lambda graph: graph.me.mailbox_settings.get())

    assert found.time_zone == "W. Europe Standard Time"
    assert found.automatic_replies_setting.status.value == "alwaysEnabled"
    assert found.working_hours.days_of_week[0].value == "monday"
    assert found.working_hours.time_zone.name == "W. Europe Standard Time"


def test_drafts_changes_and_sends(speak: Speaking[Any], tenant: SandboxTenant) -> None:
    async def calls(graph: Any) -> tuple[Any, Any]:
        made = await graph.me.messages.post(draft("key-1"), request_configuration=immutable())
        one = graph.me.messages.by_message_id(made.id)
        changed = await one.patch(Message(subject="Changed"), request_configuration=immutable())
        await one.send.post()
        return made, changed

    made, changed = speak(calls)

    assert made.is_draft
    assert made.internet_message_id
    assert made.conversation_id
    assert "<p>Hello</p>" in made.body.content
    assert (changed.id, changed.subject) == (made.id, "Changed")
    [sent] = tenant.sent(ALICE, 1)
    assert (sent.id, sent.subject, sent.key, sent.submits) == (made.id, "Changed", "key-1", 1)


def test_finds_by_our_own_property_and_reads_it(speak: Speaking[Any], tenant: SandboxTenant) -> None:
    tenant.put(ALICE, folder="sentitems", subject="Another")

    async def calls(graph: Any) -> tuple[Any, Any]:
        made = await graph.me.messages.post(draft("Key-1"))
        found = await graph.me.messages.get(request_configuration=by_key("key-1"))
        query = MessagesQuery(expand=[f"singleValueExtendedProperties($filter=id eq '{KEY}')"])
        read = await graph.me.messages.by_message_id(made.id).get(
            request_configuration=RequestConfiguration(query_parameters=query)
        )
        return found.value, read

    found, read = speak(calls)

    assert [message.is_draft for message in found] == [True]
    assert found[0].subject is None  # not selected
    assert read.single_value_extended_properties[0].value == "Key-1"


def test_replies_in_the_thread_of_a_sent_mail(speak: Speaking[Any], tenant: SandboxTenant) -> None:
    first = tenant.put(
        ALICE, folder="sentitems", subject="Platform", body="<p>First</p>", to=["dana@candidate.example"]
    )

    async def calls(graph: Any) -> tuple[Any, Any]:
        one = graph.me.messages.by_message_id(first.id).create_reply
        alone = await one.post(CreateReplyPostRequestBody())
        given = Message(to_recipients=[_recipient("dana@candidate.example")])
        return alone, await one.post(CreateReplyPostRequestBody(message=given))

    alone, given = speak(calls)

    assert alone.to_recipients[0].email_address.address == ALICE  # a reply to oneself
    assert given.to_recipients[0].email_address.address == "dana@candidate.example"
    assert given.subject == "RE: Platform"
    assert given.conversation_id == first.conversation_id
    assert "<p>First</p>" in given.body.content
    reply = tenant.messages(ALICE, "drafts")[-1]
    assert reply.in_reply_to == first.internet_message_id
    assert reply.references == (first.internet_message_id,)


def test_follows_a_folder_by_delta(speak: Speaking[Any], tenant: SandboxTenant) -> None:
    kept, gone = [tenant.put(ALICE, subject=f"Old {number}") for number in range(5)][3:]

    async def calls(graph: Any) -> tuple[int, list[str], list[Any]]:
        delta = graph.me.mail_folders.by_mail_folder_id("inbox").messages.delta
        query = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(top=2, select=["subject"])
        page, pages, subjects = await delta.get(request_configuration=immutable(query)), 1, []
        subjects += [message.subject for message in page.value]
        while page.odata_next_link:
            page, pages = await delta.with_url(page.odata_next_link).get(request_configuration=immutable()), pages + 1
            subjects += [message.subject for message in page.value]
        tenant.put(ALICE, subject="New")
        tenant.delete(ALICE, gone.id)
        page = await delta.with_url(page.odata_delta_link).get(request_configuration=immutable())
        return pages, subjects, page.value

    pages, subjects, changes = speak(calls)

    assert (pages, subjects) == (3, [f"Old {number}" for number in range(5)])
    assert changes[0].subject == "New"
    assert changes[1].id == gone.id
    assert changes[1].additional_data["@removed"] == {"reason": "deleted"}
    assert kept.id != gone.id


def test_goes_through_pages_of_a_list(speak: Speaking[Any], tenant: SandboxTenant) -> None:
    for number in range(12):
        tenant.put(ALICE, subject=f"Mail {number}")

    async def calls(graph: Any) -> Any:
        messages = graph.me.mail_folders.by_mail_folder_id("inbox").messages
        first = await messages.get()
        second = await messages.with_url(first.odata_next_link).get()
        assert second.odata_next_link is None
        return first.value + second.value

    assert len({message.id for message in speak(calls)}) == 12


def test_reads_an_error(speak: Speaking[Any]) -> None:
    with pytest.raises(ODataError) as caught:
        speak(lambda graph: graph.me.messages.by_message_id("nothing").get())

    assert caught.value.response_status_code == 404
    assert caught.value.error is not None
    assert caught.value.error.code == "ErrorItemNotFound"
