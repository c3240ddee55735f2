"""A tiny browser that walks through the sandbox's sign-in pages as a person would, by what is written on them."""

from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from django.conf import settings
from django.test import Client
from django.urls import reverse


class _Page(HTMLParser):
    """What can be pressed on a page: links and buttons by their text, each with where it leads and what it sends."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.html = html
        self.pressable: dict[str, tuple[str, str, dict[str, str]]] = {}
        self._form: tuple[str, str, dict[str, str]] | None = None
        self._target: tuple[str, str, dict[str, str]] | None = None
        self._text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag == "form":
            action = urljoin(self.address, has.get("action") or self.address)
            self._form = (has.get("method", "get").upper(), action, {})
        elif tag == "input" and self._form and has.get("name"):
            self._form[2][has["name"]] = has.get("value", "")
        elif tag == "a" and "href" in has:
            self._target, self._text = ("GET", urljoin(self.address, has["href"]), {}), ""
        elif tag == "button" and self._form:
            method, action, fields = self._form
            sent = fields | ({has["name"]: has.get("value", "")} if has.get("name") else {})
            self._target, self._text = (method, action, sent), ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "button") and self._target:
            self.pressable[" ".join(self._text.split())] = self._target
            self._target = None
        elif tag == "form":
            self._form = None


class Browser:
    """At Microsoft's pages, until they send the person back to us."""

    def __init__(self, site: str = "") -> None:
        self._site = site or settings.SITE_URL
        self._session = requests.Session()
        self.page = _Page("", "")
        self.came_back = ""  # the address at our site

    def open(self, address: str) -> "Browser":
        return self._go("GET", address, {})

    def press(self, *texts: str, **fields: str) -> "Browser":
        """Press one link or button after another: each the first whose text contains the given one."""
        for text in texts:
            found = [target for label, target in self.page.pressable.items() if text.lower() in label.lower()]
            assert found, f"No {text!r} among {list(self.page.pressable)} at {self.page.address}"
            method, address, sent = found[0]
            self._go(method, address, sent | fields)
        return self

    def _go(self, method: str, address: str, sent: dict[str, str]) -> "Browser":
        if method == "GET" and sent:
            address = f"{address.partition('?')[0]}?{urlencode(sent)}"
        while True:
            if address.startswith(self._site):
                self.came_back = address
                return self
            answer = self._session.request(
                method, address, data=sent if method == "POST" else None, allow_redirects=False, timeout=30
            )
            if not answer.is_redirect:
                self.page = _Page(address, answer.text)
                return self
            method, address = "GET", urljoin(address, answer.headers["Location"])

    def close(self) -> None:
        self._session.close()


def begin(client: Client, *, in_popup: bool = False) -> str:
    """Press Connect Email. Returns the address at Microsoft."""
    sent = {"popup": "yes"} if in_popup else {}
    return str(client.post(reverse("mailconnect:connect"), sent)["Location"])


def path_of(address: str) -> str:
    """An address at our site as the test client takes it."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"
