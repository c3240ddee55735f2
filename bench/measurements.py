"""What can be measured, by name."""

from collections.abc import Callable
from typing import Any

from django.core.management import call_command

from bench import finding, pages, peers, sendpath


def migrate() -> None:
    call_command("migrate", verbosity=0)
    call_command("createcachetable")


NAMED: dict[str, Callable[..., Any]] = {
    "migrate": migrate,
    "send_path": sendpath.send_path,
    "make_due": sendpath.make_due,
    "send_due": sendpath.send_due,
    "a_day": sendpath.a_day,
    "prepare": finding.prepare,
    "backlog": finding.backlog,
    "vacuum": finding.vacuum,
    "find": finding.find,
    "everybody_due": finding.everybody_due,
    "claim": finding.claim,
    "pages": pages.pages,
    "one_task_per_email": peers.one_task_per_email,
}
