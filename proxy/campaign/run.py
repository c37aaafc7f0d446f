"""Sends a small campaign of product sheets through a proxy with the official SDK, and reads what each call weighs.

It must never weigh anything itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.campaign.products import MARKETS, SYSTEM, Product
from proxy.simulate.pace import PACE_HEADER

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONCURRENCY = 4
MOST_TOKENS = 700


class Unreachable(Exception):
    """The proxy did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet to ask for: which product, in which language, from which model, streamed or not."""

    product: Product
    language: str
    model: str
    stage: str
    stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedCall:
    """One call as the answer itself told it. None: not told. `problem`: why there was no sheet."""

    sheet: Sheet
    call_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    energy_wh: float | None = None
    gco2e: float | None = None
    gco2e_low: float | None = None
    gco2e_high: float | None = None
    quality: str | None = None
    problem: str | None = None


def plan_campaign(products: Sequence[Product], languages: Sequence[str], *, large: str, small: str) -> tuple[Sheet, ...]:
    """Every product in every language; models take turns, and so do unary and streamed calls."""
    sheets: list[Sheet] = []
    for product in products:
        for language in languages:
            place = len(sheets)
            is_large = place % 2 == 0
            stage = "final" if is_large else "draft"
            model = large if is_large else small
            sheets.append(Sheet(product=product, language=language, model=model, stage=stage, stream=place // 2 % 2 == 1))
    return tuple(sheets)


def tag_headers(sheet: Sheet, campaign: str) -> dict[str, str]:
    """The tags of one call, as a real team would set them."""
    prefix = "x-grammage-tag-"
    return {
        prefix + "campaign": campaign,
        prefix + "brand": sheet.product.brand,
        prefix + "market": MARKETS[sheet.language],
        prefix + "tool": "product-sheets",
        prefix + "stage": sheet.stage,
    }


async def run_campaign(
    sheets: Sequence[Sheet], *, base_url: str, api_key: str, campaign: str, pace: bool = False
) -> AsyncGenerator[WeighedCall, None]:
    """Sends the sheets, four at a time, and yields each call as it is weighed. Raises Unreachable.

    base_url ends in /v1. pace: simulated models write at the pace of real ones instead of at once.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # the SDK is slow to import and no server needs it

    direct = DefaultAsyncHttpxClient(trust_env=False)  # the proxy is on this machine: no egress proxy in between
    async with AsyncOpenAI(base_url=base_url, api_key=api_key, http_client=direct) as client:
        gate = asyncio.Semaphore(CONCURRENCY)
        extra = {PACE_HEADER: "on"} if pace else {}
        tasks = [asyncio.ensure_future(_send(client, gate, sheet, tag_headers(sheet, campaign) | extra)) for sheet in sheets]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _send(client: "AsyncOpenAI", gate: asyncio.Semaphore, sheet: Sheet, headers: Mapping[str, str]) -> WeighedCall:
    from openai import APIConnectionError, APIStatusError  # as above

    async with gate:
        try:
            return await (_streamed if sheet.stream else _unary)(client, sheet, headers)
        except APIStatusError as error:
            return WeighedCall(sheet=sheet, call_id=error.response.headers.get("x-grammage-call-id"), problem=_reason(error))
        except APIConnectionError as error:
            raise Unreachable(f"the proxy at {client.base_url} did not answer: {error.__cause__ or error}") from error


def _reason(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return f"{error.status_code} {body.get('code') or ''}: {body.get('message') or error.message}".replace(" :", ":")


def _messages(sheet: Sheet) -> Any:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": sheet.product.prompt(sheet.language)}]


async def _unary(client: "AsyncOpenAI", sheet: Sheet, tags: Mapping[str, str]) -> WeighedCall:
    """A call whose answer comes whole: the footprint is in the headers, final."""
    raw = await client.chat.completions.with_raw_response.create(
        model=sheet.model, messages=_messages(sheet), max_completion_tokens=MOST_TOKENS, extra_headers=tags
    )
    usage = raw.parse().usage
    return WeighedCall(
        sheet=sheet,
        call_id=raw.headers.get("x-grammage-call-id"),
        input_tokens=None if usage is None else usage.prompt_tokens,
        output_tokens=None if usage is None else usage.completion_tokens,
        energy_wh=_figure(raw.headers.get("x-grammage-energy-wh")),
        gco2e=_figure(raw.headers.get("x-grammage-gco2e")),
        gco2e_low=_figure(raw.headers.get("x-grammage-gco2e-low")),
        gco2e_high=_figure(raw.headers.get("x-grammage-gco2e-high")),
        quality=raw.headers.get("x-grammage-quality"),
    )


async def _streamed(client: "AsyncOpenAI", sheet: Sheet, tags: Mapping[str, str]) -> WeighedCall:
    """A streamed call: headers came before the answer, so the footprint is read from the last chunk's usage."""
    raw = await client.chat.completions.with_raw_response.create(
        model=sheet.model,
        messages=_messages(sheet),
        max_completion_tokens=MOST_TOKENS,
        extra_headers=tags,
        stream=True,
        stream_options={"include_usage": True},
    )
    usage = None
    async for chunk in raw.parse():
        usage = chunk.usage or usage
    footprint = (usage.model_extra or {}).get("footprint") if usage is not None else None
    told = footprint if isinstance(footprint, dict) else {}
    return WeighedCall(
        sheet=sheet,
        call_id=raw.headers.get("x-grammage-call-id"),
        input_tokens=None if usage is None else usage.prompt_tokens,
        output_tokens=None if usage is None else usage.completion_tokens,
        energy_wh=told.get("energy_wh"),
        gco2e=told.get("gco2e"),
        gco2e_low=told.get("gco2e_low"),
        gco2e_high=told.get("gco2e_high"),
        quality=told.get("quality"),
    )


def _figure(text: str | None) -> float | None:
    return None if text is None else float(text)
