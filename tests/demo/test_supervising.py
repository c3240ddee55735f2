"""Programs that run together …"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.installation import CannotStart, Installation
from demo.supervising import Programs

SLEEPER = "import time; time.sleep(60)"
# A program with a child in a session of its own, both deaf to SIGTERM.
STUBBORN = (
    "import pathlib, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'], start_new_session=True);"
    "pathlib.Path('child').write_text(str(child.pid)); time.sleep(60)"
)


def programs(folder: Path, **sources: str) -> Programs:
    commands = {name: [sys.executable, "-c", source] for name, source in sources.items()}
    return Programs(commands, folder=folder, environment=os.environ)


def is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_end_with_everything_that_they_started_however_stubborn(tmp_path: Path) -> None:
    running = programs(tmp_path, sleeper=SLEEPER, stubborn=STUBBORN)
    noted = tmp_path / "child"
    while not noted.exists() or not noted.read_text():
        time.sleep(0.02)

    running.stop()

    assert not is_running(int(noted.read_text()))
    assert running.ended() == "sleeper"


def test_are_missed_when_one_ends_by_itself(tmp_path: Path) -> None:
    running = programs(tmp_path, sleeper=SLEEPER, short="pass")
    try:
        while not (name := running.ended()):
            time.sleep(0.02)
        assert name == "short"
    finally:
        running.stop()


def test_say_when_a_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        installation = Installation(folder=tmp_path, web_port=taken.getsockname()[1], sandbox_port=1)

        with pytest.raises(CannotStart, match="is taken"):
            installation.prepare()
