"""The send protocol never submits twice and never loses a message, and it needs every one of its rules."""

import pytest

from tests.protocol_model import Item, Rules, World, explore, names, without

KEPT = World(crashes_left=1, freezes=True, person=False)
REVOCABLE = World(crashes_left=1, permission="live", person=False)
REFUSED = World(
    state="refused", draft=0, items=(Item("drafts", visible=True, left=0),), anew=True, crashes_left=1, person=False
)
TWICE = "submitted twice"
LATE = "a request started after the revocation had returned"
MISCALLED = "called refused, although it left"
LOST = "lost: called sent, never submitted"
MISTAKEN = "unknown, although it left and could be found"

# Without the rule, what goes wrong: where the permission is kept, where it may be revoked at any moment, and where a
# message that was refused begins anew.
FAULTS = {
    "state_before_call": (TWICE, LATE, TWICE),
    "answer_before_end": (LOST, LOST, LOST),
    "lease": (TWICE, LATE, TWICE),
    "epoch": (TWICE, MISCALLED, TWICE),
    "one_message_per_step": (TWICE, "", ""),
    "permit_in_transaction": ("", LATE, ""),
    "permit_age": ("", LATE, ""),
    "drain": ("", LATE, ""),
    "reconcile_before_repeat": (TWICE, MISCALLED, TWICE),
    "long_cool_down": (MISTAKEN, MISTAKEN, MISTAKEN),
    "replace_only_unsubmitted": (TWICE, LATE, TWICE),
    "own_draft": ("", "", TWICE),
    "disarm_before_replacing": (TWICE, "", ""),
    "absence_is_no_proof": (TWICE, LATE, TWICE),
    "key_on_the_draft": (MISTAKEN, MISTAKEN, MISTAKEN),
    "whole_mailbox": (MISTAKEN, MISTAKEN, MISTAKEN),
    "only_what_was_read": ("", "", MISCALLED),
}


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(KEPT, id="permission kept"),
        pytest.param(REVOCABLE, id="permission revoked at any moment"),
        pytest.param(REFUSED, id="refused before, begins anew"),
        pytest.param(World(crashes_left=0, freezes=True, replaced=True), id="a person decides in the end"),
        pytest.param(World(crashes_left=2, person=False), id="two crashes", marks=pytest.mark.slow),
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
        for start, name, fault in zip([KEPT, REVOCABLE, REFUSED], ["kept", "revocable", "anew"], faults, strict=True)
        if fault
    ],
)
def test_fails_without(rule: str, start: World, fault: str) -> None:
    worlds, trace = explore(without(rule), start)

    print(f"without {rule} ({worlds:,} worlds):", *trace, sep="\n    ")
    assert trace[-1] == f"FAULT: {fault}"


def test_takes_out_every_rule() -> None:
    assert list(FAULTS) == names()
