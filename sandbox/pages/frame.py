"""What the pages share: their addresses, their frame, and how they say times and people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from sandbox import paper
from sandbox.directory import Account
from sandbox.mailbox import Mailbox, Message, Recipient
from sandbox.paper import text
from sandbox.post import Post
from sandbox.routing import Routes
from sandbox.wire import Request, Response
from sandbox.world import World

_routes = Routes()


class Missing(Exception):
    """There is no such thing to show."""


@dataclass
class Ask:
    request: Request
    world: World
    post: Post
    found: list[str]

    @property
    def person(self) -> Account:
        person = self.world.account_at(self.found[0])
        if person is None:
            raise Missing
        return person

    @property
    def mailbox(self) -> Mailbox:
        mailbox = self.world.mailboxes.get(self.person.id)
        if mailbox is None:
            raise Missing
        return mailbox

    def message(self, serial: str) -> Message:
        for message in self.mailbox.messages.values():
            if str(message.serial) == serial:
                return message
        raise Missing


def on(method: str, path: str) -> Callable[[Callable[[Ask], Response]], Callable[[Ask], Response]]:
    return _routes.add(method, path)


def pages(world: World, post: Post, request: Request) -> Response | None:
    """The page at an address; None where there is none of ours."""
    found = _routes.find(request.method, request.segments or ["home"])
    if found is None:
        return None
    answer, values = found
    with world.lock:
        try:
            response: Response = answer(Ask(request, world, post, values))
        except (Missing, KeyError, ValueError):
            return sheet("Not found", "<h1>There is nothing here</h1>", status=404)
    return response


def sheet(title: str, content: str, *, crumbs: Sequence[tuple[str, str]] = (), status: int = 200) -> Response:
    """A page in the frame. `crumbs`: address and words of the pages above this one."""
    trail = "".join(f'<a href="{text(address)}">{text(words)}</a>' for address, words in crumbs)
    body = (
        '<a class="skip" href="#content">Skip to the content</a>'
        '<header class="top"><a class="name" href="/"><span class="mark" aria-hidden="true"></span>Sandbox 365</a>'
        '<span class="what">A stand-in Microsoft 365 tenant. Nothing leaves this machine.</span></header>'
        f'<nav class="crumbs" aria-label="Where you are">{trail}</nav>'
        f'<main id="content">{content}</main>'
    )
    return paper.page(f"{title} · Sandbox 365", body, kind="tool", status=status)


def address_of(person: Account, *rest: str) -> str:
    return "/".join(["/mail", quote(person.address, safe="@"), *rest])


def face(name: str) -> str:
    """Initials on a colour of their own."""
    initials = "".join(word[0] for word in name.split()[:2] if word[0].isalnum()).upper() or "?"
    return f'<span class="face tint-{sum(map(ord, name)) % 6}" aria-hidden="true">{text(initials)}</span>'


def when(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    is_today = moment.date() == datetime.now(UTC).date()
    words = f"{moment:%H:%M}" if is_today else f"{moment:%-d %b %Y}"
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}" title="{moment:%-d %B %Y, %H:%M:%S} UTC">{words}</time>'


def named(recipient: Recipient) -> str:
    name, address = recipient.get("name", ""), recipient.get("address", "")
    return f"{name} <{address}>" if name and name != address else address


def field(label: str, control: str, name: str) -> str:
    return f'<p class="field"><label for="{name}">{text(label)}</label>{control}</p>'


def button(action: str, words: str, kind: str = "", **fields: str) -> str:
    """A form of one button."""
    return (
        f'<form method="post" action="{text(action)}">{paper.hidden(fields)}'
        f'<button class="{kind}">{text(words)}</button></form>'
    )
