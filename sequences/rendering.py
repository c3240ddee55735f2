"""Tokens become text: the subject and the HTML body of one email, the same for the preview and for the mail itself.

Four walls against hostile text: a look at its shape before the lexer sees it; a Liquid without loops, assignments and
includes; values escaped in the body; and nh3 over what comes out, so that a token which is a whole link cannot become
`javascript:`.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from liquid import BoundTemplate, Environment
from liquid.builtin import content, illegal, output
from liquid.builtin.filters import misc, string
from liquid.builtin.tags import case_tag, comment_tag, if_tag, unless_tag
from liquid.exceptions import LiquidError, UndefinedError
from liquid.token import Token
from liquid.undefined import FalsyStrictUndefined

from accounts.models import User
from mailconnect.models import MailConnection
from sequences import slots
from sequences.cleaning import clean

SUBJECT_MAX = 255
TEXT_MAX = 100_000  # characters of a template, as in Step.body
OUTPUT_MAX = 200_000  # bytes of a rendered email
# python-liquid's lexer looks for the end of every token to the end of the text, and takes a blank inside of one in
# every possible way: 100,000 characters of "{{" keep it busy for nine minutes. So tokens are few, short and closed.
TOKENS_MOST = 200
TOKEN_LONGEST = 200
OPENING = re.compile(r"\{\{|\{%")
CLOSING: Final = {"{{": "}}", "{%": "%}"}
# The lexer's own tags, which no environment can take away.
LEXER_TAGS = re.compile(r"-?\s{0,9}(raw|doc)\b")
TAG = re.compile(r"\{%[^{}]*%\}")
NOTHING = re.compile(r"\"[^\"]*\"|'[^']*'|\b(?:blank|empty)\b")
TOKENS: Final = {
    "first_name": "First name",
    "last_name": "Last name",
    "full_name": "Full name",
    "email": "E-mail address",
    "company": "Company",
    "role_title": "Role",
    "sender_first_name": "Sender’s first name",
    "sender_name": "Sender’s full name",
}
EXAMPLE = '{{ first_name | default: "there" }}'


class MissingValue(Exception):
    """A token has no value for this candidate, and no default."""

    reason = "missing_value"

    def __init__(self, token: str) -> None:
        super().__init__(f"No value for {{{{ {token} }}}}. Fill it in for this candidate, or give the token a default.")
        self.token = token


class TemplateBroken(Exception):
    """The text of a step cannot be rendered: it was stored unchecked, or grows beyond its limit."""

    reason = "template_broken"

    def __init__(self) -> None:
        super().__init__("The text of this step cannot be read. Open the step, and correct what the editor marks.")


@dataclass(frozen=True)
class Rendered:
    subject: str
    html: str


class Missing(FalsyStrictUndefined):
    """False in a condition, replaced by a default, and an error that names the token anywhere else."""

    force_liquid_default = True

    def __init__(self, name: str, *, token: Token | None, **hints: Any) -> None:
        super().__init__(name, token=token, **hints)
        self.msg = name


class EmailEnvironment(Environment):
    """Liquid with what an email needs. No loops, so that none can be endless; no filter that multiplies text."""

    output_stream_limit = OUTPUT_MAX
    block_nesting_limit = 10
    TAGS = (content.Literal, output.Output, illegal.Illegal, comment_tag.CommentTag)
    CONDITIONS = (if_tag.IfTag, unless_tag.UnlessTag, case_tag.CaseTag)
    FILTERS: Final = {
        "default": misc.default,
        "capitalize": string.capitalize,
        "upcase": string.upcase,
        "downcase": string.downcase,
        "strip": string.strip,
        "escape": string.escape,
        "truncate": string.truncate,
        "append": string.append,
        "prepend": string.prepend,
    }

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in (*self.TAGS, *self.CONDITIONS):
            self.add_tag(tag)
        for name, function in self.FILTERS.items():
            self.add_filter(name, function)


BODY = EmailEnvironment(undefined=Missing, autoescape=True)
SUBJECT = EmailEnvironment(undefined=Missing)


class Person(Protocol):
    """A candidate, or what was read of one."""

    email: str
    first_name: str
    last_name: str
    company: str
    role_title: str
    fields: dict[str, Any]


def candidate_values(candidate: Person, sender: User) -> dict[str, str]:
    """What the tokens stand for; `sender` is the mailbox's owner, as whom the email goes out."""
    own = {
        "first_name": candidate.first_name,
        "last_name": candidate.last_name,
        "full_name": f"{candidate.first_name} {candidate.last_name}".strip(),
        "email": candidate.email,
        "company": candidate.company,
        "role_title": candidate.role_title,
        "sender_first_name": sender.first_name,
        "sender_name": sender.name,
    }
    return {name: str(value) for name, value in candidate.fields.items()} | own


def signature_of(connection: MailConnection) -> str:
    return connection.signature_html if connection.signature_on else ""


def render(step_subject: str, step_body: str, values: Mapping[str, str], signature: str = "") -> Rendered:
    """Subject (one line of text) and body (clean HTML). Raises `MissingValue` and `TemplateBroken`."""
    # An empty value is no value: conditions and defaults then do what their author means.
    filled = {name: value for name, value in values.items() if value}
    body = _render(BODY, step_body, filled)
    if signature:
        body += f"<br>\n<div>{signature}</div>"
    return Rendered(one_line(_render(SUBJECT, step_subject, filled)), clean(body))


def used_tokens(text: str) -> set[str]:
    """The tokens that a text names. One that cannot be read names none."""
    try:
        analysis = _parsed(BODY, text).analyze()
    except (LiquidError, RecursionError):
        return set()
    return {str(variable) for variables in analysis.globals.values() for variable in variables}


def is_token(name: str) -> bool:
    """Whether it can stand for a value: Liquid has words of its own, such as `limit`."""
    try:
        return _parts(BODY, f"{{{{ {name} }}}}") == (slots.Slot(name, None),)
    except LiquidError:
        return False


def missing_token(step_subject: str, step_body: str, values: Mapping[str, str]) -> str:
    """The first token that would keep this email back; empty if all is there. Cheaper than `render`."""
    filled = {name: value for name, value in values.items() if value}
    try:
        _render(SUBJECT, step_subject, filled)
        _render(BODY, step_body, filled)
    except MissingValue as missing:
        return missing.token
    except TemplateBroken:
        return ""  # not for want of a value
    return ""


def one_line(subject: str) -> str:
    subject = " ".join("".join(c if c.isprintable() else " " for c in subject).split())
    return subject if len(subject) <= SUBJECT_MAX else subject[: SUBJECT_MAX - 1] + "…"


def _render(environment: EmailEnvironment, text: str, values: Mapping[str, str]) -> str:
    try:
        parts = _parts(environment, text)
        return _parsed(environment, text).render(values) if parts is None else slots.fill(parts, values, environment)
    except UndefinedError as error:
        raise MissingValue(str(error.message)) from error
    except (LiquidError, RecursionError) as error:
        raise TemplateBroken from error


@lru_cache(maxsize=512)
def _parts(environment: EmailEnvironment, text: str) -> slots.Parts | None:
    return slots.parts_of(_parsed(environment, text))


@lru_cache(maxsize=512)
def _parsed(environment: EmailEnvironment, text: str) -> BoundTemplate:
    """Raises `LiquidError` and `RecursionError`."""
    if complaint := _shape_complaint(text):
        raise LiquidError(complaint, token=None)
    return environment.from_string(TAG.sub(_compare_with_nil, text))


def _compare_with_nil(tag: re.Match[str]) -> str:
    """An empty value is given to Liquid as no value, so `!= ""`, `!= blank` and `!= empty` must ask for no value."""
    return NOTHING.sub(lambda word: "nil" if word.group() in ('""', "''", "blank", "empty") else word.group(), tag[0])


def check_template(text: str, known: Collection[str] = tuple(TOKENS)) -> list[str]:
    """What is wrong with a subject or a body, as sentences for its author. `known`: the tokens that may be used."""
    if complaint := _shape_complaint(text):
        return [complaint]
    try:
        template = _parsed(BODY, text)
    except LiquidError as error:
        return [_syntax_complaint(error, text)]
    except RecursionError:
        return [f"A token is nested too deeply to be read. Write it like {EXAMPLE}."]
    return list(_unknown_names(template, text, known))


def _shape_complaint(text: str) -> str:
    """What must be said before a lexer may look at it, in one pass. Empty: nothing."""
    if len(text) > TEXT_MAX:
        return f"The text is too long: {len(text):,} characters, at most {TEXT_MAX:,} are allowed. Shorten it."
    opened = OPENING.search(text)
    count = 0
    while opened:
        count += 1
        if count > TOKENS_MOST:
            return f"There are too many tokens: at most {TOKENS_MOST} are allowed. Use fewer."
        end = text.find(CLOSING[opened[0]], opened.end(), opened.end() + TOKEN_LONGEST)
        following = OPENING.search(text, opened.end())
        if end < 0 or (following and following.start() < end):
            return f"Line {_line(text, opened.start())}: {_unclosed(opened[0], text, opened.end())}"
        if opened[0] == "{%" and (tag := LEXER_TAGS.match(text, opened.end())):
            return f"Line {_line(text, opened.start())}: {_no_such_tag(tag[1])}"
        opened = following
    return ""


def _unclosed(opening: str, text: str, start: int) -> str:
    if text.find(CLOSING[opening], start) < 0 or OPENING.search(text, start, start + TOKEN_LONGEST):
        return f"this {opening} is never closed with {CLOSING[opening]}. Write a token like {EXAMPLE}."
    return f"this token is too long: at most {TOKEN_LONGEST} characters are allowed."


def _syntax_complaint(error: LiquidError, text: str) -> str:
    tag = re.fullmatch(r"unexpected tag '(\w+)'", str(error.message))
    if tag:
        return f"{_place(error, text)}: {_no_such_tag(tag[1])}"
    missing = re.match(r"expected tag (\w+)", str(error.message))
    if missing:
        return f"At the end: {{% {missing[1]} %}} is missing."
    return f"{_place(error, text)}: this token cannot be read ({error.message}). Write it like {EXAMPLE}."


def _no_such_tag(name: str) -> str:
    return f"{{% {name} %}} cannot be used in an email. Only if, unless and case can."


def _place(error: LiquidError, text: str) -> str:
    """Where it is. An expression that ends too early has no position of its own: then the first that fails alone."""
    if error.token and error.token.start_index >= 0:
        return f"Line {_line(text, error.token.start_index)}"
    for token in re.finditer(r"\{\{.*?\}\}", text, re.DOTALL):
        try:
            _parsed(BODY, token[0])
        except LiquidError:
            return f"Line {_line(text, token.start())}"
    return "In a tag"


def _unknown_names(template: BoundTemplate, text: str, known: Collection[str]) -> Iterator[str]:
    analysis = template.analyze()
    for name, spans in analysis.filters.items():
        if name not in EmailEnvironment.FILTERS:
            line = _line(text, spans[0].index)
            yield f"Line {line}: there is no filter “{name}”. There are {', '.join(EmailEnvironment.FILTERS)}."
    for variables in analysis.globals.values():
        for name, index in {str(variable): variable.span.index for variable in reversed(variables)}.items():
            if name not in known:
                yield f"Line {_line(text, index)}: there is no token {{{{ {name} }}}}. {_suggestion(name, known)}"


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
    return f"Did you mean {{{{ {close[0]} }}}}?" if close else f"There are {', '.join(known)}."


def _line(text: str, index: int) -> int:
    return text.count("\n", 0, max(index, 0)) + 1
