"""A small browser without JavaScript: it presses what is written on a page, as a person would."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urljoin

import requests


class NotOnThePage(Exception):
    """A page did not offer what the path needs."""


class Page(HTMLParser):
    """A page as a person sees it: its text, its links, and its forms with what they would send."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.text = ""
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self._link = ""
        self._words = ""
        self._form: Form | None = None
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._form = Form(urljoin(self.address, has.get("action") or self.address), has.get("method", "get"))
            self.forms.append(self._form)
        elif self._form and tag in ("input", "textarea", "select", "option", "button"):
            self._field(tag, has)
        if tag == "a":
            self._link = urljoin(self.address, has.get("href", ""))
        if tag in ("a", "button"):
            self._words = ""

    def _field(self, tag: str, has: dict[str, str]) -> None:
        form = self._form
        assert form is not None
        if tag == "select":
            self._select = has.get("name", "")
            form.fields.setdefault(self._select, "")
        elif tag == "option" and self._select and "selected" in has:
            form.fields[self._select] = has.get("value", "")
        elif tag == "button":
            form.buttons.append(has)
        elif has.get("name") and has.get("type") == "file":
            form.file_field = has["name"]
        elif has.get("name") and (has.get("type") not in ("checkbox", "radio", "submit") or "checked" in has):
            form.fields[has["name"]] = has.get("value", "on")

    def handle_data(self, data: str) -> None:
        self.text += data
        self._words += data

    def handle_endtag(self, tag: str) -> None:
        words = " ".join(self._words.split())
        if tag == "a" and words:
            self.links.setdefault(words, self._link)
        elif tag == "button" and self._form:
            self._form.labels.append(words)
        elif tag == "select":
            self._select = ""
        elif tag == "form":
            self._form = None

    def link(self, words: str) -> str:
        found = [address for label, address in self.links.items() if words.lower() in label.lower()]
        if not found:
            raise NotOnThePage(f"No link “{words}” on {self.address}, but {list(self.links)}")
        return found[0]

    def form(self, button: str) -> tuple["Form", dict[str, str]]:
        """The form with this button, and what pressing it sends."""
        for form in self.forms:
            for label, has in zip(form.labels, form.buttons, strict=True):
                if button.lower() in label.lower():
                    return form, form.fields | ({has["name"]: has.get("value", "")} if has.get("name") else {})
        raise NotOnThePage(f"No button “{button}” on {self.address}, but {[form.labels for form in self.forms]}")


class Form:
    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method.upper()
        self.fields: dict[str, str] = {}
        self.buttons: list[dict[str, str]] = []
        self.labels: list[str] = []
        self.file_field = ""


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

    def press(self, button: str, file: Path | None = None, **fields: str) -> Page:
        form, sent = self.page.form(button)
        sent |= fields
        if form.method == "GET":
            return self.open(f"{form.action.partition('?')[0]}?{urlencode(sent)}")
        files = {form.file_field: (file.name, file.read_bytes(), "text/csv")} if file else None
        headers = {"Referer": self.page.address}
        return self._took(self._session.post(form.action, data=sent, files=files, headers=headers, timeout=60))

    def _took(self, answer: requests.Response) -> Page:
        if answer.status_code >= 400:
            raise NotOnThePage(f"{answer.url} answered {answer.status_code}")
        self.page = Page(answer.url, answer.text)
        return self.page

    def close(self) -> None:
        self._session.close()
