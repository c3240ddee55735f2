"""A small browser without JavaScript: it presses what is written on a page, as a person would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urljoin

import requests

NOT_SENT = ("submit", "button", "reset")


class NotOnThePage(Exception):
    """A page does not offer what the path needs."""


@dataclass
class Button:
    words: str
    sends: list[tuple[str, str]]
    action: str


@dataclass
class Form:
    """A form and what it would send as it stands."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)
    file_field: str = ""


class Page(HTMLParser):
    """A page as a person sees it: its text, its links and its forms."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.source = html
        self.text = ""
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._options: list[tuple[str, bool]] = []
        self._words = ""
        self._pressed: dict[str, str] = {}
        self.feed(html)

    def link(self, words: str) -> str:
        found = [address for label, address in self.links.items() if words.lower() in label.lower()]
        if not found:
            raise NotOnThePage(f"No link “{words}” on {self.address}, but {list(self.links)}")
        return found[0]

    def button(self, words: str) -> tuple[Form, Button]:
        for form in self.forms:
            for button in form.buttons:
                if words.lower() in button.words.lower():
                    return form, button
        offered = [button.words for form in self.forms for button in form.buttons]
        raise NotOnThePage(f"No button “{words}” on {self.address}, but {offered}")

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._form = Form(
                urljoin(self.address, has.get("action") or self.address), has.get("method", "get").upper()
            )
            self.forms.append(self._form)
        elif tag in ("a", "button", "textarea"):
            self._words, self._pressed = "", has
        elif tag == "select":
            self._select, self._options = has.get("name", ""), []
        elif tag == "option":
            self._options.append((has.get("value", ""), "selected" in has))
        elif tag == "input":
            self._field(has)

    def _field(self, has: dict[str, str]) -> None:
        kind = has.get("type", "text")
        if self._form is None or not has.get("name") or kind in NOT_SENT:
            return
        if kind == "file":
            self._form.file_field = has["name"]
        elif kind not in ("checkbox", "radio") or "checked" in has:
            self._form.fields.append((has["name"], has.get("value", "on" if kind == "checkbox" else "")))

    def handle_data(self, data: str) -> None:
        self.text += data
        self._words += data

    def handle_endtag(self, tag: str) -> None:
        words = " ".join(self._words.split())
        if tag == "a":
            self.links.setdefault(words, urljoin(self.address, self._pressed.get("href", "")))
        elif tag == "button" and self._form:
            sends = [(self._pressed["name"], self._pressed.get("value", ""))] if self._pressed.get("name") else []
            action = self._pressed.get("formaction", "")
            self._form.buttons.append(Button(words, sends, urljoin(self.address, action) if action else ""))
        elif tag == "select" and self._form and self._options:
            chosen = [value for value, selected in self._options if selected]
            self._form.fields.append((self._select, (chosen or [self._options[0][0]])[0]))
        elif tag == "textarea" and self._form:
            self._form.fields.append((self._pressed.get("name", ""), self._words.removeprefix("\n")))
        elif tag == "form":
            self._form = None


class Browser:
    """Follows links and presses buttons by what is written on them."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self.page = Page("", "")

    def open(self, address: str) -> Page:
        return self._took(self._session.get(address, timeout=30))

    def follow(self, words: str) -> Page:
        return self.open(self.page.link(words))

    def press(self, words: str, file: Path | None = None, **filled: str) -> Page:
        """Press the first button with these words; `filled` is what the person has typed before."""
        form, button = self.page.button(words)
        sent = (
            [(name, value) for name, value in form.fields if name not in filled] + button.sends + list(filled.items())
        )
        action = button.action or form.action
        if form.method == "GET":
            return self.open(f"{action.partition('?')[0]}?{urlencode(sent)}")
        files = {form.file_field: (file.name, file.read_bytes(), "text/csv")} if file else None
        headers = {"Referer": self.page.address}
        return self._took(self._session.post(action, data=sent, files=files, headers=headers, timeout=60))

    def _took(self, answer: requests.Response) -> Page:
        self.page = Page(answer.url, answer.text)
        if not answer.ok:
            raise NotOnThePage(f"{answer.url} answered {answer.status_code}: {' '.join(self.page.text.split())}")
        return self.page

    def close(self) -> None:
        self._session.close()
