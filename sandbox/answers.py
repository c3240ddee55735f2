"""Answers as Graph writes them: JSON, and its error envelope."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.wire import Response

JSON = "application/json"
GRAPH_JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

_TEXTS = {
    "InvalidAuthenticationToken": "Access token has expired or is not yet valid.",
    "ErrorAccessDenied": "Access is denied. Check credentials and try again.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ApplicationThrottled": "Application is over its MailboxConcurrency limit.",
    "MailboxNotEnabledForRESTAPI": "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    "InefficientFilter": "The restriction or sort order is too complex for this operation.",
    "SyncStateNotFound": "The sync state generation is not found; continuing from it is not possible.",
    "ErrorQuotaExceeded": "The mailbox is over its quota.",
}


class Refused(Exception):
    """Graph refuses the call."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


def answer(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, json.dumps(content).encode(), GRAPH_JSON, headers or {})


def plain(content: Any, status: int = 200) -> Response:
    """JSON of no Graph kind: the control interface's and the sign-in's."""
    return Response(status, json.dumps(content).encode(), JSON, {"Cache-Control": "no-store"})


def error(status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> Response:
    inner = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "request-id": str(uuid.uuid4()),
        "client-request-id": str(uuid.uuid4()),
    }
    content = {"error": {"code": code, "message": message or _TEXTS.get(code, ""), "innerError": inner}}
    return Response(status, json.dumps(content).encode(), JSON, headers or {})
