"""The calls of a made-up month, seeded: kinds of work, lengths, hours, scores. It must never tell a policy what only the month knows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

MODELS = ("large", "medium", "small")
"""Aliases of the configuration, the one that callers ask for first."""

REGIONS = ("germanywestcentral", "polandcentral", "francecentral", "swedencentral")
"""Where each is deployed; the first serves without policies."""

STAGES = ("draft", "final")
MARKETS = ("en", "fr", "de", "es", "pl", "ja")
COMMON_MARKETS = 4
"""So many of the languages are those that small models know well."""

HOURS = 744
LENGTH_THIRDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of work: its share of the calls, its median lengths in tokens with the spread of their logarithm, its share of drafts.

    scores: mean quality of large, medium and small on drafts, and on finals, in the languages that small models know well.
    """

    name: str
    share: float
    input_tokens: float
    input_spread: float
    output_tokens: float
    output_spread: float
    drafts: float
    scores: tuple[tuple[float, float, float], tuple[float, float, float]]


KINDS = (
    Kind(
        name="sheet", share=0.30, input_tokens=900, input_spread=0.5, output_tokens=350, output_spread=0.3, drafts=0.55,
        scores=((0.900, 0.895, 0.890), (0.910, 0.893, 0.830)),
    ),
    Kind(
        name="translation", share=0.25, input_tokens=600, input_spread=0.5, output_tokens=620, output_spread=0.5, drafts=0.25,
        scores=((0.930, 0.925, 0.905), (0.930, 0.918, 0.860)),
    ),
    Kind(
        name="copy", share=0.15, input_tokens=400, input_spread=0.4, output_tokens=120, output_spread=0.5, drafts=0.80,
        scores=((0.860, 0.858, 0.855), (0.870, 0.835, 0.740)),
    ),
    Kind(
        name="summary", share=0.12, input_tokens=4000, input_spread=0.7, output_tokens=250, output_spread=0.4, drafts=0.60,
        scores=((0.900, 0.898, 0.894), (0.900, 0.890, 0.850)),
    ),
    Kind(
        name="chat", share=0.18, input_tokens=1500, input_spread=0.9, output_tokens=280, output_spread=0.7, drafts=0.90,
        scores=((0.880, 0.877, 0.873), (0.880, 0.850, 0.780)),
    ),
)  # fmt: skip

RARE_LOSS = 2.2
"""In the other languages, smaller models fall behind by so many times as much."""

WORDINESS = (1.0, 1.04, 1.10)
"""Length of a model's answers, to the large one's."""

CALLS_PER_ASSET, FEWEST_ASSETS = 25, 200
ASSET_SD, CALL_SD, MODEL_SD = 0.03, 0.04, 0.05
"""How scores spread: by asset, by call, and by model within a call."""

FIRST_TOKEN_MS = (650.0, 380.0, 240.0)
TOKENS_PER_S = (70.0, 110.0, 160.0)
AWAY_MS = (20.0, 35.0, 8.0, 45.0)
LATENCY_SPREAD = 0.25
BUSY = 0.35
"""Answers take so much longer at the busiest hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """Calls, a row each. kind, stage, market, asset: numbers of names; hour: of the month; output_tokens: by model.

    score: true quality of each model's answer; latency_ms: by model and region.
    """

    kind: Whole
    stage: Whole
    market: Whole
    asset: Whole
    hour: Whole
    input_tokens: Whole
    output_tokens: Whole
    score: Floats
    latency_ms: Floats

    def __len__(self) -> int:
        return len(self.kind)

    def tags_of(self, i: int) -> tuple[tuple[str, str], ...]:
        """The tags that call `i` carries."""
        return (
            ("asset", f"{KINDS[self.kind[i]].name}-{self.asset[i]}"),
            ("stage", STAGES[self.stage[i]]),
            ("tool", KINDS[self.kind[i]].name),
            ("market", MARKETS[self.market[i]]),
        )

    @property
    def is_rare(self) -> Whole:
        """1 for calls in a language that small models know less well."""
        return (self.market >= COMMON_MARKETS).astype(np.int64)


def month_of(calls: int, seed: int) -> Month:
    """A month of so many calls."""
    rng = np.random.default_rng(seed)
    shares = np.array([each.share for each in KINDS])
    asset_kind = rng.choice(len(KINDS), max(calls // CALLS_PER_ASSET, min(calls, FEWEST_ASSETS)), p=shares / shares.sum())
    asset = rng.integers(0, len(asset_kind), calls)
    kind = asset_kind[asset]
    market = rng.choice(len(MARKETS), len(asset_kind), p=(0.24, 0.30, 0.16, 0.10, 0.12, 0.08))[asset]
    stage = (rng.random(calls) >= np.array([each.drafts for each in KINDS])[kind]).astype(np.int64)
    input_tokens = _lengths(rng, kind, "input", calls)
    output_tokens = np.stack([np.maximum(_lengths(rng, kind, "output", calls) * 1.0, 1.0)] * len(MODELS), axis=1)
    written = np.rint(output_tokens * np.array(WORDINESS) * rng.lognormal(0.0, 0.08, output_tokens.shape)).astype(np.int64)
    hour = _hours(rng, calls)
    return Month(
        kind=kind,
        stage=stage,
        market=market,
        asset=asset,
        hour=hour,
        input_tokens=input_tokens,
        output_tokens=np.maximum(written, 1),
        score=_scores(rng, kind, stage, market, asset),
        latency_ms=_latencies(rng, np.maximum(written, 1), hour),
    )


def _lengths(rng: np.random.Generator, kind: Whole, what: str, calls: int) -> Whole:
    median = np.array([getattr(each, f"{what}_tokens") for each in KINDS])[kind]
    spread = np.array([getattr(each, f"{what}_spread") for each in KINDS])[kind]
    found: Whole = np.maximum(np.rint(median * np.exp(spread * rng.standard_normal(calls))), 1).astype(np.int64)
    return found


def busyness() -> Floats:
    """How many calls come in each hour of the month, 1 in the busiest: offices by day, machines by night, less at weekends."""
    hour = np.arange(HOURS)
    day, of_day = hour // 24, hour % 24
    office = np.exp(-(((of_day - 12.5) / 3.6) ** 2))
    weekend = np.isin((day + 1) % 7, (5, 6))  # the first of the month is a Tuesday
    found: Floats = np.where(weekend, 0.18, 1.0) * office + 0.06
    return found / float(found.max())


def _hours(rng: np.random.Generator, calls: int) -> Whole:
    busy = busyness()
    found: Whole = np.sort(rng.choice(HOURS, calls, p=busy / busy.sum()))
    return found


def _scores(rng: np.random.Generator, kind: Whole, stage: Whole, market: Whole, asset: Whole) -> Floats:
    calls = len(kind)
    means = np.array([each.scores for each in KINDS])[kind, stage]
    loss = means[:, :1] - means
    means = means[:, :1] - loss * np.where(market >= COMMON_MARKETS, RARE_LOSS, 1.0)[:, None]
    of_asset = rng.normal(0.0, ASSET_SD, int(asset.max()) + 1)[asset]
    shared = of_asset + rng.normal(0.0, CALL_SD, calls)
    found: Floats = np.clip(means + shared[:, None] + rng.normal(0.0, MODEL_SD, means.shape), 0.0, 1.0)
    return found


def _latencies(rng: np.random.Generator, written: Whole, hour: Whole) -> Floats:
    own = np.array(FIRST_TOKEN_MS) + 1000 * written / np.array(TOKENS_PER_S)
    load = 1 + BUSY * busyness()[hour]
    found: Floats = (own * load[:, None])[:, :, None] + 2 * np.array(AWAY_MS)
    return found * rng.lognormal(0.0, LATENCY_SPREAD, found.shape)
