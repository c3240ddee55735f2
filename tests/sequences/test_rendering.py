"""An email's text: …"""

import pytest

from accounts.models import User
from mailconnect.models import MailConnection
from sequences import rendering
from sequences.cleaning import clean_body, to_text
from sequences.models import Candidate
from sequences.rendering import MissingValue, TemplateBroken, check_template, render

VALUES = {"first_name": "Zoë", "company": "Ash & <b>Oak</b>", "role_title": ""}


def body(text: str, **values: str) -> str:
    return render("", text, values or VALUES).html


def subject(text: str, **values: str) -> str:
    return render(text, "", values or VALUES).subject


def test_fills_tokens_and_escapes_values_in_the_body_alone() -> None:
    rendered = render("{{ first_name }} at {{ company }}", "<p>{{ first_name }} at {{ company }}</p>", VALUES)

    assert rendered.subject == "Zoë at Ash & <b>Oak</b>"
    assert rendered.html == "<p>Zoë at Ash &amp; &lt;b&gt;Oak&lt;/b&gt;</p>"


@pytest.mark.parametrize(
    "text", ["{{ role_title }}", "{{ nothing }}", "{{ role_title | upcase }}", "{{ nothing.more }}"]
)
def test_names_the_token_that_has_no_value(text: str) -> None:
    with pytest.raises(MissingValue, match="Fill it in for this candidate") as missing:
        body(text)

    assert missing.value.token in ("role_title", "nothing")


def test_falls_back_on_the_default_for_missing_and_empty_values() -> None:
    assert body('Hi {{ nothing | default: "there" }}, {{ role_title | default: "colleague" }}') == "Hi there, colleague"


@pytest.mark.parametrize(
    "condition",
    [
        "{% if role_title %}",
        '{% if role_title != "" %}',
        "{% if role_title != blank %}",
        "{% if '' != role_title and first_name %}",
        "{% if nothing %}",
    ],
)
def test_takes_an_empty_value_as_false(condition: str) -> None:
    assert body(condition + "yes{% else %}no{% endif %}") == "no"
    assert body("{% unless role_title %}no{% endunless %}") == "no"
    assert body(condition + "yes{% endif %}", role_title="Engineer", nothing="x", first_name="Zoë") == "yes"


def test_compares_with_words_as_they_are_written() -> None:
    assert body("{% if company == 'blank' %}yes{% endif %}", company="blank") == "yes"
    assert body('{% case company %}{% when "" %}none{% else %}some{% endcase %}', x="y") == "none"


def test_keeps_a_subject_on_one_line() -> None:
    injected = subject("Hi {{ first_name }}\r\n again", first_name="Eve\r\nBcc: all@example.com\u2028\0x")

    assert injected == "Hi Eve Bcc: all@example.com x again"


def test_shortens_a_long_subject() -> None:
    assert subject("{{ first_name }}", first_name="x" * 300) == "x" * 254 + "…"


@pytest.mark.parametrize(
    "value",
    ["javascript:alert(1)", " JavaScript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", '" onclick="x'],
)
def test_never_makes_a_script_of_a_token_that_is_a_link(value: str) -> None:
    for text in ('<a href="{{ site }}">Look</a>', '<a href="{% if site %}{{ site }}{% endif %}">Look</a>'):
        html = body(clean_body(text), site=value)

        assert "script:" not in html.lower()
        assert "data:" not in html
        assert 'onclick="' not in html


def test_does_not_let_two_halves_make_a_script() -> None:
    assert "script" not in body(clean_body('<a href="java{{ site }}">Look</a>'), site="script:alert(1)")


def test_keeps_tokens_inside_links() -> None:
    text = '<a href="https://example.com/{{ company }}">Look</a>'

    assert clean_body(text) == text
    assert body(text, company="oak") == '<a href="https://example.com/oak">Look</a>'


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("<p>Hi</p><script>alert(1)</script>", "<p>Hi</p>"),
        ('<p onclick="x()">Hi</p>', "<p>Hi</p>"),
        ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
        ('<iframe src="https://example.com"></iframe><p>Hi</p>', "<p>Hi</p>"),
        ('<p style="color: red; position: fixed">Hi</p>', '<p style="color:red">Hi</p>'),
        ("<p>Hi {{&nbsp;first_name | default: “there” }}</p>", '<p>Hi {{ first_name | default: "there" }}</p>'),
    ],
)
def test_is_cleaned_when_saved(text: str, cleaned: str) -> None:
    assert clean_body(text) == cleaned
    assert clean_body(cleaned) == cleaned


def test_becomes_paragraphs_when_it_is_plain() -> None:
    plain = 'Hi {{ first_name | default: "R&D" }},\r\n\r\nA & B: 1 < 2\nBye'

    stored = clean_body(plain)

    assert body(stored, x="y") == "<p>Hi R&amp;D,</p>\n<p>A &amp; B: 1 &lt; 2<br>\nBye</p>"


def test_ends_with_the_signature_of_the_mailbox() -> None:
    mailbox = MailConnection(signature_on=True, signature_html="<p>Alice {{ x }}</p><script>x</script>")

    assert render("", "<p>Hi</p>", {}, rendering.signature_of(mailbox)).html == (
        "<p>Hi</p><br>\n<div><p>Alice {{ x }}</p></div>"
    )
    mailbox.signature_on = False
    assert render("", "<p>Hi</p>", {}, rendering.signature_of(mailbox)).html == "<p>Hi</p>"


def test_knows_the_candidate_and_the_sender() -> None:
    candidate = Candidate(email="zoe@oak.example", first_name="Zoë", fields={"city": "Bonn", "email": "other"})

    values = rendering.candidate_values(candidate, User(name="Alice Archer"))

    assert subject("{{ full_name }}, {{ email }}, {{ city }}, {{ sender_first_name }}", **values) == (
        "Zoë, zoe@oak.example, Bonn, Alice"
    )
    assert set(rendering.TOKENS) <= set(values)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Hi\n{{ first_name", "Line 2: this {{ is never closed with }}. Write a token like {{ first_name |"),
        ("Hi\n{{ first_name {{ company }}", "Line 2: this {{ is never closed with }}."),
        ("{{ first name }}", "Line 1: this token cannot be read"),
        ("{{ company }}\n\n{{ }}", "Line 3: this token cannot be read"),
        ("{% if first_name %}Hi", "At the end: {% endif %} is missing."),
        ("{% if first_name == %}Hi{% endif %}", "In a tag: this token cannot be read"),
        ("{% raw %}{{ first_name }}{% endraw %}", "Line 1: {% raw %} cannot be used in an email."),
        ("{{ first_nam }}", "Line 1: there is no token {{ first_nam }}. Did you mean {{ first_name }}?"),
        ("{{ First-Name }}", "Line 1: there is no token {{ First-Name }}. Did you mean {{ first_name }}?"),
        ("x\n\n{{ salary }}", "Line 3: there is no token {{ salary }}. There are first_name, last_name,"),
        ("{{ first_name.size }}", "Line 1: there is no token {{ first_name.size }}."),
        ("{{ first_name | shout }}", "Line 1: there is no filter “shout”. There are default, capitalize,"),
        ("{% for i in (1..999999999) %}x{% endfor %}", "Line 1: {% for %} cannot be used in an email. Only if, unless"),
        ("{% include 'settings' %}", "Line 1: {% include %} cannot be used in an email."),
        ("x" * 1_000_000, "The text is too long: 1,000,000 characters, at most 100,000 are allowed. Shorten it."),
    ],
)
def test_is_complained_about_while_editing(text: str, complaint: str) -> None:
    (sentence,) = check_template(text)

    assert sentence.startswith(complaint)


# Each of them would keep the lexer, or a regular expression, busy for minutes or hours.
HOSTILE = {
    "opened": "{{" * 50_000,
    "tags opened": "{%" * 50_000,
    "opened with text": "{{ x " * 20_000,
    "raw": "{% raw %}" * 11_000,
    "doc": "{%- doc %}" * 10_000,
    "blanks": "{{" + " " * 99_996 + "}}",
    "blanks in a tag": "{% if" + " " * 99_990 + "%}",
    "many": "{{ first_name }}" * 6_000,
    "many ifs": "{% if first_name %}" * 5_000,
    "never closed": "{{ " + "x" * 99_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_is_refused_before_the_lexer_sees_it_when_hostile(text: str) -> None:
    (sentence,) = check_template(text)

    assert sentence.endswith((".", "}}."))
    with pytest.raises(TemplateBroken):
        render("", text, VALUES)
    with pytest.raises(TemplateBroken):
        render(text, "", VALUES)
    assert clean_body(text)


def test_has_room_for_a_long_letter() -> None:
    text = 'Hi {{ first_name | default: "there" }}, {% if company %}at {{ company }}{% endif %}' * 50

    assert check_template(text) == []


def test_is_accepted_with_known_tokens() -> None:
    text = "{{ first_name }} {% if city %}in {{ city | upcase }}{% endif %} {{ company | default: 'your company' }}"

    assert check_template(text, [*rendering.TOKENS, "city"]) == []
    assert check_template("No tokens, 100 % { fine }") == []


@pytest.mark.parametrize("text", ["{{ first_name", "{{ first_name | shout }}", "{{ a | append: a }}" * 4000, "{% x %}"])
def test_says_when_a_stored_text_is_broken(text: str) -> None:
    with pytest.raises(TemplateBroken, match="Open the step"):
        body(text, a="x" * 100, first_name="Zoë")


def test_shows_link_addresses_as_text() -> None:
    text = to_text('<p>Hi <b>Zoë</b>,</p><p><a href="https://example.com/x">Look</a></p>')

    assert text == "Hi Zoë,\n\n[Look](https://example.com/x)"
    assert to_text("") == ""
