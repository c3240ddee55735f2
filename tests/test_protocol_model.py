"""The send protocol never submits twice and never loses a message, and it needs every one of its rules."""

import pytest

from tests.protocol_model import Rules, World, explore, names, without

KEPT = World(crashes_left=1)
REVOCABLE = World(crashes_left=1, permission="live")
TWICE = "submitted twice"
LATE = "a request started after the revocation had returned"
MISTAKEN = "unknown, although it left and could be found"

# Without the rule, what goes wrong; first where the permission is kept, then where it may be revoked.
FAULTS = {
    "state_before_call": (TWICE, LATE),
    "answer_before_end": ("lost: called sent, never submitted", "lost: called sent, never submitted"),
    "lease": (TWICE, "called refused, although it left"),
    "epoch": (TWICE, "called refused, although it left"),
    "one_message_per_step": (TWICE, ""),
    "permit_in_transaction": ("", LATE),
    "permit_age": (TWICE, LATE),
    "drain": ("", LATE),
    "reconcile_before_repeat": (TWICE, "called refused, although it left"),
    "long_cool_down": (MISTAKEN, MISTAKEN),
    "adopt_only_unsubmitted": (TWICE, LATE),
    "absence_is_no_proof": (TWICE, LATE),
    "key_on_the_draft": (MISTAKEN, MISTAKEN),
    "whole_mailbox": (MISTAKEN, MISTAKEN),
}


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(KEPT, id="permission kept"),
        pytest.param(REVOCABLE, id="permission revoked at any moment"),
        pytest.param(World(crashes_left=2), id="two crashes", marks=pytest.mark.slow),
    ],
)
def test_reaches_no_fault_whatever_happens_when(start: World) -> None:
    worlds, trace = explore(Rules(), start)

    print(f"{worlds:,} worlds explored, all of them")
    assert trace == []
    assert worlds > 50_000


@pytest.mark.parametrize(
    ("rule", "start", "fault"),
    [
        pytest.param(rule, start, fault, id=f"{rule}, {name}")
        for rule, faults in FAULTS.items()
        for start, name, fault in zip([KEPT, REVOCABLE], ["kept", "revocable"], faults, strict=True)
        if fault
    ],
)
def test_fails_without(rule: str, start: World, fault: str) -> None:
    worlds, trace = explore(without(rule), start)

    print(f"without {rule} ({worlds:,} worlds):", *trace, sep="\n    ")
    assert trace[-1] == f"FAULT: {fault}"


def test_takes_out_every_rule() -> None:
    assert list(FAULTS) == names()
