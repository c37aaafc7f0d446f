"""A proxy whose policy reuses answers, in front of a scripted provider, and what it kept, read from outside. It must never hold a test."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import Proxy, ask, proxy, until
from tests.contract.scripted_upstream import ScriptedUpstream, streamed, whole

BODY = b'{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Soft."}}],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}'  # noqa: E501
OK = whole(BODY, (b"x-request-id", b"req-1"), (b"x-ratelimit-remaining-requests", b"7"))
VECTORS = whole(
    b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":9,"total_tokens":9}}'
)
EVENTS = (
    b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"So"}}],"usage":null}\n\n',  # noqa: E501
    b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"ft"},"finish_reason":"stop"}],"usage":null}\n\n',  # noqa: E501
    b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}\n\n',  # noqa: E501
    b"data: [DONE]\n\n",
)
STREAM = streamed(*EVENTS)
POLICY = {"name": "ask-once", "apply": {"reuse": "24h"}, "mode": "enforce"}
MESSAGES: list[Any] = [{"role": "user", "content": "Describe a merino jumper."}]
OTHER_KEY = "sk-another-0123456789"
VIEWER_KEY = "sk-viewer-0123456789"
VIEWER = {"name": "board", "key": VIEWER_KEY, "role": "viewer"}


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, *policies: dict[str, Any], **sections: Any) -> Iterator[Proxy]:
    upstream.answers(*OK)
    upstream.received.clear()
    place = {"provider": "azure", "region": "francecentral", "api_base": f"{upstream.url}/v1", "api_key": "k"}
    models = {
        "small": {"deployments": [{**place, "model": "gpt-4o-mini"}]},
        "large": {"deployments": [{**place, "model": "gpt-4o"}]},
        "vectors": {"deployments": [{**place, "model": "text-embedding-3-small"}]},
    }
    with proxy(folder, models=models, policies=list(policies or (POLICY,)), **sections) as made:
        yield made


def request(**changes: Any) -> dict[str, Any]:
    return ask(**{"model": "small", "temperature": 0, **changes})


def instead(made: Proxy) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [plain(row) for row in database.execute("SELECT * FROM instead ORDER BY rowid")]


def counted(made: Proxy, result: str, policy: str = "ask-once") -> float:
    start = f'grammage_reuse_total{{policy="{policy}",result="{result}"}} '
    lines = metrics(made).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def metrics(made: Proxy) -> str:
    return made.get("/metrics", authorization=f"Bearer {VIEWER_KEY}").body.decode()


def kept(made: Proxy, answers: int = 1) -> None:
    """Waits until so many answers are in the store."""
    until(lambda: counted(made, "stored") >= answers or None)


def attempts(made: Proxy) -> int:
    return sum(row["provider"] is not None for row in made.calls())
