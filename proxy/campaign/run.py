"""Sends a small campaign, product sheets and an ad visual, through a proxy with the official SDK, and reads what each call weighs.

It must never weigh anything itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.campaign.products import MARKETS, SYSTEM, Product
from proxy.campaign.visuals import visual_prompt
from proxy.simulate.pace import PACE_HEADER

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONCURRENCY = 4
MOST_TOKENS = 700
SHEETS = "product-sheets"
VISUALS = "ad-visuals"
FINAL_EVERY = 5
"""One visual in five is a final one."""


class Unreachable(Exception):
    """The proxy did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One thing to ask for: a product sheet in a language, streamed or not, or a variant of an ad visual for the market of one."""

    product: Product
    language: str
    model: str
    stage: str
    stream: bool = False
    variant: int | None = None

    @property
    def tool(self) -> str:
        """What the team would call its work, as a tag."""
        return SHEETS if self.variant is None else VISUALS


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedCall:
    """One call as the answer itself told it. None: not told. `problem`: why nothing was made."""

    piece: Piece
    call_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    energy_wh: float | None = None
    gco2e: float | None = None
    gco2e_low: float | None = None
    gco2e_high: float | None = None
    quality: str | None = None
    problem: str | None = None


def plan_campaign(products: Sequence[Product], languages: Sequence[str], *, large: str, small: str) -> tuple[Piece, ...]:
    """Every product in every language; models take turns, and so do unary and streamed calls."""
    sheets: list[Piece] = []
    for product in products:
        for language in languages:
            place = len(sheets)
            is_large = place % 2 == 0
            stage = "final" if is_large else "draft"
            model = large if is_large else small
            sheets.append(Piece(product=product, language=language, model=model, stage=stage, stream=place // 2 % 2 == 1))
    return tuple(sheets)


def plan_visuals(product: Product, languages: Sequence[str], variants: int, *, final: str, draft: str) -> tuple[Piece, ...]:
    """Variants of one ad visual, markets in turn: drafts, and a final one after every four."""
    return tuple(
        Piece(
            product=product,
            language=languages[variant % len(languages)],
            model=final if (variant + 1) % FINAL_EVERY == 0 else draft,
            stage="final" if (variant + 1) % FINAL_EVERY == 0 else "draft",
            variant=variant,
        )
        for variant in range(variants)
    )


def tag_headers(piece: Piece, campaign: str) -> dict[str, str]:
    """The tags of one call, as a real team would set them."""
    prefix = "x-grammage-tag-"
    return {
        prefix + "campaign": campaign,
        prefix + "brand": piece.product.brand,
        prefix + "market": MARKETS[piece.language],
        prefix + "tool": piece.tool,
        prefix + "stage": piece.stage,
    }


async def run_campaign(
    pieces: Sequence[Piece], *, base_url: str, api_key: str, campaign: str, pace: bool = False
) -> AsyncGenerator[WeighedCall, None]:
    """Sends the requests, four at a time, and yields each call as it is weighed. Raises Unreachable.

    base_url ends in /v1. pace: simulated models write at the pace of real ones instead of at once.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # the SDK is slow to import and no server needs it

    direct = DefaultAsyncHttpxClient(trust_env=False)  # the proxy is on this machine: no egress proxy in between
    async with AsyncOpenAI(base_url=base_url, api_key=api_key, http_client=direct) as client:
        gate = asyncio.Semaphore(CONCURRENCY)
        extra = {PACE_HEADER: "on"} if pace else {}
        tasks = [asyncio.ensure_future(_send(client, gate, piece, tag_headers(piece, campaign) | extra)) for piece in pieces]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _send(client: "AsyncOpenAI", gate: asyncio.Semaphore, piece: Piece, headers: Mapping[str, str]) -> WeighedCall:
    from openai import APIConnectionError, APIStatusError  # as above

    async with gate:
        try:
            return await _way_of(piece)(client, piece, headers)
        except APIStatusError as error:
            return WeighedCall(piece=piece, call_id=error.response.headers.get("x-grammage-call-id"), problem=_reason(error))
        except APIConnectionError as error:
            raise Unreachable(f"the proxy at {client.base_url} did not answer: {error.__cause__ or error}") from error


def _way_of(piece: Piece) -> "Callable[[AsyncOpenAI, Piece, Mapping[str, str]], Awaitable[WeighedCall]]":
    if piece.variant is not None:
        return _visual
    return _streamed if piece.stream else _unary


def _reason(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return f"{error.status_code} {body.get('code') or ''}: {body.get('message') or error.message}".replace(" :", ":")


def _messages(piece: Piece) -> Any:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": piece.product.prompt(piece.language)}]


async def _unary(client: "AsyncOpenAI", piece: Piece, tags: Mapping[str, str]) -> WeighedCall:
    """A call whose answer comes whole: the footprint is in the headers, final."""
    raw = await client.chat.completions.with_raw_response.create(
        model=piece.model, messages=_messages(piece), max_completion_tokens=MOST_TOKENS, extra_headers=tags
    )
    usage = raw.parse().usage
    tokens = (None, None) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    return _told_by_headers(piece, raw.headers, tokens)


async def _visual(client: "AsyncOpenAI", piece: Piece, tags: Mapping[str, str]) -> WeighedCall:
    """A picture: the footprint is in the headers, final."""
    prompt = visual_prompt(piece.product, piece.variant or 0)
    raw = await client.images.with_raw_response.generate(model=piece.model, prompt=prompt, size="1024x1024", extra_headers=tags)
    usage = raw.parse().usage
    tokens = (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)
    return _told_by_headers(piece, raw.headers, tokens)


def _told_by_headers(piece: Piece, headers: Mapping[str, str], tokens: tuple[int | None, int | None]) -> WeighedCall:
    return WeighedCall(
        piece=piece,
        call_id=headers.get("x-grammage-call-id"),
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        energy_wh=_figure(headers.get("x-grammage-energy-wh")),
        gco2e=_figure(headers.get("x-grammage-gco2e")),
        gco2e_low=_figure(headers.get("x-grammage-gco2e-low")),
        gco2e_high=_figure(headers.get("x-grammage-gco2e-high")),
        quality=headers.get("x-grammage-quality"),
    )


async def _streamed(client: "AsyncOpenAI", piece: Piece, tags: Mapping[str, str]) -> WeighedCall:
    """A streamed call: headers came before the answer, so the footprint is read from the last chunk's usage."""
    raw = await client.chat.completions.with_raw_response.create(
        model=piece.model,
        messages=_messages(piece),
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
        piece=piece,
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
