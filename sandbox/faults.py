"""What goes wrong on demand: per mailbox and call, a number of times."""

import time
from dataclasses import dataclass

from sandbox.answers import error
from sandbox.wire import Dropped, Response, Silenced

# Names of calls: those of Graph as its own client would name them, and `token` for the token endpoint.
CALLS = (
    "any",
    "me",
    "settings",
    "folder",
    "list",
    "get",
    "delta",
    "create_draft",
    "create_reply",
    "patch",
    "move",
    "delete",
    "send",
    "token",
)
# After these the call has been done, although its caller cannot know.
DONE_FIRST = {"lost_after", "status_after", "silent_after", "html_after", "garbage", "strange", "empty"}
KINDS = {
    "lost_before": "The connection drops, and nothing was done",
    "lost_after": "It is done, and the answer is lost",
    "silent": "Nothing is done, and no answer ever comes",
    "silent_after": "It is done, and no answer ever comes",
    "throttled": "429, nothing was done",
    "status": "An error status, nothing was done",
    "status_after": "It is done, and an error status is answered",
    "html": "A proxy's HTML page, nothing was done",
    "html_after": "It is done, and a proxy's HTML page is answered",
    "garbage": "It is done, and the answer is broken JSON",
    "strange": "It is done, and the answer is JSON of another shape",
    "empty": "It is done, and the answer is empty",
    "slow": "It is done after some seconds",
    "unauthorized": "401, as if the token no longer counted",
    "claims": "401 with a claims challenge",
}
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
FOREVER = -1


@dataclass
class Fault:
    """`skip` calls go well first, then `times` calls go wrong (-1: all)."""

    id: str
    account: str
    call: str
    kind: str
    times: int = 1
    skip: int = 0
    status: int = 0
    code: str = ""
    seconds: float = 0.0
    retry_after: str | None = None  # as written into the header; none: no header
    header: str = "Retry-After"

    def takes(self, call: str) -> bool:
        return self.call in ("any", call) and self.times != 0

    def before(self) -> Response | None:
        """What happens in place of the call, or nothing."""
        if self.kind == "slow":
            time.sleep(self.seconds)
        if self.kind == "lost_before":
            raise Dropped
        if self.kind == "silent":
            raise Silenced
        return None if self.kind in DONE_FIRST or self.kind == "slow" else self.answer(Response(200))

    def answer(self, done: Response) -> Response:
        """What is answered; `done` is what would have been."""
        if self.kind == "lost_after":
            raise Dropped
        if self.kind == "silent_after":
            raise Silenced
        if self.kind in ("html", "html_after"):
            return Response(self.status or 502, HTML, "text/html")
        if self.kind == "garbage":
            return Response(done.status, b'{"value": [', "application/json")
        if self.kind == "strange":
            return Response(done.status, b'{"value": {"hello": ["world"]}}', "application/json")
        if self.kind == "empty":
            return Response(done.status, b"", "application/json")
        return self._error() if self.kind != "slow" else done

    def _error(self) -> Response:
        status, code = {
            "throttled": (429, "ApplicationThrottled"),
            "unauthorized": (401, "InvalidAuthenticationToken"),
            "claims": (401, "InvalidAuthenticationToken"),
        }.get(self.kind, (self.status or 503, _USUAL_CODES.get(self.status, "UnknownError")))
        headers = {self.header: self.retry_after} if self.retry_after is not None else {}
        if self.kind == "claims":
            headers["WWW-Authenticate"] = _CHALLENGE
        return error(status, self.code or code, headers=headers)


_USUAL_CODES = {
    400: "ErrorInvalidRequest",
    403: "ErrorAccessDenied",
    404: "ErrorItemNotFound",
    500: "ErrorInternalServerTransientError",
    502: "UnknownError",
    503: "ServiceUnavailable",
    504: "UnknownError",
    507: "ErrorQuotaExceeded",
}
_CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    'error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNyJ9fX0="'
)
