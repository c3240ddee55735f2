"""What can go wrong at Microsoft, as a tree: the line that matters is "surely not done" apart from "unknown".

MicrosoftError
├── NotDone             the request did nothing: it never left, or was refused before it was worked on
│   ├── Unreachable         no connection
│   ├── PermitLapsed        our own permit was too old to start
│   ├── TokenRejected       401: the access token no longer counts
│   ├── Throttled           429, or 503 with Retry-After
│   └── Refused             another 4xx: it will not work as it is
├── OutcomeUnknown      it left, and the answer was lost or says nothing: it may have been done
├── ReconnectNeeded     only the mailbox's owner can help: sign in again
├── OperatorProblem     only we can help: our registration, secret or configuration
└── MicrosoftUnavailable  sign-in cannot be reached or is unwell: later
"""


class MicrosoftError(Exception):
    """`reason` is stable, for code and for the row; messages carry no bodies, tokens or addresses."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotDone(MicrosoftError):
    pass


class Unreachable(NotDone):
    pass


class PermitLapsed(NotDone):
    pass


class TokenRejected(NotDone):
    pass


class Throttled(NotDone):
    """`delay`: seconds that Microsoft asks for, 0 where it names none."""

    def __init__(self, reason: str, delay: float, status: int = 429) -> None:
        super().__init__(reason)
        self.delay = delay
        self.status = status


class Refused(NotDone):
    """`reason` is Graph's error code where there is one (reference D3)."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class OutcomeUnknown(MicrosoftError):
    pass


class ReconnectNeeded(MicrosoftError):
    pass


class OperatorProblem(MicrosoftError):
    pass


class MicrosoftUnavailable(MicrosoftError):
    pass
