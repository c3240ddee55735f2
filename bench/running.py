"""Start the stand-in as a process of its own, and speak to it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StandIn:
    """A running `python -m bench.standin`."""

    def __init__(self, program: "subprocess.Popen[bytes]", port: int) -> None:
        self.program = program
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def tell(self, path: str, **content: Any) -> None:
        """For example `tell("faults", latency=0.15)`: what is not named goes back to normal."""
        request = urllib.request.Request(f"{self.url}/control/{path}", json.dumps(content).encode(), method="POST")
        urllib.request.urlopen(request, timeout=30).read()

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/control/{path}", timeout=60) as answer:
            return json.load(answer)

    def cpu_seconds(self) -> float:
        with open(f"/proc/{self.program.pid}/stat") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def stand_in(*, seed: int = 1) -> Iterator[StandIn]:
    """It ends when this program does, however that happens: its standard input closes then."""
    command = [sys.executable, "-m", "bench.standin", "--seed", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout
        assert program.stdin
        try:
            yield StandIn(program, int(program.stdout.readline().split()[1]))
        finally:
            program.stdin.close()
            try:
                program.wait(5)
            except subprocess.TimeoutExpired:
                program.kill()
