"""Messages: drafts, replies, changes, and sending."""

import base64
import html
import re
import time
from typing import Any

from sandbox import shapes
from sandbox.answers import Refused, answer
from sandbox.directory import Account
from sandbox.graph.asking import (
    Ask,
    context,
    on,
)
from sandbox.mailbox import Message, Recipient
from sandbox.wire import Response

_DRAFT_ONLY = {"body", "body_type", "subject", "reply_to", "internet_message_id", "to", "cc", "bcc", "importance"}


def _self(person: Account) -> Recipient:
    return {"name": person.name, "address": person.address}


@on("POST", "me/messages", "create_draft", "Mail.ReadWrite")
def _create_draft(ask: Ask) -> Response:
    return _drafted(ask, "drafts")


@on("POST", "me/mailFolders/{}/messages", "create_draft", "Mail.ReadWrite")
def _create_draft_in(ask: Ask) -> Response:
    return _drafted(ask, ask.folder(ask.found[0]))


def _drafted(ask: Ask, folder: str) -> Response:
    content = {"subject": "", "body": shapes.normal_html("")} | shapes.read_message(ask.content)
    content.setdefault("sender", _self(ask.person))
    message = ask.mailbox.add(ask.now, folder=folder, is_draft=True, **content)
    return answer({"@odata.context": context(ask, "me/messages/$entity"), **ask.shown(message)}, 201)


@on("POST", "me/messages/{}/createReply", "create_reply", "Mail.ReadWrite")
def _create_reply(ask: Ask) -> Response:
    """A draft in the same thread, to whom the original came from: for an own message, that is oneself."""
    original = ask.message(ask.found[0])
    # The names of an action's parameters count in any case; Microsoft's SDK writes them with a capital.
    content = {name.lower(): value for name, value in ask.content.items()}
    given = content.get("message") or {}
    comment = content.get("comment") or ""
    if comment and given.get("body"):
        raise Refused(400, "ErrorInvalidRequest", "Only one of comment and message.body can be given.")
    set_by_app = shapes.read_message(given)
    if ask.world.knob(ask.person.id, "reply_ignores_message"):
        set_by_app = {}
    message = ask.mailbox.add(
        ask.now, folder="drafts", is_draft=True, **_reply_content(ask.person, original, str(comment)) | set_by_app
    )
    return answer({"@odata.context": context(ask, "me/messages/$entity"), **ask.shown(message)}, 201)


def _reply_content(person: Account, original: Message, comment: str) -> dict[str, Any]:
    is_reply = original.subject.lower().startswith("re:")
    content: dict[str, Any] = {
        "subject": original.subject if is_reply else f"RE: {original.subject}",
        "body": shapes.normal_html(html.escape(comment) + _quote(original)),
        "to": original.reply_to or [original.sender],
        "sender": _self(person),
    }
    if original.is_draft:  # a reply to what has not been sent begins a thread of its own
        return content
    return content | {
        "in_reply_to": original.internet_message_id,
        "references": [*original.references, original.internet_message_id],
        "conversation_id": original.conversation_id,
        "conversation_index": _next_index(original.conversation_index),
    }


def _quote(original: Message) -> str:
    inner = re.sub(r"(?is)^.*?<body[^>]*>|</body>.*$", "", original.body)
    to = "; ".join(f"{recipient['name']} &lt;{recipient['address']}&gt;" for recipient in original.to)
    return (
        '<hr tabindex="-1"><div id="divRplyFwdMsg" dir="ltr">'
        f"<b>From:</b> {html.escape(original.sender.get('name', ''))}<br>"
        f"<b>Sent:</b> {time.strftime('%A, %d %B %Y %H:%M', time.gmtime(original.sent_at))}<br>"
        f"<b>To:</b> {to}<br><b>Subject:</b> {html.escape(original.subject)}</div><br>{inner}"
    )


def _next_index(index: str) -> str:
    return base64.b64encode(base64.b64decode(index) + time.time_ns().to_bytes(8, "big")[3:]).decode()


@on("PATCH", "me/messages/{}", "patch", "Mail.ReadWrite")
def _patch(ask: Ask) -> Response:
    message = ask.message(ask.found[0])
    content = ask.content
    if "internetMessageHeaders" in content:
        raise Refused(400, "ErrorInvalidPropertyUpdate", "Headers can be set only when a message is created.")
    if (expected := ask.request.headers.get("if-match")) not in (None, "*", f'W/"{message.change_key}"'):
        raise Refused(412, "ErrorIrresolvableConflict", f"The change key {expected[:60]} is not the current one.")
    changes = shapes.read_message(content)
    if not message.is_draft and _DRAFT_ONLY & changes.keys():
        raise Refused(400, "ErrorInvalidPropertySet", "This can be changed only while the message is a draft.")
    for name, value in changes.pop("properties", {}).items():
        ask.mailbox.set_property(message, name, value)
    vars(message).update(changes)
    ask.mailbox.save(message, ask.now)
    return answer({"@odata.context": context(ask, "me/messages/$entity"), **ask.shown(message)})


@on("POST", "me/messages/{}/move", "move", "Mail.ReadWrite")
def _move(ask: Ask) -> Response:
    message = ask.message(ask.found[0])
    ask.mailbox.move(message, ask.folder(str(ask.content.get("destinationId", ""))), ask.now)
    return answer({"@odata.context": context(ask, "me/messages/$entity"), **ask.shown(message)}, 201)


@on("DELETE", "me/messages/{}", "delete", "Mail.ReadWrite")
def _delete(ask: Ask) -> Response:
    """To Deleted Items, from there to the recoverable ones, from there for good."""
    message = ask.message(ask.found[0])
    if message.folder == "recoverableitemsdeletions":
        ask.mailbox.delete(message)
    else:
        further = "recoverableitemsdeletions" if message.folder == "deleteditems" else "deleteditems"
        ask.mailbox.move(message, further, ask.now)
    return Response(204)


@on("POST", "me/messages/{}/send", "send", "Mail.Send")
def _send(ask: Ask) -> Response:
    ask.post.submit(ask.person, ask.mailbox, ask.message(ask.found[0]), ask.now)
    return Response(202)


@on("POST", "me/sendMail", "send", "Mail.Send")
def _send_mail(ask: Ask) -> Response:
    given = {name.lower(): value for name, value in ask.content.items()}
    content = shapes.read_message(given.get("message") or {})
    content = {"subject": "", "body": shapes.normal_html(""), "sender": _self(ask.person)} | content
    ask.touched = ask.mailbox.add(ask.now, folder="drafts", is_draft=True, **content)
    try:
        ask.post.submit(ask.person, ask.mailbox, ask.touched, ask.now)
    except Refused:
        ask.mailbox.delete(ask.touched)
        raise
    return Response(202)
