"""The send protocol, small enough to be explored completely: two workers, the database, Microsoft and one message.

Every interleaving is tried, with a crash, a stall, a lost answer, a late request, a slow settling and a lagging search
at every step. `Rules` holds the rules of the protocol as switches: with all of them on, no fault can be reached; with
any one off, `explore` returns the shortest way to a fault.

Time runs in ticks. What Microsoft and the network may take is bounded (a request arrives within REQUEST ticks or never,
a draft or a sent copy can be found within SETTLE): the cool-down is longer than all of them and the life of a permit
together, and that is one of the rules. A worker may stall for any time, anywhere; between the question to the gate and
the first byte of the request only in a world that says so (`freezes`), since no revocation can wait for that one.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

LEASE = 1
PERMIT = 1
REQUEST = 1
SETTLE = 1
COOL_DOWN = PERMIT + REQUEST + SETTLE + 1
TOO_SHORT = 1
GONE = -1

FINAL = {"sent", "refused"}
LOOKED_AFTER = {"drafting", "sending", "disarmed", "accepted"}  # the states in which it matters how old they are


@dataclass(frozen=True)
class Rules:
    """What the protocol keeps to. Each is there because something breaks without it."""

    state_before_call: bool = True  # `sending` is committed before the request starts
    answer_before_end: bool = True  # nothing is called sent before Microsoft said so
    lease: bool = True  # one worker per mailbox
    epoch: bool = True  # a commit counts only under the newest lease
    one_message_per_step: bool = True  # the unique constraint
    permit_in_transaction: bool = True  # the permission is asked where `sending` is committed
    permit_age: bool = True  # an old permit starts nothing
    drain: bool = True  # a revocation waits for the permits that are out
    reconcile_before_repeat: bool = True  # a lost answer is looked into, never repeated
    long_cool_down: bool = True  # the verdict `unknown` waits longer than everything that may still happen
    replace_only_unsubmitted: bool = True  # a draft that may have been submitted is not replaced by another
    own_draft: bool = True  # the draft of an earlier attempt does not show that this one was not submitted
    disarm_before_replacing: bool = True  # nobody can submit the draft that is replaced, however late they wake up
    absence_is_no_proof: bool = True  # not found does not mean not sent
    key_on_the_draft: bool = True  # the message can be recognised
    whole_mailbox: bool = True  # its owner may have moved the copy
    only_what_was_read: bool = True  # what came of a refused message's old draft is written where it is still refused


class Item(NamedTuple):
    """A message in the mailbox. `left`: how long Microsoft may still take for what comes next."""

    place: str  # drafts, submitted (looks like a draft), disarmed, sent, moved, deleted
    visible: bool = False  # to the search
    left: int = SETTLE


class Request(NamedTuple):
    worker: int  # GONE once it was killed: nobody hears the answer
    verb: str  # create, send, disarm, remove
    item: int  # to be sent, disarmed or removed; a draft is created in its place
    age: int = 0


class Worker(NamedTuple):
    at: str = "idle"
    holds: bool = False  # the newest lease
    known: str = ""  # the row's state, as read
    allowed: bool = True  # the permission, as read when claiming
    permit_age: int = 0
    made: int = -1  # the draft that its request created
    draft: int = -1  # the draft that its permit is for
    replaces: int = -1  # the draft of an earlier attempt


class World(NamedTuple):
    state: str = "due"
    since: int = 0  # ticks since the state's commit
    draft: int = -1
    rows: int = 0  # further messages for the same step
    lease_left: int = 0
    permission: str = "kept"  # or live, stopping, revoked
    items: tuple[Item, ...] = ()
    requests: tuple[Request, ...] = ()
    submissions: int = 0
    workers: tuple[Worker, ...] = (Worker(), Worker())
    crashes_left: int = 2
    replaced: bool = False  # after the cool-down, as never submitted: once
    freezes: bool = False  # a worker may, between the question to the gate and the first byte
    person: bool = True  # may still decide about `unknown`
    anew: bool = False  # refused, it may begin anew: once
    fault: str = ""


Step = tuple[str, World]
# The world before, the step from there, and whether the workers then changed places.
CameFrom = dict[World, tuple[World, str, bool] | None]
OTHER_WORKER = str.maketrans("01", "10")  # in a step's name


def explore(rules: Rules, start: World, *, most: int = 2_000_000) -> tuple[int, list[str]]:
    """How many worlds can be reached, and the shortest way to a fault (empty when there is none)."""
    came_from: CameFrom = {start: None}
    before: dict[World, list[World]] = {}
    queue = deque([start])
    while queue:
        world = queue.popleft()
        for label, step in steps(world, rules):
            after, turned = _in_order(step)
            before.setdefault(after, []).append(world)
            if after in came_from:
                continue
            came_from[after] = (world, label, turned)
            if _fault(after):
                return len(came_from), _trace(after, came_from)
            queue.append(after)
        if len(came_from) > most:
            raise RuntimeError("The model is too large to be explored.")
    return len(came_from), _trace_to_stuck(came_from, before)


def _in_order(world: World) -> tuple[World, bool]:
    """The workers are alike, and so are requests: which of them is the first tells no two worlds apart.

    Returns too whether the workers had to change places.
    """
    first, second = world.workers
    requests = world.requests
    if turned := first > second:
        first, second = second, first
        requests = tuple(one if one.worker == GONE else one._replace(worker=1 - one.worker) for one in requests)
    return world._replace(workers=(first, second), requests=tuple(sorted(requests))), turned


def _fault(world: World) -> str:
    if world.state == "refused" and _can_be_found(world):
        return world.fault or "called refused, although it left"
    if world.state == "sent" and not world.submissions and all(worker.at == "idle" for worker in world.workers):
        return world.fault or "lost: called sent, never submitted"
    return world.fault


def _can_be_found(world: World) -> bool:
    """It left, and nobody has deleted its copy."""
    return any(item.place in ("submitted", "sent", "moved") for item in world.items)


def _trace(end: World, came_from: CameFrom) -> list[str]:
    way: list[tuple[str, bool]] = []
    world = end
    while (origin := came_from[world]) is not None:
        world, label, turned = origin
        way.append((label, turned))
    labels: list[str] = []
    have_turned = False
    for label, turned in reversed(way):
        labels.append(label.translate(OTHER_WORKER) if have_turned else label)
        have_turned ^= turned
    return [*labels, f"FAULT: {_fault(end)}"] if _fault(end) else labels


def _trace_to_stuck(came_from: CameFrom, before: dict[World, list[World]]) -> list[str]:
    """A world from which no end can be reached any more is a lost message."""
    ends = [world for world in came_from if world.state in FINAL and not world.rows and not world.anew]
    alive = set(ends)
    queue = deque(ends)
    while queue:
        for world in before.get(queue.popleft(), []):
            if world not in alive:
                alive.add(world)
                queue.append(world)
    for world in came_from:
        if world not in alive:
            return [*_trace(world, came_from), "FAULT: lost: no end can be reached"]
    return []


def steps(world: World, rules: Rules) -> Iterator[Step]:
    """Everything that can happen next; nothing more once it has ended and nobody is at work."""
    if (
        world.state in FINAL
        and not world.anew
        and not world.requests
        and all(worker.at == "idle" for worker in world.workers)
    ):
        return
    for number, worker in enumerate(world.workers):
        yield from _worker_steps(world, rules, number, worker)
        if world.crashes_left and worker.at != "idle":
            yield f"W{number} is killed", _killed(world, number)
    yield from _network_steps(world, rules)
    yield from _mailbox_steps(world)
    yield from _people_steps(world, rules)
    if _time_may_pass(world):
        yield "time passes", _later(world)


# --- The workers ---------------------------------------------------------------------------------------------------


def _worker_steps(world: World, rules: Rules, number: int, worker: Worker) -> Iterator[Step]:
    if worker.at == "idle":
        waits = world.anew or world.state not in FINAL | {"unknown"}
        if waits and (not world.lease_left or not rules.lease):
            yield f"W{number} claims the mailbox, reads {world.state}", _claimed(world, rules, number)
        return
    act = ACTS.get((worker.at, worker.known)) or ACTS[worker.at, ""]
    yield from ((f"W{number} {label}", after) for label, after in act(world, rules, number))


def _killed(world: World, number: int) -> World:
    unheard = tuple(
        request._replace(worker=GONE) if request.worker == number else request for request in world.requests
    )
    return _at(world._replace(crashes_left=world.crashes_left - 1, requests=unheard), number, Worker())


def _claimed(world: World, rules: Rules, number: int) -> World:
    allowed = rules.permit_in_transaction or world.permission in ("kept", "live")
    workers = [_unless_fenced(worker._replace(holds=False), rules) for worker in world.workers]
    workers[number] = Worker("looks", holds=True, known=world.state, allowed=allowed)
    requests = tuple(
        request._replace(worker=GONE) if request.worker != GONE and workers[request.worker].at == "idle" else request
        for request in world.requests
    )
    return world._replace(workers=tuple(workers), requests=requests, lease_left=LEASE)


def _unless_fenced(worker: Worker, rules: Rules) -> Worker:
    """Without the newest lease nothing can be committed; who has only that left to do has nothing left to do."""
    fenced = rules.lease and rules.epoch and not worker.holds
    only_commits = (worker.at == "looks" and worker.known != "due") or worker.at.startswith(("has", "was", "waits"))
    return Worker() if fenced and only_commits else worker


def _at(world: World, number: int, worker: Worker) -> World:
    workers = list(world.workers)
    workers[number] = worker
    return world._replace(workers=tuple(workers))


def _commit(world: World, rules: Rules, number: int, state: str, then: str, *, draft: int | None = None) -> World:
    """Write the row's state, unless a newer lease fences the worker off. `then`: what the worker does next."""
    worker = world.workers[number]
    if rules.lease and rules.epoch and not worker.holds:
        return _at(world, number, Worker())
    after = world._replace(state=state, since=0, draft=world.draft if draft is None else draft)
    if state == "unknown" and _can_be_found(world):
        after = after._replace(fault="unknown, although it left and could be found")
    if state in FINAL and world.rows:
        after = after._replace(state="planned", rows=world.rows - 1)
    draft = after.draft if then == "sends" else -1
    going_on = worker._replace(at=then, known=state, permit_age=0, made=-1, draft=draft)
    next_worker = Worker() if then == "idle" else going_on
    return _at(after, number, next_worker)


def _plan(world: World, rules: Rules, number: int) -> Iterator[Step]:
    if world.state == "due":
        yield (
            "inserts the message",
            _at(world._replace(state="planned", since=0), number, world.workers[number]._replace(known="planned")),
        )
    elif rules.one_message_per_step:
        yield "is refused a second message", _at(world, number, Worker())
    elif not world.rows:
        yield "inserts a second message", _at(world._replace(rows=1), number, Worker())


def _begin_drafting(world: World, rules: Rules, number: int) -> Iterator[Step]:
    yield "commits drafting", _commit(world, rules, number, "drafting", "creates")


def _begin_anew(world: World, rules: Rules, number: int) -> Iterator[Step]:
    """It was refused and may leave now. Its old draft is removed meanwhile: nobody waits for that."""
    if world.items[world.draft].place == "drafts" and not any(one.verb == "remove" for one in world.requests):
        asked = (*world.requests, Request(number, "remove", world.draft))
        yield "starts the request to remove the old draft", world._replace(requests=asked)
    after = _commit(world._replace(anew=False), rules, number, "drafting", "creates")
    if after.state == "drafting":
        after = _at(after, number, after.workers[number]._replace(replaces=world.draft))
    yield "begins anew, commits drafting", after


def _start_create(world: World, rules: Rules, number: int) -> Iterator[Step]:
    yield "starts the request to create", _started(world, number, "create", world.workers[number].replaces)


def _started(world: World, number: int, verb: str, item: int) -> World:
    worker = world.workers[number]._replace(at="waits")
    return _at(world._replace(requests=(*world.requests, Request(number, verb, item))), number, worker)


def _wait(world: World, rules: Rules, number: int) -> Iterator[Step]:
    """Nothing to do until the answer comes."""
    return iter(())


def _keep_draft(world: World, rules: Rules, number: int) -> Iterator[Step]:
    made = world.workers[number].made
    yield "commits drafted", _commit(world, rules, number, "drafted", "looks", draft=made)


def _permit(world: World, rules: Rules, number: int) -> Iterator[Step]:
    allowed = world.permission in ("kept", "live") if rules.permit_in_transaction else world.workers[number].allowed
    if not allowed:
        yield "commits refused", _commit(world, rules, number, "refused", "idle")
    elif not rules.state_before_call:
        going_on = world.workers[number]._replace(at="sends", permit_age=0, draft=world.draft)
        yield "goes to send", _at(world, number, going_on)
    elif not rules.answer_before_end:
        after = _commit(world, rules, number, "sending", "sends")
        yield "commits sent", after._replace(state="sent") if after.state == "sending" else after
    else:
        yield "permits and commits sending", _commit(world, rules, number, "sending", "sends")


def _start_send(world: World, rules: Rules, number: int) -> Iterator[Step]:
    if rules.permit_age and world.workers[number].permit_age > PERMIT:
        yield "finds its permit lapsed, commits drafted", _commit(world, rules, number, "drafted", "looks")
    elif world.freezes:
        yield "finds its permit young enough", _at(world, number, world.workers[number]._replace(at="passed"))
    else:
        yield from _first_byte(world, rules, number)


def _first_byte(world: World, rules: Rules, number: int) -> Iterator[Step]:
    after = _started(world, number, "send", world.workers[number].draft)
    if world.permission == "revoked":
        after = after._replace(fault="a request started after the revocation had returned")
    yield "starts the request to send", after


def _accept(world: World, rules: Rules, number: int) -> Iterator[Step]:
    yield "commits accepted", _commit(world, rules, number, "accepted", "idle")


def _keep_disarmed(world: World, rules: Rules, number: int) -> Iterator[Step]:
    yield "commits that its draft is disarmed", _commit(world, rules, number, "disarmed", "idle")


def _undo(world: World, rules: Rules, number: int) -> Iterator[Step]:
    if world.items[world.workers[number].draft].place in ("deleted", "disarmed"):
        yield "commits planned: there is no such draft", _commit(world, rules, number, "planned", "looks")
    else:
        yield "commits drafted: surely not sent", _commit(world, rules, number, "drafted", "looks")


def _repeat(world: World, rules: Rules, number: int) -> Iterator[Step]:
    """The answer was lost: take it for a no."""
    again = "drafted" if world.workers[number].known == "sending" else "planned"
    yield f"commits {again} to try again", _commit(world, rules, number, again, "looks")


def _reconcile_draft(world: World, rules: Rules, number: int) -> Iterator[Step]:
    found = _found(world, rules)
    if found is not None and world.items[found].place != "disarmed":
        yield "finds the draft, adopts it", _commit(world, rules, number, "drafted", "looks", draft=found)
    elif world.since >= COOL_DOWN:
        yield "finds no draft, commits planned", _commit(world, rules, number, "planned", "looks")
    else:
        yield "finds no draft yet", _at(world, number, Worker())


def _without_draft(world: World, index: int) -> World:
    if index < 0 or world.items[index].place != "drafts":
        return world
    gone = world.items[index]._replace(place="disarmed", visible=True, left=0)  # in Deleted Items
    return world._replace(items=(*world.items[:index], gone, *world.items[index + 1 :]))


def _reconcile_sent(world: World, rules: Rules, number: int) -> Iterator[Step]:
    found = _found(world, rules)
    place = "" if found is None else world.items[found].place
    cooled_down = world.since >= (COOL_DOWN if rules.long_cool_down else TOO_SHORT)
    if place in ("sent", "moved"):
        yield "finds the sent copy, commits sent", _commit(world, rules, number, "sent", "idle")
    elif world.state == "accepted" and cooled_down and place in ("", "disarmed"):
        yield "finds nothing, believes the yes, commits sent", _commit(world, rules, number, "sent", "idle")
    elif world.state == "accepted" and cooled_down:
        yield "finds a draft long after the yes, commits unknown", _commit(world, rules, number, "unknown", "idle")
    elif world.state == "accepted":
        yield "waits for the sent copy", _at(world, number, Worker())
    elif place and not rules.replace_only_unsubmitted:
        yield "finds a draft, commits planned", _commit(world, rules, number, "planned", "looks")
    elif not place and not rules.absence_is_no_proof:
        yield "finds nothing, commits planned", _commit(world, rules, number, "planned", "looks")
    elif not cooled_down:
        yield "cannot tell yet", _at(world, number, Worker())
    elif rules.disarm_before_replacing and (world.state == "sending" or place in ("drafts", "submitted")):
        draft = world.draft if found is None else found
        yield "starts the request to disarm the draft", _started(world, number, "disarm", draft)
    elif _shows_its_draft(world, rules) and not world.replaced:
        after = world._replace(replaced=True)
        yield "finds a draft long after, commits planned", _commit(after, rules, number, "planned", "looks")
    else:
        yield "cannot tell, commits unknown", _commit(world, rules, number, "unknown", "idle")


def _shows_its_draft(world: World, rules: Rules) -> bool:
    """The very draft that was to be submitted is there, not one of an earlier attempt."""
    seen = range(len(world.items)) if not rules.own_draft else [world.draft] if world.draft >= 0 else []
    return rules.key_on_the_draft and any(
        world.items[index].visible and world.items[index].place in ("drafts", "submitted", "disarmed") for index in seen
    )


def _found(world: World, rules: Rules) -> int | None:
    """What the search for the key sees: a sent copy first, since only that is an answer; then what can be submitted."""
    if not rules.key_on_the_draft:
        return None
    places = ("sent", "moved") if rules.whole_mailbox else ("sent",)
    hidden = ("deleted",) if rules.whole_mailbox else ("deleted", "moved")
    seen = [
        (item.place not in places, item.place == "disarmed", index)
        for index, item in enumerate(world.items)
        if item.visible and item.place not in hidden
    ]
    return min(seen)[-1] if seen else None


Act = Callable[[World, Rules, int], Iterator[Step]]
ACTS: dict[tuple[str, str], Act] = {
    ("looks", "due"): _plan,
    ("looks", "planned"): _begin_drafting,
    ("looks", "refused"): _begin_anew,
    ("looks", "drafting"): _reconcile_draft,
    ("looks", "drafted"): _permit,
    ("looks", "sending"): _reconcile_sent,
    ("looks", "disarmed"): _reconcile_sent,
    ("looks", "accepted"): _reconcile_sent,
    ("creates", ""): _start_create,
    ("sends", ""): _start_send,
    ("passed", ""): _first_byte,
    ("waits", ""): _wait,
    ("has create", ""): _keep_draft,
    ("has send", ""): _accept,
    ("has disarm", ""): _keep_disarmed,
    ("was refused", ""): _undo,
    ("has no answer", ""): _repeat,
}


# --- Microsoft, the network, people, time --------------------------------------------------------------------------


def _network_steps(world: World, rules: Rules) -> Iterator[Step]:
    for index, request in enumerate(world.requests):
        rest = world._replace(requests=world.requests[:index] + world.requests[index + 1 :])
        if request.verb == "remove":
            yield "the old draft is removed", _removed(_without_draft(rest, request.item), rules, request)
            yield "the request to remove the old draft is lost", rest
            continue
        who = f"W{request.worker}'s request to {request.verb}" if request.worker != GONE else "the orphaned request"
        if request.verb == "send" and world.items[request.item].place in ("deleted", "disarmed"):
            yield f"{who} finds no such draft, or a disarmed one", _answered(rest, rules, request, "was refused")
            continue
        done = _done(rest, request)
        yield f"{who} is done and answered", _answered(done, rules, request, f"has {request.verb}")
        yield f"{who} is done, the answer lost", _answered(done, rules, request, "has no answer")
        yield f"{who} is lost", _answered(rest, rules, request, "has no answer")
        if request.verb == "send":
            yield f"{who} is throttled", _answered(rest, rules, request, "was refused")


def _removed(world: World, rules: Rules, request: Request) -> World:
    """Its worker writes down that the draft is gone, in the state that it has read."""
    if request.worker == GONE or (rules.epoch and not world.workers[request.worker].holds):
        return world
    if rules.only_what_was_read and world.state != "refused":
        return world
    return world._replace(state="refused", since=0)


def _answered(world: World, rules: Rules, request: Request, at: str) -> World:
    """The worker that asked hears of it, if it still lives."""
    if request.worker == GONE:
        return world
    if at == "has no answer" and rules.reconcile_before_repeat:
        return _at(world, request.worker, Worker())  # it leaves the message to be reconciled
    made = len(world.items) - 1 if at == "has create" else -1
    worker = world.workers[request.worker]._replace(at=at, made=made)
    return _at(world, request.worker, _unless_fenced(worker, rules))


def _done(world: World, request: Request) -> World:
    """Microsoft does as it is told. It takes a second request to send as a second mail: no page says otherwise."""
    if request.verb == "create":
        world = _without_draft(world, request.item)
        return world._replace(items=(*world.items, Item("drafts")))
    items = list(world.items)
    if request.verb == "disarm":
        if items[request.item].place == "drafts":
            items[request.item] = items[request.item]._replace(place="disarmed")
        return world._replace(items=tuple(items))
    if items[request.item].place == "drafts":
        items[request.item] = items[request.item]._replace(place="submitted", left=SETTLE)
    fault = "submitted twice" if world.submissions else world.fault
    return world._replace(items=tuple(items), submissions=world.submissions + 1, fault=fault)


def _mailbox_steps(world: World) -> Iterator[Step]:
    for index, item in enumerate(world.items):

        def with_item(changed: Item, index: int = index) -> World:
            return world._replace(items=(*world.items[:index], changed, *world.items[index + 1 :]))

        if item.place == "submitted":
            yield "the mail moves to Sent Items", with_item(Item("sent", visible=True, left=0))
        elif not item.visible:
            yield "the search catches up", with_item(item._replace(visible=True, left=0))
        elif item.place == "sent":
            yield "the owner moves the sent copy", with_item(item._replace(place="moved"))
            yield "the owner deletes the sent copy for good", with_item(item._replace(place="deleted"))


def _people_steps(world: World, rules: Rules) -> Iterator[Step]:
    if world.permission == "live":
        yield "the permission is revoked", world._replace(permission="stopping")
    elif world.permission == "stopping":
        on_its_way = world.state == "sending" and world.since <= PERMIT
        if not (rules.drain and on_its_way):
            yield "the revocation returns", world._replace(permission="revoked")
    if world.state == "unknown" and world.person:
        if world.submissions:  # who has deleted the copy knows too
            yield "a person sees that it was sent", world._replace(state="sent", person=False)
        else:
            yield "a person says: not sent, send it", world._replace(state="drafting", since=0, person=False)
    elif world.state == "unknown":
        yield "a person lets it be", world._replace(state="refused")


def _time_may_pass(world: World) -> bool:
    """Not before what must happen by now has happened."""
    if any(request.age >= REQUEST for request in world.requests):
        return False
    return all(item.left for item in world.items if item.place == "submitted" or not item.visible)


def _later(world: World) -> World:
    oldest = PERMIT + 1
    return world._replace(
        since=min(world.since + 1, COOL_DOWN) if world.state in LOOKED_AFTER else 0,
        lease_left=max(world.lease_left - 1, 0),
        items=tuple(item._replace(left=max(item.left - 1, 0)) for item in world.items),
        requests=tuple(request._replace(age=request.age + 1) for request in world.requests),
        workers=tuple(
            worker._replace(permit_age=min(worker.permit_age + 1, oldest)) if worker.at == "sends" else worker
            for worker in world.workers
        ),
    )


def without(rule: str) -> Rules:
    return replace(Rules(), **{rule: False})


def names() -> list[str]:
    return [field.name for field in fields(Rules)]
