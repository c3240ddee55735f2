"""One demo installation: where it lives, what it is told, and the three programs that it runs."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
POLL_SECONDS = 0.1


class CannotStart(Exception):
    """Said to the person in one line."""


@dataclass(frozen=True)
class Installation:
    """Everything that it writes is below `folder`; it listens on loopback only."""

    folder: Path
    web_port: int
    sandbox_port: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.web_port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://localhost:{self.sandbox_port}"

    def environment(self) -> dict[str, str]:
        """What the programs are told: neither a .env nor Microsoft settings of the person's own shell are theirs."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MICROSOFT_")}
        return inherited | {
            "ENV_FILE": os.devnull,
            "MODE": "demo",
            "DEBUG": "false",
            "SITE_URL": self.url,
            "SANDBOX_URL": self.sandbox_url,
            "VAR_DIR": str(self.folder),
            "DATABASE_URL": f"sqlite:///{self.folder / 'outreach.sqlite3'}",
            "LOG_LEVEL": "WARNING",
            "PYTHONWARNINGS": "ignore:No directory at",  # whitenoise, which finds its files elsewhere here
            "WORKER_TASKS_AT_ONCE": "1",
        }

    def programs(self) -> dict[str, list[str]]:
        python = sys.executable
        return {
            "sandbox": [
                *(python, "-m", "sandbox", "--port", str(self.sandbox_port)),
                *("--state", str(self.folder / "sandbox")),
            ],
            "web": [
                *(python, "-m", "gunicorn", "metaview_outreach.wsgi", "--bind", f"127.0.0.1:{self.web_port}"),
                *("--threads", "8", "--log-level", "warning", "--worker-tmp-dir", str(self.folder)),
            ],
            "worker": [python, "manage.py", "worker"],
        }

    def prepare(self) -> None:
        """Database and demo people; again is fine. Raises `CannotStart`."""
        for port in (self.web_port, self.sandbox_port):
            _refuse_taken(port)
        self.folder.mkdir(parents=True, exist_ok=True)
        for step in (
            ["manage.py", "migrate", "--verbosity", "0"],
            ["manage.py", "createcachetable", "--verbosity", "0"],
            ["-m", "demo.seeding"],
        ):
            done = subprocess.run([sys.executable, *step], cwd=ROOT, env=self.environment(), check=False)
            if done.returncode:
                raise CannotStart(f"`python {' '.join(step)}` failed; what it printed is above.")

    def wait_until_up(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        for address in (f"{self.url}/account/login/", f"{self.sandbox_url}/control/health"):
            while not _answers(address):
                if time.monotonic() > give_up_at:
                    raise CannotStart(f"{address} does not answer.")
                time.sleep(POLL_SECONDS)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):  # noqa: S310 - loopback, our own programs
            return True
    except OSError:
        return False


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} is taken. Stop what uses it, or choose others: see `make demo` in README.md."
            ) from error
