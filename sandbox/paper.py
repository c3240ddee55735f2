"""Pages: plain HTML with one stylesheet, no script."""

import html
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.wire import Response

_STYLES = Path(__file__).with_name("sandbox.css")
_SAFE = {
    # A form's redirect back to the app is held against form-action too.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; "
    "form-action 'self' http://localhost:* http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def text(value: object) -> str:
    """As text within HTML."""
    return html.escape(str(value))


def page(
    title: str, content: str, *, status: int = 200, kind: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """A whole page; `kind` is the class of its body. `content` is HTML."""
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(title)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/sandbox.css"></head>'
        f'<body class="{kind}">{content}</body></html>'
    )
    return Response(status, document.encode(), "text/html; charset=utf-8", _SAFE | dict(headers or {}))


def hidden(fields: Mapping[str, str]) -> str:
    return "".join(f'<input type="hidden" name="{text(name)}" value="{text(value)}">' for name, value in fields.items())


def options(choices: Iterable[tuple[str, str]], chosen: str = "") -> str:
    return "".join(
        f'<option value="{text(value)}"{" selected" if value == chosen else ""}>{text(label)}</option>'
        for value, label in choices
    )


def redirect(address: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(303, b"", "", {"Location": address, "Cache-Control": "no-store", **(headers or {})})


def stylesheet() -> Response:
    return Response(200, _STYLES.read_bytes(), "text/css; charset=utf-8", {"Cache-Control": "no-cache"})
