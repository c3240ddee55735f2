"""The Graph client: one method per call, for one mailbox. It never repeats a call by itself.

Facts and their sources: reference C (mail) and D (limits and errors).
"""

import itertools
import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote

from django.conf import settings

from mailconnect.microsoft.errors import NotDone, OutcomeUnknown, Refused, Throttled, TokenRejected
from mailconnect.microsoft.wire import Answer, Wire
from mailconnect.permission import Permit

# Our own namespace: the property that carries a message's key, on the draft and on the copy in Sent Items.
KEY_PROPERTY = "String {6f1e6c0e-54a5-4a43-9c1b-0d5b8a2f7e11} Name OutreachKey"
GRAPH_HOSTS = {
    "global": "https://graph.microsoft.com",
    "us-gov": "https://graph.microsoft.us",
    "us-dod": "https://dod-graph.microsoft.us",
    "china": "https://microsoftgraph.chinacloudapi.cn",
}
Told = Callable[[], None]
# A request's id for Microsoft's support: a UUID, its last part the process (forks share the rest) and a count: to
# draw a new one each time costs more.
_RUN = str(uuid.uuid4())[:23]
_numbers = itertools.count()
ARRIVAL_FIELDS = "id,internetMessageId,conversationId,from,subject,receivedDateTime"
# PidTagMessageClass, PidTagInReplyToId and PidTagInternetReferences.
ITEM_CLASS, IN_REPLY_TO, REFERENCES = "String 0x001A", "String 0x1042", "String 0x1039"
MESSAGE_FIELDS = "id,isDraft,internetMessageId,conversationId,sentDateTime,toRecipients,subject"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """An email to put into Drafts. With `reply_to_id` (a message in Sent Items) it continues that thread."""

    key: str
    to_address: str
    to_name: str
    subject: str
    body_html: str
    reply_to_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MailItem:
    """A message as it stands in the mailbox."""

    id: str
    is_draft: bool
    internet_message_id: str
    conversation_id: str
    sent_at: datetime | None
    to_addresses: tuple[str, ...]
    subject: str
    key: str = ""

    @property
    def is_armed(self) -> bool:
        """Somebody could submit it: a draft without recipients is refused."""
        return self.is_draft and bool(self.to_addresses)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Arrival:
    """An email that came in, as a listing shows it."""

    id: str
    internet_message_id: str
    conversation_id: str
    from_address: str  # in lower case
    subject: str
    received_at: datetime
    is_meeting: bool
    folder_id: str  # empty where the listing is of one folder


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivalPage:
    """`link`: where to go on, now (a nextLink) or, after the last page, at the next look (a deltaLink, if there is)."""

    arrivals: tuple[Arrival, ...]
    link: str
    is_last: bool


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Opened:
    """What an email's headers say. The last two come from its properties, where it has no headers."""

    headers: tuple[tuple[str, str], ...]
    item_class: str
    in_reply_to: str
    references: str


def graph_root() -> str:
    return f"{settings.SANDBOX_URL or GRAPH_HOSTS[settings.MICROSOFT_CLOUD]}/v1.0"


class GraphClient:
    """Calls for the mailbox whose access token it holds."""

    def __init__(self, wire: Wire, connection_id: int, token: str) -> None:
        self._wire = wire
        self._connection_id = connection_id
        self._authorization = f"Bearer {token}"

    def me(self) -> dict[str, Any]:
        return _with_id(self._get("/me?$select=id,displayName,mail,proxyAddresses,userPrincipalName,userType"))

    def inbox(self) -> dict[str, Any]:
        """Raises `Refused` where the account has no Exchange mailbox (reference C1)."""
        return _with_id(self._get("/me/mailFolders/inbox?$select=id,displayName"))

    def mailbox_settings(self) -> dict[str, Any]:
        return self._get("/me/mailboxSettings")

    def recent_sent_bodies(self, count: int) -> list[str]:
        """The HTML of the newest sent messages, to find a signature in."""
        found = self._get(f"/me/mailFolders/sentitems/messages?$select=body&$orderby=sentDateTime%20desc&$top={count}")
        bodies = [item.get("body") or {} for item in _items(found)]
        return [str(body.get("content")) for body in bodies if str(body.get("contentType")).lower() == "html"]

    def create_draft(self, draft: Draft, *, gate: Told | None = None, sent: Told | None = None) -> MailItem:
        """Put a new email, or a reply in a thread, into Drafts with our key on it.

        `gate` is asked just before a request starts, and may raise; `sent` is told while its answer is awaited.
        """
        if draft.reply_to_id:
            return self._create_reply(draft, gate, sent)
        content = {
            "subject": draft.subject,
            "body": {"contentType": "HTML", "content": draft.body_html},
            **_addressed_and_tagged(draft),
        }
        return _mail_item(self._call("POST", "/me/messages", content, expected=201, gate=gate, sent=sent))

    def _create_reply(self, draft: Draft, gate: Told | None, sent: Told | None) -> MailItem:
        """Graph keeps subject, quote and thread headers, and would address the sender: recipients are ours.

        createReply may ignore what it is given (reference C5, H3), so all of it is set again by PATCH. If that fails,
        a draft is left that is not fit to be sent: the outcome counts as unknown, so that it is looked for.
        """
        path = f"/me/messages/{quote(draft.reply_to_id)}/createReply"
        message = {"message": _addressed_and_tagged(draft)}
        reply = self._call("POST", path, message, expected=201, gate=gate, sent=sent)
        try:
            content = {
                "body": {"contentType": "HTML", "content": _above_the_quote(draft.body_html, reply["body"]["content"])},
                **_addressed_and_tagged(draft),
            }
            return _mail_item(self._call("PATCH", f"/me/messages/{quote(reply['id'])}", content, expected=200))
        except (NotDone, KeyError, TypeError) as error:
            raise OutcomeUnknown("half_drafted") from error

    def send(self, permit: Permit, *, passed: Told | None = None, sent: Told | None = None) -> None:
        """Submit the permitted draft: 202 means accepted, not delivered. Starts nothing with a lapsed permit.

        `passed` is told when the permit was young enough, before the first byte; `sent` while the answer is awaited.
        """
        if permit.ask.connection_id != self._connection_id:
            raise ValueError("The permit is for another mailbox.")

        def gate() -> None:
            permit.check_age()
            if passed:
                passed()

        path = f"/me/messages/{quote(permit.ask.draft_id)}/send"
        self._call("POST", path, expected=202, gate=gate, sent=sent)

    def find_by_key(self, key: str) -> list[MailItem]:
        """Everything in the whole mailbox that carries our key: drafts, and the copy in Sent Items."""
        wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY_PROPERTY}' and ep/value eq '{key}')"
        found = self._get(f"/me/messages?$filter={quote(wanted)}&$select={MESSAGE_FIELDS}&$top=50")
        return [_mail_item(item) for item in _items(found)]

    def sent_since(self, moment: datetime) -> list[MailItem]:
        """The newest 100 messages in Sent Items since `moment` that carry a key, with it."""
        wanted = f"sentDateTime ge {moment:%Y-%m-%dT%H:%M:%SZ}"
        expand = f"singleValueExtendedProperties($filter=id eq '{KEY_PROPERTY}')"
        found = self._get(
            f"/me/mailFolders/sentitems/messages?$filter={quote(wanted)}&$orderby=sentDateTime%20desc"
            f"&$select={MESSAGE_FIELDS}&$expand={quote(expand)}&$top=100"
        )
        return [_mail_item(item) for item in _items(found) if item.get("singleValueExtendedProperties")]

    def disarm(self, draft_id: str, *, gate: Told | None = None) -> bool:
        """Take the recipients off a draft: nobody can send it any more, whatever permit they hold.

        False where there is none: it is gone, or was sent (reference C6: recipients change on a draft only).
        """
        nobody: dict[str, Any] = {"toRecipients": [], "ccRecipients": [], "bccRecipients": []}
        try:
            item = self._call("PATCH", f"/me/messages/{quote(draft_id)}", nobody, expected=200, gate=gate)
        except Refused as refusal:
            if refusal.status != 404 and refusal.reason != "ErrorInvalidPropertySet":
                raise
            return False
        return _mail_item(item).is_draft

    def delete_draft(self, draft_id: str, *, gate: Told | None = None) -> None:
        """Remove a draft, disarmed: from Deleted Items it could still be sent by its id (reference C9)."""
        if not self.disarm(draft_id, gate=gate):
            return
        try:
            self._call("DELETE", f"/me/messages/{quote(draft_id)}", expected=204, gate=gate)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def arrivals(self, folder: str, *, since: datetime, link: str = "") -> ArrivalPage:
        """One page of what is new in a folder: from `link` on, or else all that was received since `since`.

        Raises `Refused` with status 410 where Graph no longer knows the link.
        """
        if _is_ours(link):
            return _arrival_page(self._get(link.removeprefix(graph_root())))
        received = quote(f"receivedDateTime ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        path = f"/me/mailFolders/{folder}/messages/delta?changeType=created&$filter={received}"
        return _arrival_page(self._get(f"{path}&$select={ARRIVAL_FIELDS}&$top=50"))

    def arrivals_anywhere(self, *, since: datetime, link: str = "") -> ArrivalPage:
        """One page of what was received in the whole mailbox since `since`, the oldest first; sent copies among it."""
        if _is_ours(link):
            return _arrival_page(self._get(link.removeprefix(graph_root())))
        received = quote(f"receivedDateTime ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        path = f"/me/messages?$filter={received}&$orderby=receivedDateTime"
        return _arrival_page(self._get(f"{path}&$select={ARRIVAL_FIELDS},parentFolderId&$top=100"))

    def folder_id(self, folder: str) -> str:
        return str(self._get(f"/me/mailFolders/{folder}?$select=id").get("id"))

    def opened(self, message_id: str) -> Opened:
        """The headers and the class of an email, without its text."""
        wanted = " or ".join(f"id eq '{name}'" for name in (ITEM_CLASS, IN_REPLY_TO, REFERENCES))
        expand = quote(f"singleValueExtendedProperties($filter={wanted})")
        path = f"/me/messages/{quote(message_id)}?$select=id,internetMessageHeaders&$expand={expand}"
        return _opened(self._get(path))

    def new_part(self, message_id: str) -> str:
        """The HTML of an email without what it quotes."""
        found = self._get(f"/me/messages/{quote(message_id)}?$select=id,uniqueBody")
        return str((found.get("uniqueBody") or {}).get("content") or "")

    def mime(self, message_id: str) -> bytes:
        """The whole email as it came."""
        return self._answer("GET", f"/me/messages/{quote(message_id)}/$value", expected=200).body

    def _get(self, path: str) -> dict[str, Any]:
        return self._call("GET", path, expected=200)

    def _call(
        self,
        method: str,
        path: str,
        content: dict[str, Any] | None = None,
        *,
        expected: int,
        gate: Told | None = None,
        sent: Told | None = None,
    ) -> dict[str, Any]:
        answer = self._answer(method, path, content, expected=expected, gate=gate, sent=sent)
        return _json_object(answer) if expected in (200, 201) else {}

    def _answer(
        self,
        method: str,
        path: str,
        content: dict[str, Any] | None = None,
        *,
        expected: int,
        gate: Told | None = None,
        sent: Told | None = None,
    ) -> Answer:
        headers = {
            "Authorization": self._authorization,
            "Accept": "application/json",
            "Prefer": 'IdType="ImmutableId"',
            "client-request-id": f"{_RUN}-{os.getpid() % 2**20:05x}{next(_numbers) % 2**28:07x}",
        }
        body = b"" if method == "POST" else None
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(content).encode()
        answer = self._wire.exchange(method, path, headers, body, gate=gate, sent=sent)
        # One sample of createReply shows 200 for 201: accept both (reference C5).
        if answer.status != expected and {answer.status, expected} != {200, 201}:
            _raise_for(answer)
        return answer


def _raise_for(answer: Answer) -> NoReturn:
    code = _error_code(answer)
    retry_after = _seconds(answer.headers.get("Retry-After"))
    if answer.status == 429 or (answer.status == 503 and retry_after is not None):
        raise Throttled(code or "throttled", retry_after or 0.0, answer.status)
    if answer.status == 401:
        raise TokenRejected(code or "token_rejected")
    # A proxy's HTML with a 4xx is no word of Graph's: only its own envelope refuses.
    if 400 <= answer.status < 500 and code:
        raise Refused(code, answer.status)
    raise OutcomeUnknown(f"http_{answer.status}")


def _error_code(answer: Answer) -> str:
    """The most specific code of Graph's error envelope; empty where the body is something else."""
    try:
        error = json.loads(answer.body)["error"]
        codes = [str(error["code"])]
        while isinstance(error := error.get("innerError") or error.get("innererror"), dict):
            codes += [str(error["code"])] if "code" in error else []
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return codes[-1][:60]


def _json_object(answer: Answer) -> dict[str, Any]:
    """The body of an expected answer. Garbage there means that we do not know what happened."""
    try:
        content = json.loads(answer.body)
    except ValueError as error:
        raise OutcomeUnknown("garbage") from error
    if not isinstance(content, dict):
        raise OutcomeUnknown("garbage")
    return content


def _with_id(content: dict[str, Any]) -> dict[str, Any]:
    """An object of Graph's. One without an id is somebody else's JSON."""
    if not content.get("id"):
        raise OutcomeUnknown("garbage")
    return content


def _items(content: dict[str, Any]) -> list[dict[str, Any]]:
    """A list of Graph's: never take somebody else's JSON for an empty one."""
    items = content.get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise OutcomeUnknown("garbage")
    return items


def _seconds(value: str | None) -> float | None:
    """Retry-After as Graph sends it: whole or decimal seconds (reference D1)."""
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return 0.0


def _addressed_and_tagged(draft: Draft) -> dict[str, Any]:
    return {
        "toRecipients": [{"emailAddress": {"name": draft.to_name, "address": draft.to_address}}],
        "singleValueExtendedProperties": [{"id": KEY_PROPERTY, "value": draft.key}],
    }


def _above_the_quote(html: str, quoted: str) -> str:
    """Our text right after the reply draft's <body>, above the quoted mail."""
    opening = re.search(r"<body[^>]*>", quoted, re.IGNORECASE)
    return quoted[: opening.end()] + html + quoted[opening.end() :] if opening else html + quoted


def _mail_item(item: dict[str, Any]) -> MailItem:
    try:
        sent = item.get("sentDateTime")
        properties = item.get("singleValueExtendedProperties") or [{"value": ""}]
        return MailItem(
            id=item["id"],
            is_draft=item["isDraft"],
            internet_message_id=item.get("internetMessageId") or "",
            conversation_id=item.get("conversationId") or "",
            sent_at=datetime.fromisoformat(sent) if sent else None,
            to_addresses=tuple(to["emailAddress"]["address"].lower() for to in item.get("toRecipients", [])),
            subject=item.get("subject") or "",
            key=properties[0]["value"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutcomeUnknown("garbage") from error


def _is_ours(link: str) -> bool:
    """Only the configured Graph gets our token, whatever a link says."""
    return link.startswith(f"{graph_root()}/")


def _arrival_page(content: dict[str, Any]) -> ArrivalPage:
    onward, until_next_time = content.get("@odata.nextLink"), content.get("@odata.deltaLink")
    link = str(onward or until_next_time or "")
    if link and not _is_ours(link):
        raise OutcomeUnknown("foreign_link")
    try:
        # Removals have no content; an email without a sender (a draft moved by hand) is none that came in.
        listed = [item for item in content["value"] if "@removed" not in item and item.get("from")]
        arrivals = tuple(_arrival(item) for item in listed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutcomeUnknown("garbage") from error
    return ArrivalPage(arrivals=arrivals, link=link, is_last=not onward)


def _arrival(item: dict[str, Any]) -> Arrival:
    return Arrival(
        id=item["id"],
        internet_message_id=item.get("internetMessageId") or item["id"],
        conversation_id=item.get("conversationId") or "",
        from_address=(item["from"]["emailAddress"].get("address") or "").lower(),
        subject=item.get("subject") or "",
        received_at=datetime.fromisoformat(item["receivedDateTime"]),
        is_meeting="eventMessage" in item.get("@odata.type", ""),
        folder_id=item.get("parentFolderId") or "",
    )


def _opened(content: dict[str, Any]) -> Opened:
    try:
        headers = tuple((str(each["name"]), str(each["value"])) for each in content.get("internetMessageHeaders") or ())
        properties = {each["id"]: str(each["value"]) for each in content.get("singleValueExtendedProperties") or ()}
    except (KeyError, TypeError) as error:
        raise OutcomeUnknown("garbage") from error
    return Opened(
        headers=headers,
        item_class=properties.get(ITEM_CLASS, "IPM.Note"),
        in_reply_to=properties.get(IN_REPLY_TO, ""),
        references=properties.get(REFERENCES, ""),
    )
