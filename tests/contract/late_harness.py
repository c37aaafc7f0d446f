"""What the tests of late bookings share: an upstream that answers by path, a tagged request, and the ledger's attempts."""

import contextlib
import json
import sqlite3
from typing import Any

from tests.contract.case import compact
from tests.contract.endpoint_cases import RESPONSES, response
from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import Answer, Proxy
from tests.contract.scripted_upstream import Received, ScriptedUpstream, whole

TAGS = {"x-grammage-tag-campaign": "noel-26"}
JSON = {"content-type": "application/json"}
BACKGROUND = {**RESPONSES.ask, "background": True}


def rows(made: Proxy) -> list[dict[str, Any]]:
    """Every attempt in the ledger with its call and its estimate."""
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute(
            "SELECT a.*, c.operation, c.path, c.alias, c.caller_id, c.tags, c.origin_call_id, c.started_ms, e.gco2e, e.method, e.warnings"
            " FROM calls c JOIN attempts a ON a.call_id = c.call_id LEFT JOIN estimates e ON e.attempt_id = a.attempt_id"
            " ORDER BY c.started_ms, c.call_id, a.ordinal"
        )
        return [plain(row) for row in found]


def post(made: Proxy, path: str, body: Any, **headers: str) -> Answer:
    return made.send("POST", path, json.dumps(body).encode(), {**JSON, **TAGS, **headers})


def answer_by_path(upstream: ScriptedUpstream, answers: dict[str, list[bytes]]) -> None:
    """The upstream answers each path with its own parts; others with an empty object."""

    def script(request: Received) -> list[bytes]:
        path = request.target.partition("?")[0]
        return answers.get(f"{request.method} {path}") or answers.get(path) or whole(b"{}")

    upstream.script = script


def queued(**changes: Any) -> bytes:
    return compact(response(id="resp_bg", status="queued", background=True, usage=None, output=[], **changes))


def completed(status: str = "completed", **changes: Any) -> bytes:
    return compact(response(**{"id": "resp_bg", "status": status, "background": True, **changes}))
