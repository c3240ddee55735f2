"""Messages and folders as Graph shows them, and a message as Graph is given one."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.answers import Refused
from sandbox.mailbox import WELL_KNOWN, Mailbox, Message, Recipient, normal_property_id

MOST_HEADERS = 5
MOST_RECIPIENTS = 500
_ADDRESS = re.compile(r"[^\s@<>\"(),:;\\]+@[^\s@<>\"(),:;\\]+\.[^\s@<>\"(),:;\\]+")


def moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _recipient(recipient: Recipient) -> dict[str, Recipient]:
    return {"emailAddress": {"name": recipient["name"], "address": recipient["address"]}}


def _recipients(recipients: Iterable[Recipient]) -> list[dict[str, Recipient]]:
    return [_recipient(recipient) for recipient in recipients]


def _sender(mailbox: Mailbox, message: Message) -> Any:
    return _recipient(message.sender) if message.sender else None


def text_of(markup: str) -> str:
    """The words of some HTML."""
    without = re.sub(r"(?is)<(style|script|head).*?</\1>", "", markup)
    broken = re.sub(r"(?i)<(br|/p|/div|/tr|/li)\b[^>]*>", "\n", without)
    return html.unescape(re.sub(r"<[^>]*>", "", broken)).strip()


def _body(mailbox: Mailbox, message: Message) -> dict[str, str]:
    return {"contentType": message.body_type, "content": message.body}


def _unique_body(mailbox: Mailbox, message: Message) -> dict[str, str]:
    return {"contentType": message.body_type, "content": message.unique_body or message.body}


def _headers(mailbox: Mailbox, message: Message) -> list[dict[str, str]]:
    """The sender's own on a draft, those of the transport too once it has travelled."""
    if message.is_draft:
        return list(message.headers)
    named = [("Message-ID", message.internet_message_id)]
    if message.in_reply_to:
        named.append(("In-Reply-To", message.in_reply_to))
    if message.references:
        named.append(("References", " ".join(message.references)))
    return [{"name": name, "value": value} for name, value in named] + message.headers


_Reader = Callable[[Mailbox, Message], Any]
_USUAL: dict[str, _Reader] = {
    "createdDateTime": lambda mailbox, message: moment(message.created_at),
    "lastModifiedDateTime": lambda mailbox, message: moment(message.modified_at),
    "changeKey": lambda mailbox, message: message.change_key,
    "categories": lambda mailbox, message: message.categories,
    "receivedDateTime": lambda mailbox, message: moment(message.received_at),
    "sentDateTime": lambda mailbox, message: moment(message.sent_at),
    "hasAttachments": lambda mailbox, message: False,
    "internetMessageId": lambda mailbox, message: message.internet_message_id,
    "subject": lambda mailbox, message: message.subject,
    "bodyPreview": lambda mailbox, message: " ".join(text_of(message.body).split())[:255],
    "importance": lambda mailbox, message: message.importance,
    "parentFolderId": lambda mailbox, message: mailbox.folder_id(message.folder),
    "conversationId": lambda mailbox, message: message.conversation_id,
    "conversationIndex": lambda mailbox, message: message.conversation_index,
    "isDeliveryReceiptRequested": lambda mailbox, message: False,
    "isReadReceiptRequested": lambda mailbox, message: False,
    "isRead": lambda mailbox, message: message.is_read,
    "isDraft": lambda mailbox, message: message.is_draft,
    "webLink": lambda mailbox, message: f"https://outlook.office365.com/owa/?ItemID={message.serial}",
    "inferenceClassification": lambda mailbox, message: "focused",
    "body": _body,
    "sender": _sender,
    "from": _sender,
    "toRecipients": lambda mailbox, message: _recipients(message.to),
    "ccRecipients": lambda mailbox, message: _recipients(message.cc),
    "bccRecipients": lambda mailbox, message: _recipients(message.bcc),
    "replyTo": lambda mailbox, message: _recipients(message.reply_to),
    "flag": lambda mailbox, message: {"flagStatus": message.flag},
}
_ASKED_FOR: dict[str, _Reader] = {"internetMessageHeaders": _headers, "uniqueBody": _unique_body}
_KNOWN = _USUAL | _ASKED_FOR


def selected(text: str) -> list[str] | None:
    """The names of a $select; None where there is none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in _KNOWN and name != "id"]
    if unknown:
        raise Refused(400, "RequestBroker--ParseUri", f"Could not find a property named '{unknown[0][:60]}'.")
    return names or None


def shown(
    mailbox: Mailbox,
    message: Message,
    *,
    immutable: bool,
    select: list[str] | None = None,
    expand: Iterable[str] = (),
    as_text: bool = False,
) -> dict[str, Any]:
    """A message as JSON. `expand`: normal ids of the extended properties to show."""
    content: dict[str, Any] = {
        "@odata.etag": f'W/"{message.change_key}"',
        "id": message.id if immutable else mailbox.regular_id(message),
    }
    if message.message_class.startswith("IPM.Schedule"):
        content["@odata.type"] = "#microsoft.graph.eventMessage"
    for name in select or _USUAL:
        if name != "id":
            content[name] = _KNOWN[name](mailbox, message)
    if as_text:
        for name in {"body", "uniqueBody"} & content.keys():
            content[name] = {"contentType": "text", "content": text_of(content[name]["content"])}
    found = [{"id": name, "value": value} for name in expand if (value := property_of(message, name)) is not None]
    if found:
        content["singleValueExtendedProperties"] = found
    return content


def property_of(message: Message, name: str) -> str | None:
    """An extended property: those that Exchange itself fills in, and those that were set."""
    own = {
        "String 0x001A": message.message_class,
        "String 0x1035": message.internet_message_id,
        "String 0x1042": message.in_reply_to or None,
        "String 0x1039": " ".join(message.references) or None,
        "Integer 0x0E07": str((0x8 if message.is_draft else 0x1) | (0x4 if message.leaves_at else 0)),
        "String 0x007D": "".join(f"{entry['name']}: {entry['value']}\r\n" for entry in message.headers) or None,
    }
    return own[name] if name in own else message.properties.get(name)


def shown_folder(mailbox: Mailbox, folder: str) -> dict[str, Any]:
    inside = list(mailbox.in_folder(folder))
    return {
        "id": mailbox.folder_id(folder),
        "displayName": WELL_KNOWN[folder],
        "parentFolderId": mailbox.folder_id("msgfolderroot"),
        "childFolderCount": 0,
        "unreadItemCount": sum(not message.is_read for message in inside),
        "totalItemCount": len(inside),
        "sizeInBytes": sum(len(message.body) for message in inside),
        "isHidden": False,
    }


# --- What apps write ------------------------------------------------------------------------------------------------
def read_recipients(value: Any) -> list[Recipient]:
    if not isinstance(value, list) or len(value) > MOST_RECIPIENTS:
        raise Refused(400, "ErrorInvalidRecipients", "At least one recipient is not valid.")
    return [_read_recipient(entry) for entry in value]


def _read_recipient(entry: Any) -> Recipient:
    try:
        address = str(entry["emailAddress"]["address"])
        name = str(entry["emailAddress"].get("name") or address)
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(400, "RequestBodyRead", "A recipient has no address.") from error
    return {"name": name, "address": address}


def check_deliverable(message: Message) -> None:
    """Addresses are looked at when a message is sent, not when it is written."""
    everybody = message.to + message.cc + message.bcc
    if not everybody or not all(_ADDRESS.fullmatch(recipient["address"]) for recipient in everybody):
        raise Refused(400, "ErrorInvalidRecipients", "At least one recipient is not valid.")


def read_body(value: Any) -> tuple[str, str]:
    """Type and content, wrapped into a document as Exchange normalizes it."""
    if not isinstance(value, dict):
        raise Refused(400, "RequestBodyRead", "The body is malformed.")
    kind = str(value.get("contentType") or "text").lower()
    content = str(value.get("content") or "")
    if kind not in ("html", "text"):
        raise Refused(400, "RequestBodyRead", "The body's type is neither text nor html.")
    return kind, normal_html(content) if kind == "html" else content


def normal_html(content: str) -> str:
    if re.search(r"<html[\s>]", content, re.IGNORECASE):
        return content
    meta = '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    return f"<html><head>\r\n{meta}</head><body>{content}</body></html>"


def read_headers(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) and "name" in entry for entry in value):
        raise Refused(400, "RequestBodyRead", "The headers are malformed.")
    if len(value) > MOST_HEADERS:
        text = "Maximum number of headers in one message should be less than or equal to 5."
        raise Refused(400, "InvalidInternetMessageHeaderCollection", text)
    for entry in value:
        if not str(entry["name"]).lower().startswith("x-"):
            text = f"The internet message header name '{entry['name']}' should start with 'x-' or 'X-'."
            raise Refused(400, "InvalidInternetMessageHeader", text)
    return [{"name": str(entry["name"]), "value": str(entry.get("value", ""))} for entry in value]


def read_properties(value: Any) -> dict[str, str]:
    if not isinstance(value, list):
        raise Refused(400, "RequestBodyRead", "The extended properties are malformed.")
    found = {}
    for entry in value:
        identity = normal_property_id(str(entry.get("id", ""))) if isinstance(entry, dict) else ""
        if not identity:
            raise Refused(400, "ErrorInvalidPropertyId", "The extended property id is malformed.")
        found[identity] = str(entry.get("value", ""))
    return found


_SIMPLE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "subject": ("subject", str),
    "importance": ("importance", lambda value: str(value).lower()),
    "isRead": ("is_read", bool),
    "categories": ("categories", list),
    "internetMessageId": ("internet_message_id", str),
    "toRecipients": ("to", read_recipients),
    "ccRecipients": ("cc", read_recipients),
    "bccRecipients": ("bcc", read_recipients),
    "replyTo": ("reply_to", read_recipients),
    "internetMessageHeaders": ("headers", read_headers),
    "singleValueExtendedProperties": ("properties", read_properties),
}


def read_message(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Message` that some JSON sets. What cannot be set is passed over, as Graph does."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if name in _SIMPLE:
            field, read = _SIMPLE[name]
            found[field] = read(value)
        elif name == "body":
            found["body_type"], found["body"] = read_body(value)
        elif name == "flag" and isinstance(value, dict):
            found["flag"] = str(value.get("flagStatus", "notFlagged"))
        elif name in ("from", "sender"):
            found["sender"] = _read_recipient(value)
    return found
