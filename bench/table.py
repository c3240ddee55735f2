"""The table of a run: on the screen as it grows, and as Markdown in the end."""

import platform
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True)
class Line:
    what: str
    ours: str
    other: str = ""  # the limit, or the peer
    ratio: float | None = None
    bar: str = ""
    met: bool | None = None

    def plain(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"{self.what:66} {self.ours:>17} {self.other:>26} {ratio:>7} {self.bar:>9} {verdict}"

    def markdown(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return f"| {self.what} | {self.ours} | {self.other} | {ratio} | {self.bar} | {verdict} |"


@dataclass
class Table:
    lines: list[Line] = field(default_factory=list)

    def say(self, what: str, ours: str, other: str = "") -> None:
        self._add(Line(what, ours, other))

    def compare(self, what: str, ours: float, other: float, unit: str, *, least: float | None = None) -> None:
        """More is better: ours ÷ the other is at least `least`."""
        ratio = ours / other if other else 0.0
        bar, met = (f"≥ {least:g}", ratio >= least) if least is not None else ("", None)
        self._add(Line(what, f"{ours:,.0f}{unit}", f"{other:,.4g}{unit}", ratio, bar, met))

    def reach(self, what: str, ours: float, unit: str, *, least: float) -> None:
        self._add(Line(what, f"{ours:,.0f}{unit}", bar=f"≥ {least:,g}", met=ours >= least))

    def limit(self, what: str, ours: float, unit: str, *, most: float, other: str = "") -> None:
        """Less is better."""
        self._add(Line(what, f"{ours:,.3g}{unit}", other, bar=f"≤ {most:g}", met=ours <= most))

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        print(line.plain(), flush=True)

    def markdown(self, seconds: float) -> str:
        command = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
        command_line = " ".join(["python -m bench", *sys.argv[1:]])
        head = (
            f"# Measurements\n\n`{command_line}` on {datetime.now(UTC):%Y-%m-%d}, commit {commit}, "
            f"{platform.machine()}, Python {platform.python_version()}, {seconds:.0f} s. Absolute figures are this "
            "machine's: compare ratios within one run.\n\n"
            "| what | ours | limit or peer | ratio | bar | |\n|---|---|---|---|---|---|\n"
        )
        return head + "\n".join(line.markdown() for line in self.lines) + "\n"
