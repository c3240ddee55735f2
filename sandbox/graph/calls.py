"""Everything below /v1.0: who asks is found out, faults are met, and each call is written down."""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from sandbox.answers import Refused, error
from sandbox.directory import Account
from sandbox.faults import Fault
from sandbox.graph.asking import Ask, Route, routes
from sandbox.post import Post
from sandbox.wire import LARGEST_BODY, Request, Response
from sandbox.world import Call, World

_KEYED = re.compile(r"/?\('?([^'()]*)'?\)")


class Graph:
    """Answers every request below /v1.0."""

    def __init__(self, world: World, post: Post) -> None:
        self._world = world
        self._post = post

    def __call__(self, request: Request) -> Response:
        response = self._answered(request)
        named = {"request-id": str(uuid.uuid4()), "client-request-id": request.headers.get("client-request-id", "")}
        if 'IdType="ImmutableId"' in request.headers.get("prefer", ""):
            named["Preference-Applied"] = 'IdType="ImmutableId"'
        return replace(response, headers={**named, **response.headers})

    def _answered(self, request: Request) -> Response:
        with self._world.lock:
            person, scopes = self._asker(request)
        if person is None:
            return error(401, "InvalidAuthenticationToken", headers={"WWW-Authenticate": 'Bearer realm=""'})
        found = routes.find(request.method, _segments(request, person))
        if found is None:
            return error(400, "BadRequest", "Resource not found for the segment.")
        route, values = found
        call = Call(person.id, route.call, request.method, request.path, request.started_at)
        try:
            return self._logged(call, route, scopes, Ask(request, self._world, self._post, person, time.time(), values))
        finally:
            call.ended_at = time.time()

    def _asker(self, request: Request) -> tuple[Account | None, list[str]]:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._world.access_tokens.get(token) if kind.lower() == "bearer" else None
        if grant is None or grant.expires_at < time.time():
            return None, []
        return self._world.accounts.get(grant.account), grant.scopes

    def _logged(self, call: Call, route: Route, scopes: list[str], ask: Ask) -> Response:
        world, person = self._world, ask.person.id
        with world.lock:
            world.calls.append(call)
            at_once = world.in_flight[person] = world.in_flight.get(person, 0) + 1
            limit = world.knob(person, "calls_at_once")
            fault = world.next_fault(person, route.call)
            latency = world.knob(person, "latency_seconds")
        try:
            call.fault = fault.kind if fault else ""
            if limit and at_once > limit:
                response = error(429, "ApplicationThrottled", headers={"Retry-After": "1"})
            else:
                response = self._with_fault(fault, latency, lambda: self._done(call, route, scopes, ask))
            call.status = response.status
            return response
        finally:
            with world.lock:
                world.in_flight[person] = max(0, world.in_flight.get(person, 0) - 1)  # a reset may have come between

    def _with_fault(self, fault: Fault | None, latency: float, done: Callable[[], Response]) -> Response:
        if latency:
            time.sleep(latency)
        if fault is None:
            return done()
        response = fault.before()
        return response or fault.answer(done())

    def _done(self, call: Call, route: Route, scopes: list[str], ask: Ask) -> Response:
        with self._world.lock:
            try:
                _check(ask, route.scope, scopes)
                ask.now = time.time()
                response = route.answer(ask)
            except Refused as refusal:
                response = error(refusal.status, refusal.code, refusal.message)
            call.key = ask.touched.key if ask.touched else ""
        return response


def _check(ask: Ask, scope: str, scopes: list[str]) -> None:
    if scope not in scopes:
        raise Refused(403, "ErrorAccessDenied")
    if len(ask.request.body) > LARGEST_BODY:
        raise Refused(413, "ErrorMessageSizeExceeded", "The request is too large.")


def _segments(request: Request, person: Account) -> list[str]:
    """The path below /v1.0: keys and calls in parentheses as segments, /users/{me} as /me."""
    segments = request.segments[1:]
    if "(" in request.path:
        path = "/".join(segments)
        path = _KEYED.sub(lambda found: f"/{found[1]}" if found[1] else "", path).replace("microsoft.graph.", "")
        segments = path.split("/")
    if len(segments) > 1 and segments[0] == "users":
        if segments[1].lower() not in (person.id, person.address.lower(), person.user_principal_name.lower()):
            return ["users", "another"]
        segments = ["me", *segments[2:]]
    return segments
