"""Templates that are filled in without Liquid: what comes out is what Liquid makes of them."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid.exceptions import LiquidError

from sequences.rendering import BODY, SUBJECT, EmailEnvironment
from sequences.slots import fill, parts_of

NAMES = st.sampled_from(["first_name", "company", "x", "now", "partial", "default", "a.b", "a['b']", "a[0]"])
WORDS = st.text(st.sampled_from("aZ ë&<>\"'\r\n\\|:,{}%-"), max_size=6)
DEFAULTS = st.sampled_from(
    [
        *("", '| default: "A & <b>B</b>"', "| default: ''", "| default: 'say \"hi\"'", '| default: "\\n\r"'),
        *("| default: company", "| default", '| default: "a", "b"', '| default: "a", allow_false: true'),
        *("| upcase", '| default: "a" | upcase', '| append: "b"', "| default: 1"),
    ]
)
TOKENS = st.builds(
    "{} {} {} {}".format, st.sampled_from(["{{", "{{-"]), NAMES, DEFAULTS, st.sampled_from(["}}", "-}}"])
)
OTHERS = st.sampled_from(['{{ "text" }}', "{{ 1 }}", "{% if x %}y{% endif %}", "{% comment %}z{% endcomment %}"])
TEMPLATES = st.lists(st.one_of(WORDS, TOKENS, TOKENS, OTHERS), max_size=6).map("".join)
VALUES = st.dictionaries(st.sampled_from(["first_name", "company", "x", "partial"]), WORDS.filter(bool))


def outcome(of: Callable[[], str]) -> str:
    """The text, or the error with its words."""
    try:
        return of()
    except LiquidError as error:
        return f"{type(error).__name__}: {error.message}"


@pytest.mark.parametrize("environment", [BODY, SUBJECT], ids=["body", "subject"])
@settings(max_examples=500, deadline=None)
@given(text=TEMPLATES, values=VALUES)
def test_is_filled_as_liquid_fills_it(environment: EmailEnvironment, text: str, values: dict[str, str]) -> None:
    try:
        template = environment.from_string(text)
    except LiquidError:
        return
    parts = parts_of(template)
    if parts is not None:
        assert outcome(lambda: fill(parts, values, environment)) == outcome(lambda: template.render(values))


@pytest.mark.parametrize(
    "text", ["", "Hello", "Hi {{ first_name }}", 'Hi {{- first_name | default: "there" -}} , {{ company }}']
)
def test_needs_no_liquid(text: str) -> None:
    assert parts_of(BODY.from_string(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        *("{{ now }}", "{{ partial }}", "{{ first_name | upcase }}", "{{ x | default: company }}"),
        *('{{ x | default: "a" | upcase }}', '{{ x | default: "a", allow_false: true }}'),
        *("{{ a.b }}", '{{ "text" }}', "{% if x %}y{% endif %}"),
    ],
)
def test_leaves_to_liquid_what_has_more_than_that(text: str) -> None:
    assert parts_of(BODY.from_string(text)) is None


@pytest.mark.parametrize("text", ["{{ x }}{{ missing }}", "{{ missing }}{{ x }}"])
@pytest.mark.parametrize("more", ["", "a"])
def test_ends_where_liquid_ends(text: str, more: str) -> None:
    """Liquid counts bytes, and stops at what comes first."""
    template = SUBJECT.from_string(text)
    parts = parts_of(template)
    values = {"x": "ë" * (SUBJECT.output_stream_limit // 2) + more}
    assert parts is not None

    for known in (values, values | {"missing": "-"}):
        assert outcome(partial(fill, parts, known, SUBJECT)) == outcome(partial(template.render, known))
