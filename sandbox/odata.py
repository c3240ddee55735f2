"""OData as Graph takes it for mail: $filter, $orderby, $select and $expand, with Exchange's restrictions."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.answers import Refused
from sandbox.mailbox import Message, normal_property_id

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))|(?P<number>-?\d+)"
    r"|(?P<word>[A-Za-z_@][\w./@]*)|(?P<mark>[(),:]))"
)
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}
_WITHIN: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}

# What can be filtered and ordered by, and how it is compared: text without regard to case.
FILTERABLE: dict[str, Callable[[Message], Any]] = {
    "subject": lambda message: message.subject.lower(),
    "isDraft": lambda message: message.is_draft,
    "isRead": lambda message: message.is_read,
    "importance": lambda message: message.importance.lower(),
    "internetMessageId": lambda message: message.internet_message_id.lower(),
    "conversationId": lambda message: message.conversation_id.lower(),
    "from/emailAddress/address": lambda message: message.sender.get("address", "").lower(),
    "from/emailAddress/name": lambda message: message.sender.get("name", "").lower(),
    "sender/emailAddress/address": lambda message: message.sender.get("address", "").lower(),
    "receivedDateTime": lambda message: int(message.received_at),
    "sentDateTime": lambda message: int(message.sent_at),
    "createdDateTime": lambda message: int(message.created_at),
    "lastModifiedDateTime": lambda message: int(message.modified_at),
}
_MOMENTS = {"receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime"}
Test = Callable[[Message], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """A test of messages, what it names in its order, and a tag that all that pass it carry, where there is one."""

    test: Test
    names: tuple[str, ...]
    tag: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_filter(text: str) -> Filter:
    """Raises `Refused` as Graph does."""
    parser = _Parser(list(_tokens(text)))
    found = parser.either()
    if parser.rest():
        raise _bad_filter(text)
    return found


def parse_order(text: str) -> tuple[str, bool]:
    """The property to order by, and whether the greatest comes first."""
    name, _, direction = text.strip().partition(" ")
    if name not in FILTERABLE or direction.strip().lower() not in ("", "asc", "desc"):
        raise Refused(400, "ErrorInvalidUrlQuery", f"The property {name} cannot be ordered by.")
    return name, direction.strip().lower() == "desc"


def check_efficient(filtered: Filter | None, order: str) -> None:
    """What is ordered by must come first in the filter, else Exchange calls it too complex."""
    if filtered and (not filtered.names or filtered.names[0] != order):
        raise Refused(400, "InefficientFilter")


def property_ids(expand: str) -> list[str]:
    """The ids in `singleValueExtendedProperties($filter=id eq '…' or id eq '…')`, in their normal spelling."""
    if not re.match(r"singleValueExtendedProperties\(", expand.strip(), re.IGNORECASE):
        return []
    ids = [normal_property_id(found.replace("''", "'")) for found in re.findall(r"'((?:[^']|'')*)'", expand)]
    if not ids or not all(ids):
        raise Refused(400, "ErrorInvalidPropertyId", "The extended property id is malformed.")
    return ids


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if not found:
            raise _bad_filter(text)
        place = found.end()
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind])


def _bad_filter(text: str) -> Refused:
    return Refused(400, "ErrorInvalidUrlQueryFilter", f"The query filter clause is invalid: {text[:100]}")


class _Parser:
    """Recursive descent: or, and, not, then one condition."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._place = 0

    def rest(self) -> list[_Token]:
        return self._tokens[self._place :]

    def either(self) -> Filter:
        left = self._both()
        while self._accept("or"):
            one, other = left.test, (right := self._both()).test
            left = Filter(_any_of(one, other), left.names + right.names)
        return left

    def _both(self) -> Filter:
        left = self._one()
        while self._accept("and"):
            one, other = left.test, (right := self._one()).test
            left = Filter(_all_of(one, other), left.names + right.names, left.tag or right.tag)
        return left

    def _one(self) -> Filter:
        if self._accept("not"):
            found = self._one()
            return Filter(_not(found.test), found.names)
        if self._accept("("):
            found = self.either()
            self._expect(")")
            return found
        word = self._take("word")
        if word.lower() in _WITHIN:
            return self._within(word.lower())
        if word.lower() == "singlevalueextendedproperties/any":
            return self._tagged()
        return self._compared(word)

    def _within(self, function: str) -> Filter:
        self._expect("(")
        name = self._take("word")
        self._expect(",")
        value = self._value()
        self._expect(")")
        read = _readable(name)
        if not isinstance(value, str):
            raise _bad_filter(function)
        return Filter(lambda message: _WITHIN[function](str(read(message)), value), (name,))

    def _compared(self, name: str) -> Filter:
        read = _readable(name)
        operator = self._take("word").lower()
        compare = _ORDERED.get(operator)
        value = self._value()
        if compare is None or (name in _MOMENTS) != isinstance(value, float):
            raise _bad_filter(name)
        return Filter(lambda message: compare(read(message), value), (name,))

    def _tagged(self) -> Filter:
        """`Any(ep: ep/id eq '…' and ep/value eq '…')`; the value counts without regard to case."""
        self._expect("(")
        variable = self._take("word")
        self._expect(":")
        self._expect(f"{variable}/id")
        self._expect("eq")
        identity = normal_property_id(self._text())
        if not identity:
            raise Refused(400, "ErrorInvalidPropertyId", "The extended property id is malformed.")
        self._expect("and")
        found = self._value_condition(variable, identity)
        self._expect(")")
        return found

    def _value_condition(self, variable: str, identity: str) -> Filter:
        names = ("singleValueExtendedProperties",)
        word = self._take("word").lower()
        if word in _WITHIN:
            self._expect("(")
            self._expect(f"{variable}/value")
            self._expect(",")
            value = self._text().lower()
            self._expect(")")
            return Filter(lambda message: _WITHIN[word](_lower(message, identity), value), names)
        if word != f"{variable}/value".lower():
            raise _bad_filter(word)
        operator, value = self._take("word").lower(), self._text().lower()
        if operator == "eq":
            return Filter(lambda message: _lower(message, identity) == value, names, (identity, value))
        if operator == "ne":
            return Filter(lambda message: identity in message.properties and _lower(message, identity) != value, names)
        raise _bad_filter(operator)

    def _value(self) -> Any:
        token = self._next()
        if token.kind == "string":
            return token.text[1:-1].replace("''", "'").lower()
        if token.kind == "moment":
            return parse_moment(token.text)
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        raise _bad_filter(token.text)

    def _text(self) -> str:
        """A string with its case kept: a property's id."""
        return self._take("string")[1:-1].replace("''", "'")

    def _next(self) -> _Token:
        if self._place >= len(self._tokens):
            raise _bad_filter("it ends too early")
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, kind: str) -> str:
        token = self._next()
        if token.kind != kind:
            raise _bad_filter(token.text)
        return token.text

    def _accept(self, text: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place].text.lower() == text.lower():
            self._place += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise _bad_filter(text)


def _readable(name: str) -> Callable[[Message], Any]:
    read = FILTERABLE.get(name)
    if read is None:
        raise Refused(400, "RequestBroker--ParseUri", f"Could not find a property named '{name[:60]}'.")
    return read


def _lower(message: Message, identity: str) -> str:
    return message.properties.get(identity, "").lower()


def parse_moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except ValueError as error:
        raise _bad_filter(text) from error


def _any_of(one: Test, other: Test) -> Test:
    return lambda message: one(message) or other(message)


def _all_of(one: Test, other: Test) -> Test:
    return lambda message: one(message) and other(message)


def _not(test: Test) -> Test:
    return lambda message: not test(message)
