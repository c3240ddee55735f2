"""The signature under a mailbox's emails: cleaned, and found in sent mail, since Graph has no signature API."""

from collections.abc import Iterable
from html.parser import HTMLParser

import nh3

from mailconnect import reading

LONGEST = 10_000
LOOK_AT = 10
# Outlook on the web and its mobile apps mark the block; in a quoted mail the id is prefixed, so that it is not ours.
_MARKS = {"signature", "ms-outlook-mobile-signature"}
_QUOTE_BEGINS = {"appendonsend", "divrplyfwdmsg"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_TEXT = {"a", "b", "br", "div", "em", "i", "img", "li", "ol", "p", "s", "span", "strong", "u", "ul"}
_TABLE = {"table", "tbody", "td", "tr"}
_STYLES = {"color", "font-family", "font-size", "font-style", "font-weight", "line-height", "text-decoration"}


def clean(html: str) -> str:
    """HTML that is safe to show and to send; empty where it shows nothing."""
    cleaned = nh3.clean(
        html,
        tags=_TEXT | _TABLE,
        attributes={"*": {"style"}, "a": {"href"}, "img": {"src", "alt", "width", "height"}},
        url_schemes={"https", "http", "mailto", "tel"},
        filter_style_properties=_STYLES,
        link_rel=None,
    ).strip()
    shows = nh3.clean(cleaned, tags={"img"}).replace("&nbsp;", "").strip()
    return cleaned if shows else ""


def from_sent_mail(connection_id: int) -> str:
    """The signature of the newest sent mail that has one, cleaned; empty if none has.

    Raises what `tokens.access_token()` and the Graph client raise; not in a transaction.
    """
    bodies = reading.ask(connection_id, lambda graph: graph.recent_sent_bodies(LOOK_AT))
    return first_signature(bodies)


def first_signature(bodies: Iterable[str]) -> str:
    for body in bodies:
        found = clean(_marked_block(body))
        if found and len(found) <= LONGEST:
            return found
    return ""


def _marked_block(body: str) -> str:
    finder = _Finder()
    finder.feed(body)
    return "".join(finder.found)


class _Finder(HTMLParser):
    """Collects the source of the first element whose id is a mark, up to its end tag."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._depth = 0
        self._over = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        identity = (dict(attributes).get("id") or "").lower()
        self._over |= identity in _QUOTE_BEGINS
        if self._over:
            return
        if self._depth or identity in _MARKS:
            self.found.append(self.get_starttag_text() or "")
            self._depth += tag not in _VOID

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._keep(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if not self._depth or tag in _VOID:
            return
        self._keep(f"</{tag}>")
        self._depth -= 1
        self._over |= self._depth == 0

    def handle_data(self, data: str) -> None:
        self._keep(data)

    def handle_entityref(self, name: str) -> None:
        self._keep(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._keep(f"&#{name};")

    def _keep(self, source: str) -> None:
        if self._depth and not self._over:
            self.found.append(source)
