"""Run a few programs together, each in a process group of its own, and end all of them within three seconds."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# Asked to end, then made to end: together under three seconds.
GRACE_SECONDS = 2.0
POLL_SECONDS = 0.05


class Programs:
    """Started programs by name."""

    def __init__(self, commands: Mapping[str, list[str]], *, folder: Path, environment: Mapping[str, str]) -> None:
        self._running = {
            name: subprocess.Popen(command, cwd=folder, env=dict(environment), start_new_session=True)
            for name, command in commands.items()
        }

    def ended(self) -> str:
        """The name of a program that has ended by itself; empty while all run."""
        return next((name for name, program in self._running.items() if program.poll() is not None), "")

    def resident_megabytes(self) -> float:
        """Memory of all of them and of everything that they started; what they share counts for each."""
        ours = _descendants({program.pid for program in self._running.values()})
        return sum(kilobytes for pid, kilobytes in _ps("pid=,rss=") if pid in ours) / 1024

    def stop(self) -> None:
        """End all, and everything that they started."""
        ours = _descendants({program.pid for program in self._running.values()})
        for program in self._running.values():
            _signal(program.pid, signal.SIGTERM)
        give_up_at = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < give_up_at and any(program.poll() is None for program in self._running.values()):
            time.sleep(POLL_SECONDS)
        for pid in ours | _descendants(ours):
            _signal(pid, signal.SIGKILL)
        for program in self._running.values():
            program.wait()


def _descendants(roots: set[int]) -> set[int]:
    """The processes and their children, grandchildren and so on."""
    found = set(roots)
    parents = _ps("pid=,ppid=")
    while more := {pid for pid, parent in parents if parent in found} - found:
        found |= more
    return found


def _ps(columns: str) -> list[tuple[int, int]]:
    listed = subprocess.run(["ps", "-A", "-o", columns], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [(int(first), int(second)) for first, second in (line.split() for line in listed.splitlines())]


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
