"""How an email's text reads where there is room for a line."""

from django import template

from sequences.cleaning import to_text

register = template.Library()


@register.filter
def as_line(body: str) -> str:
    """HTML as one line of text; words of neighbouring paragraphs stay apart."""
    return " ".join(to_text(body).split())
