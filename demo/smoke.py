"""`make smoke`: the demo's whole path without a person, over HTTP, in an installation of its own.

Sign in, connect the mailbox at the sandbox's sign-in pages, import a CSV, activate, wait, read Sent Items.
"""

import re
import shutil
import socket
import sys
import time
from collections import Counter
from typing import Any

import requests

from demo.browser import Browser, NotOnThePage
from demo.installation import ROOT, CannotStart, Installation
from demo.people import PEOPLE
from demo.supervising import Programs

ALICE = PEOPLE[0]
SEQUENCE = "Platform engineers"
SAMPLE = ROOT / "static" / "samples" / "candidates.csv"
WAIT_SECONDS = 240


def main() -> int:
    installation = Installation(folder=ROOT / "var" / "smoke", web_port=_free_port(), sandbox_port=_free_port())
    shutil.rmtree(installation.folder, ignore_errors=True)
    try:
        installation.prepare()
        programs = Programs(installation.programs(), folder=ROOT, environment=installation.environment())
        try:
            installation.wait_until_up()
            outcome = _walk(installation)
            print(f"everything together: {programs.resident_megabytes():.0f} MB resident")
            return outcome
        finally:
            programs.stop()
    except (CannotStart, NotOnThePage) as problem:
        print(f"FAILED: {problem}", file=sys.stderr)
        return 1


def _walk(installation: Installation) -> int:
    browser = Browser()
    try:
        _sign_in(browser, installation)
        _connect(browser, installation)
        _choose_sender(browser, installation)
        _follow_up_at_once(browser, installation)
        expected = 2 * _import_candidates(browser, installation)
        _activate(browser, installation)
    finally:
        browser.close()
    return _report(_mails(installation, expected), expected)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sign_in(browser: Browser, installation: Installation) -> None:
    browser.open(installation.url)
    browser.press("Sign in", login=ALICE.email, password=ALICE.password)
    print(f"signed in as {ALICE.email}", flush=True)


def _connect(browser: Browser, installation: Installation) -> None:
    browser.open(f"{installation.url}/settings/mailbox/")
    browser.press("Connect Email")
    browser.press(ALICE.email)
    page = browser.press("Accept")
    if "Connected as" not in page.text:
        raise NotOnThePage(f"The mailbox is not connected: {page.address}")
    browser.follow("Manage")
    browser.press("Save", spacing_seconds="2")
    print(f"connected the mailbox {ALICE.email}", flush=True)


def _choose_sender(browser: Browser, installation: Installation) -> None:
    browser.open(f"{installation.url}/sequences/")
    page = browser.open(f"{browser.follow(SEQUENCE).address}settings/")
    options = re.findall(rf'<option value="(\d+)"[^>]*>[^<]*{re.escape(ALICE.email)}', page.source)
    if not options:
        raise NotOnThePage(f"{ALICE.email} is no sender on {page.address}")
    browser.press("Save", connection=options[0])


def _follow_up_at_once(browser: Browser, installation: Installation) -> None:
    """The demo leaves minutes between the two emails, for a person to answer in. Nobody answers here."""
    browser.open(f"{installation.url}/sequences/")
    browser.follow(SEQUENCE)
    browser.follow("Steps")
    browser.follow("Edit step 2")
    page = browser.press("Save step", delay="0")
    if "Step 2 is saved" not in page.text:
        raise NotOnThePage(f"The second step is not saved: {page.address}")


def _import_candidates(browser: Browser, installation: Installation) -> int:
    """Import the sample file into the sequence; returns how many candidates it has."""
    browser.open(f"{installation.url}/candidates/import/")
    page = browser.press("Look at the file", file=SAMPLE)
    sequence = re.findall(rf'<option value="(\d+)"[^>]*>\s*{SEQUENCE}', page.source)
    if not sequence:
        raise NotOnThePage(f"The sequence cannot be chosen on {page.address}")
    address = browser.press("Import", sequence=sequence[0]).address
    give_up_at = time.monotonic() + WAIT_SECONDS
    while "Done" not in (page := browser.open(address)).text:
        if time.monotonic() > give_up_at or "Failed" in page.text:
            raise NotOnThePage(f"The import is not done: {address}")
        time.sleep(0.5)
    count = len(SAMPLE.read_text(encoding="utf-8").strip().splitlines()) - 1
    print(f"imported {count} candidates from {SAMPLE.name}", flush=True)
    return count


def _activate(browser: Browser, installation: Installation) -> None:
    browser.open(f"{installation.url}/sequences/")
    browser.follow(SEQUENCE)
    page = browser.press("Activate")
    if "Active" not in page.text:
        raise NotOnThePage(f"The sequence is not active: {page.address}")
    print(f"activated “{SEQUENCE}”, waiting for its emails", flush=True)


def _mails(installation: Installation, expected: int) -> list[dict[str, Any]]:
    """What lies in the sandbox's Sent Items, once there is as much as expected or the time is over."""
    address = f"{installation.sandbox_url}/control/mailbox/{ALICE.email}/messages?folder=sentitems"
    give_up_at = time.monotonic() + WAIT_SECONDS
    while True:
        mails: list[dict[str, Any]] = requests.get(address, timeout=10).json()
        if len(mails) >= expected or time.monotonic() > give_up_at:
            return mails
        time.sleep(1)


def _report(mails: list[dict[str, Any]], expected: int) -> int:
    """Print what was sent. Everything must be there once, and each candidate's two emails in one thread."""
    print(f"\nSent Items of {ALICE.email}:")
    for mail in mails:
        print(f"  {mail['sent_at'][11:19]}  {mail['to'][0]:36} {mail['subject']}")
    people = Counter(mail["to"][0] for mail in mails)
    threads = {(mail["to"][0], mail["conversation_id"]) for mail in mails}
    print(f"\n{len(mails)} of {expected} emails, {len(people)} candidates, {len(threads)} threads")
    good = len(mails) == expected and len(threads) == len(people) and set(people.values()) == {2}
    print("good" if good else "FAILED: each candidate should have two emails in one thread")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
