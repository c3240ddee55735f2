"""A mailbox: its folders, its conversations, a message, and the answer of a candidate."""

import html
import time
from collections.abc import Iterable

from sandbox import incoming, paper, shapes
from sandbox.directory import Account
from sandbox.mailbox import Mailbox, Message
from sandbox.pages.frame import Ask, Missing, address_of, button, face, named, on, sheet, when
from sandbox.paper import text
from sandbox.wire import Response

FOLDERS = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "junkemail": "Junk Email",
    "deleteditems": "Deleted Items",
    "archive": "Archive",
}
SHOWN = 100
ANSWERS = {
    "human": "A person’s answer",
    "unsubscribe": "The wish to be left alone",
    "auto_reply": "An automatic reply",
    "bounce": "Undeliverable (5.1.1)",
    "bounce_soft": "Mailbox full (4.2.2)",
    "delayed": "Delivery delayed",
}
# A mail's own HTML is shown in a frame that can do nothing.
_FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@on("GET", "mail/{}/{}")
def folder(ask: Ask) -> Response:
    name = ask.found[1]
    if name not in FOLDERS:
        raise Missing
    messages = sorted(ask.mailbox.in_folder(name), key=lambda message: (message.placed_at, message.serial))
    rows = "".join(_row(ask.person, message, name) for message in reversed(messages[-SHOWN:]))
    more = f'<p class="more">The newest {SHOWN} of {len(messages)} are shown.</p>' if len(messages) > SHOWN else ""
    listing = f'<ul class="messages">{rows}</ul>{more}' if rows else _empty(name)
    return _mail_sheet(ask, name, f"<h2 class=quietly>{FOLDERS[name]}</h2>{listing}")


def _empty(name: str) -> str:
    hint = {
        "inbox": "Answers of candidates come in here. Open a sent message to write one.",
        "sentitems": "What is sent from this mailbox appears here a moment after it was accepted.",
        "drafts": "An app puts a draft here before it sends it.",
    }.get(name, "")
    return f'<div class="empty"><p><b>Nothing in {FOLDERS[name]}</b></p><p>{hint}</p></div>'


def _row(person: Account, message: Message, name: str) -> str:
    outward = name in ("sentitems", "drafts")
    others = message.to if outward else [message.sender]
    who = ", ".join(other.get("name") or other.get("address", "") for other in others) or "(nobody)"
    preview = " ".join(shapes.text_of(message.unique_body or message.body).split())[:140]
    sign = '<span class="badge">on its way</span>' if message.leaves_at else ""
    kind = "" if message.is_read else ' class="unread"'
    return (
        f'<li{kind}><a href="{address_of(person, "message", str(message.serial))}">{face(who)}<span class="lines">'
        f'<span class="line"><b>{"To: " if outward else ""}{text(who)}</b>{sign}{when(message.placed_at)}</span>'
        f'<span class="subject">{text(message.subject or "(no subject)")}</span>'
        f'<span class="preview">{text(preview)}</span></span></a></li>'
    )


@on("GET", "mail/{}/message/{}")
def message_page(ask: Ask) -> Response:
    message = ask.message(ask.found[1])
    if not message.is_read:
        message.is_read = True
        ask.mailbox.save(message, time.time())
    thread = _thread(ask.mailbox, message)
    parts = "".join(_part(ask.person, each, opened=each is message) for each in thread)
    content = f'<h2 class="topic">{text(message.subject or "(no subject)")}</h2>{parts}'
    sent = [each for each in thread if each.folder == "sentitems"]
    if sent:
        content += _answer_form(ask.person, message if message in sent else sent[-1])
    elif message.leaves_at:
        content += _leaving_note(ask.person)
    return _mail_sheet(ask, message.folder, content)


def _thread(mailbox: Mailbox, message: Message) -> list[Message]:
    """The conversation by Message-IDs, as mail programs show it, in the order of time."""
    known = {message.internet_message_id, message.in_reply_to, *message.references} - {""}
    members = [
        each
        for each in mailbox.messages.values()
        if each is message
        or each.internet_message_id in known
        or not known.isdisjoint({each.in_reply_to, *each.references})
    ]
    return sorted(members, key=lambda each: (each.placed_at, each.serial))


def _part(person: Account, message: Message, *, opened: bool) -> str:
    author = message.sender.get("name") or message.sender.get("address", "")
    to = ", ".join(named(recipient) for recipient in message.to)
    source = address_of(person, "message", str(message.serial), "body")
    return (
        f'<details class="part"{" open" if opened else ""}><summary>{face(author)}<span class="lines">'
        f'<span class="line"><b>{text(author)}</b>{_state(message)}{when(message.placed_at)}</span>'
        f'<span class="preview">to {text(to)}</span></span></summary>'
        f'<iframe class="body" src="{source}" title="The text of this message" sandbox loading="lazy"></iframe>'
        f"<details><summary>Details</summary><dl>{_facts(message)}</dl></details></details>"
    )


def _state(message: Message) -> str:
    if message.leaves_at:
        return '<span class="badge">on its way</span>'
    return '<span class="badge">draft</span>' if message.is_draft else ""


def _facts(message: Message) -> str:
    facts = {
        "From": named(message.sender),
        "To": ", ".join(named(recipient) for recipient in message.to),
        "Message-ID": message.internet_message_id,
        "In-Reply-To": message.in_reply_to,
        "Class": message.message_class,
        "Folder": FOLDERS.get(message.folder, message.folder),
        "Submitted": f"{len(message.submits)} time{'s' if len(message.submits) != 1 else ''}",
        **{entry["name"]: entry["value"] for entry in message.headers},
        **message.properties,
    }
    return "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts.items() if value)


@on("GET", "mail/{}/message/{}/body")
def body(ask: Ask) -> Response:
    message = ask.message(ask.found[1])
    content = message.body if message.body_type == "html" else f"<pre>{html.escape(message.body)}</pre>"
    # A plain face for mail that brings none, ahead of the mail's own styles.
    style = "<style>body{font:15px/1.5 system-ui,sans-serif;margin:12px;color:#242424;overflow-wrap:anywhere}</style>"
    policy = {"Content-Security-Policy": _FRAME_POLICY, "Cache-Control": "no-store"}
    return Response(200, (style + content).encode(), "text/html; charset=utf-8", policy)


# --- Answering ------------------------------------------------------------------------------------------------------
def _answer_form(person: Account, message: Message) -> str:
    who = message.to[0].get("name") or message.to[0]["address"] if message.to else "somebody"
    kinds = "".join(
        f'<label class="choice"><input type="radio" name="kind" value="{kind}"{" checked" if kind == "human" else ""}>'
        f"<span>{words}</span></label>"
        for kind, words in ANSWERS.items()
    )
    action = address_of(person, "answer")
    return (
        f'<section class="card answer"><h3>Answer as {text(who)}</h3><form method="post" action="{action}">'
        f"{paper.hidden({'serial': str(message.serial)})}<fieldset><legend>What comes back</legend>{kinds}</fieldset>"
        '<p class="field"><label for="text">Text <small>(optional)</small></label>'
        '<textarea id="text" name="text" rows="3"></textarea></p>'
        '<p class="field"><label for="folder">Arrives in</label><select id="folder" name="folder">'
        '<option value="inbox">Inbox</option><option value="junkemail">Junk Email</option></select></p>'
        '<label class="check"><input type="checkbox" name="strips" value="yes"> '
        "Written with a program that forgets the thread’s headers</label>"
        '<p class="actions"><button>Let it arrive</button></p></form></section>'
    )


@on("POST", "mail/{}/answer")
def answer(ask: Ask) -> Response:
    form = ask.request.form
    kind = form.get("kind", "human")
    status = "4.2.2" if kind == "bounce_soft" else "5.1.1"
    coming = incoming.Coming(
        original=ask.message(form["serial"]),
        text=form.get("text", "").strip(),
        folder="junkemail" if form.get("folder") == "junkemail" else "inbox",
        status=status,
        has_thread_headers=form.get("strips") != "yes",
    )
    come = incoming.KINDS["bounce" if kind == "bounce_soft" else kind](ask.mailbox, coming, time.time())
    return paper.redirect(address_of(ask.person, "message", str(come.serial)))


def _leaving_note(person: Account) -> str:
    return f'<div class="note"><p>It was accepted and leaves soon.</p>{_settle(person)}</div>'


def _settle(person: Account) -> str:
    return button(address_of(person, "settle"), "Let it leave now", "quiet")


@on("POST", "mail/{}/settle")
def settle(ask: Ask) -> Response:
    ask.post.settle_now(ask.person.id)
    return paper.redirect(address_of(ask.person, "sentitems"))


# --- The frame of a mailbox -----------------------------------------------------------------------------------------
def mailbox_frame(ask: Ask, chosen: str, content: str) -> str:
    """A person's head and folders beside some content. `chosen`: a folder, or setup."""
    person, mailbox = ask.person, ask.mailbox
    links = [_folder_link(person, mailbox, name, chosen) for name in FOLDERS]
    here = ' aria-current="page"' if chosen == "setup" else ""
    links.append(f'<a class="apart" href="{address_of(person, "setup")}"{here}>Settings and faults</a>')
    away = person.settings["automaticRepliesSetting"]["status"] != "disabled"
    signs = '<span class="badge">away</span>' if away else ""
    signs += '<span class="badge">faults</span>' if ask.world.faults.get(person.id) else ""
    return (
        f'<div class="head">{face(person.name)}<h1>{text(person.name)}<small>{text(person.address)}</small></h1>{signs}'
        f'</div><div class="mailbox"><nav class="folders" aria-label="Folders">{"".join(links)}</nav>'
        f'<div class="pane">{content}</div></div>'
    )


def _folder_link(person: Account, mailbox: Mailbox, name: str, chosen: str) -> str:
    inside: Iterable[Message] = mailbox.in_folder(name)
    number = sum(not message.is_read for message in inside) if name != "drafts" else len(list(inside))
    here = ' aria-current="page"' if name == chosen else ""
    count = f'<span class="badge new">{number}</span>' if number else ""
    return f'<a href="{address_of(person, name)}"{here}>{FOLDERS[name]}{count}</a>'


def _mail_sheet(ask: Ask, chosen: str, content: str) -> Response:
    crumbs = [("/", "Mailboxes"), (address_of(ask.person, "inbox"), ask.person.name)]
    return sheet(f"{ask.person.name}", mailbox_frame(ask, chosen, content), crumbs=crumbs)
