"""The sandbox tenant as tests see it: a program of its own, spoken to over its control API."""

import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

import requests

START_SECONDS = 20


class SandboxTenant:
    """A running `python -m sandbox`, and what a test may do to it."""

    def __init__(self, program: "subprocess.Popen[bytes]", url: str) -> None:
        self._program = program
        self.url = url

    @classmethod
    def start(cls) -> "SandboxTenant":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        state = tempfile.mkdtemp(prefix="sandbox-")
        program = subprocess.Popen([sys.executable, "-m", "sandbox", "--port", str(port), "--state", state])
        tenant = cls(program, f"http://127.0.0.1:{port}")
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at:
            try:
                tenant._control("GET", "health")
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return tenant
        program.kill()
        raise RuntimeError("The sandbox did not start.")

    def stop(self) -> None:
        self._program.terminate()
        self._program.wait(10)

    def reset(self) -> None:
        self._control("POST", "reset")

    def _control(self, method: str, path: str, **content: Any) -> Any:
        answer = requests.request(method, f"{self.url}/control/{path}", json=content or None, timeout=10)
        answer.raise_for_status()
        return answer.json()
