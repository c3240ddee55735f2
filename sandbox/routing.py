"""Which function answers: a tree over the segments of the path, `{}` standing for any one."""

from collections.abc import Callable, Sequence
from typing import Any

ANY = "{}"


class Routes:
    """Functions by method and path, found in as many steps as the path has segments."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}

    def add(self, method: str, path: str) -> Callable[[Any], Any]:
        """A decorator: the function answers `method` on `path`, given what stood where `{}` stands."""

        def keep(function: Any) -> Any:
            node = self._tree
            for segment in path.strip("/").split("/"):
                node = node.setdefault(segment, {})
            node[f" {method}"] = function
            return function

        return keep

    def find(self, method: str, segments: Sequence[str]) -> tuple[Any, list[str]] | None:
        """The function and what stood for each `{}`; None where there is none."""
        found: list[str] = []
        node = self._tree
        for segment in segments:
            if segment in node:
                node = node[segment]
            elif ANY in node:
                node = node[ANY]
                found.append(segment)
            else:
                return None
        function = node.get(f" {method}")
        return (function, found) if function else None
