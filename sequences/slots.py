"""The simplest of Liquid's templates, filled in without Liquid.

Most emails are text and tokens, with a default at most. For each of them Liquid makes a context and walks through its
tree; here the tree is looked at once. What comes out is what Liquid makes of it, or Liquid is asked.
"""

from collections.abc import Mapping
from typing import NamedTuple

from liquid import BoundTemplate, Environment
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import Filter, FilteredExpression, Path, PositionalArgument, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.context import builtin
from liquid.exceptions import OutputStreamLimitError, UndefinedError
from markupsafe import escape

# What Liquid puts in front of all values, or behind them, whatever they are called.
LIQUIDS_OWN = frozenset({"partial", *builtin})


class Slot(NamedTuple):
    name: str
    default: str | None


Parts = tuple[str | Slot, ...]


def parts_of(template: BoundTemplate) -> Parts | None:
    """None: it has more than text and tokens with a default at most."""
    parts = tuple(part for node in template.nodes if (part := _part(node)) is not None)
    return parts if len(parts) == len(template.nodes) else None


def fill(parts: Parts, values: Mapping[str, str], environment: Environment) -> str:
    """An empty value is none. Raises `LiquidError` where a token has neither a value nor a default, and where the text
    grows too long, whichever comes first."""
    filled: list[str] = []
    missing = ""
    for part in parts:
        if isinstance(part, str):
            filled.append(part)
        elif value := values.get(part.name):
            filled.append(_lines(str(escape(value)) if environment.autoescape else value))
        elif part.default is not None:
            filled.append(part.default)  # its author's words: in a body they are HTML already
        else:
            missing = part.name
            break
    text = "".join(filled)
    limit = environment.output_stream_limit
    if limit is not None and len(text.encode()) > limit:
        raise OutputStreamLimitError("output stream limit reached", token=None)
    if missing:
        raise UndefinedError(missing, token=None)
    return text


def _part(node: Node) -> str | Slot | None:
    match node:
        case ContentNode(text=text):
            return _lines(text)
        case OutputNode(expression=FilteredExpression(left=Path(path=[str(name)]), filters=filters)):
            match filters:
                case _ if name in LIQUIDS_OWN:
                    return None
                case []:
                    return Slot(name, None)
                case [Filter(name="default", args=[PositionalArgument(value=StringLiteral(value=default))])]:
                    return Slot(name, _lines(default))
    return None


def _lines(text: str) -> str:
    """Liquid writes into a text stream, in which every line ends alike."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
