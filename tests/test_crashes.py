"""Workers die at every point of the way, and every email is sent once: a short run of `python -m crashtest`."""

import os
import subprocess
import sys


def crashtest(*options: str) -> "subprocess.CompletedProcess[str]":
    """In a program of its own: it forks and kills."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    command = [sys.executable, "-m", "crashtest", "--database", "sqlite", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_survives_sixty_kills() -> None:
    done = crashtest("--kills", "60", "--only", "kills")

    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    last = next(line for line in done.stdout.splitlines() if line.startswith("together")).split()
    kills, emails, sent, duplicates, lost = map(int, last[1:6])
    assert kills >= 60
    assert emails >= sent >= 0.98 * emails
    assert (duplicates, lost) == (0, 0)


def test_starts_no_request_after_a_revocation_has_returned() -> None:
    done = crashtest("--revocations", "60", "--only", "revocations")

    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "60 revocations" in done.stdout
    assert ": 0 requests started late" in done.stdout


def test_finds_the_faults_of_the_controls() -> None:
    done = crashtest("--only", "controls")

    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "7 of 7 controls fail" in done.stdout
