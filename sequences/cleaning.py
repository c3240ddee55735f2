"""HTML of emails: what may be stored, what may leave, and how it reads as text."""

import html
import re

import nh3
from inscriptis import get_text
from inscriptis.model.config import ParserConfig

TABLE_CELL = {"align", "colspan", "rowspan", "style", "valign", "width"}
CLEANER = nh3.Cleaner(
    # nh3's own list has what mail programs write, and no form, frame, script or style element.
    tags=nh3.ALLOWED_TAGS | {"u", "font"},
    attributes={
        "*": {"dir", "lang", "style"},
        "a": {"href", "title"},
        "font": {"color", "face", "size"},
        "img": {"alt", "height", "src", "width"},
        "table": {"border", "cellpadding", "cellspacing", "width"},
        "td": TABLE_CELL,
        "th": TABLE_CELL,
    },
    filter_style_properties={
        *("color", "background-color", "font-family", "font-size", "font-style", "font-weight", "line-height"),
        *("text-align", "text-decoration", "margin", "margin-top", "margin-bottom", "margin-left", "padding"),
        *("border", "border-left", "border-collapse", "width"),
    },
    url_schemes={"http", "https", "mailto", "tel"},
    link_rel=None,
)
# On our own pages: without styles, which the Content-Security-Policy blocks, and without pictures from elsewhere,
# which would tell their sender who looks. Headings give way, so that they do not become headings of the page.
PAGE_CLEANER = nh3.Cleaner(
    tags=(nh3.ALLOWED_TAGS | {"u"}) - {"img", "h1", "h2", "h3", "h4", "h5", "h6", "map", "area", "center"},
    attributes={
        "*": {"dir", "lang"},
        "a": {"href", "title"},
        "td": {"colspan", "rowspan"},
        "th": {"colspan", "rowspan"},
    },
    url_schemes={"http", "https", "mailto", "tel"},
    link_rel="noopener noreferrer nofollow",
)
TOKEN = re.compile(r"\{\{[^{}]*\}\}|\{%[^{}]*%\}")
HTML_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# What editors and phones make of the blanks and quotes that a token is written with.
TYPOGRAPHY = {"&nbsp;": " ", "\u00a0": " ", "\u200b": "", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'"}


def clean(text: str) -> str:
    return CLEANER.clean(text)


def for_page(text: str) -> str:
    """An email's HTML as one of our pages may show it."""
    return PAGE_CLEANER.clean(text)


def clean_body(text: str) -> str:
    """What may be stored as a body: without scripts and foreign styles, tokens intact; plain text in paragraphs."""
    text = TOKEN.sub(_plain_typography, text)
    return clean(text if HTML_TAG.search(TOKEN.sub("", text)) else _paragraphs(text))


def clean_subject(text: str) -> str:
    return " ".join(TOKEN.sub(_plain_typography, text).split())


def to_text(body: str) -> str:
    """The body for a text preview; links as [text](address)."""
    return str(get_text(body, ParserConfig(display_links=True))).strip() if body.strip() else ""


def _plain_typography(token: re.Match[str]) -> str:
    text = token.group()
    for fancy, plain in TYPOGRAPHY.items():
        text = text.replace(fancy, plain)
    return text


def _paragraphs(text: str) -> str:
    lines = (line.strip() for line in html.escape(text.strip(), quote=False).splitlines())
    paragraphs = re.split(r"\n{2,}", "\n".join(lines))
    return "\n".join("<p>" + paragraph.replace("\n", "<br>\n") + "</p>" for paragraph in paragraphs if paragraph)
