"""Asks OpenAI's usage API for a period, page by page. It must never show the admin key, nor follow pages in a circle."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from proxy.errors import StartError

DEFAULT_BASE: Final = "https://api.openai.com/v1"
PATHS: Final = (
    "organization/usage/completions",
    "organization/usage/embeddings",
    "organization/usage/moderations",
    "organization/usage/images",
    "organization/usage/audio_speeches",
    "organization/usage/audio_transcriptions",
    "organization/costs",
)
COSTS: Final = PATHS[-1]
DAYS_A_PAGE: Final = "31"
MOST_PAGES: Final = 1000

Fetch = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[bytes]]
"""Gets the body of an address with a query and headers."""


async def usage_pages(fetch: Fetch, base_url: str, key: str, since_ms: int, until_ms: int) -> list[bytes]:
    """Every page of every kind of usage in the period, in days (UTC), by model. Raises StartError for a page that is none."""
    pages: list[bytes] = []
    for path in PATHS:
        query = {"start_time": str(since_ms // 1000), "end_time": str(until_ms // 1000), "bucket_width": "1d", "limit": DAYS_A_PAGE}
        if path != COSTS:
            query["group_by"] = "model"
        pages += await _pages_of(fetch, f"{base_url.rstrip('/')}/{path}", query, {"authorization": f"Bearer {key}"})
    return pages


def write_pages(path: Path, pages: list[bytes]) -> None:
    """The pages as a file of one document a line, as `grammage import --kind openai-usage` reads it. Raises StartError."""
    try:
        path.write_bytes(b"".join(msgspec.json.encode(msgspec.json.decode(page)) + b"\n" for page in pages))
    except OSError as error:
        raise StartError(f"{path}: cannot be written: {error.strerror}") from error


async def _pages_of(fetch: Fetch, url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> list[bytes]:
    found: list[bytes] = []
    asked: set[str] = set()
    more: dict[str, str] = {}
    while len(found) < MOST_PAGES:
        page = await fetch(url, {**query, **more}, headers)
        found.append(page)
        token = _next(page, url)
        if token is None:
            return found
        if token in asked:
            break
        asked.add(token)
        more = {"page": token}
    raise StartError(f"{url} goes round in circles: its page {len(found)} names one that was read before")


def _next(page: bytes, url: str) -> str | None:
    """The mark of the page after this one, None: it is the last."""
    try:
        document: Any = msgspec.json.decode(page)
    except msgspec.DecodeError as error:
        raise StartError(f"{url} answers what is no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise StartError(f"{url} answers what is no page of usage: it has no list `data`")
    token = document.get("next_page")
    return token if document.get("has_more") and isinstance(token, str) and token else None
