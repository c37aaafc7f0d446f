"""Cells of a report with figures that are easy to check. It must never read a ledger."""

from typing import Any

from estimators.quantity import LogVariance, ScopeKeys, around
from proxy.ledger.cells import Cell
from proxy.ledger.columns import USAGE_COUNTS
from proxy.ledger.deliveries import AssetCell
from proxy.ledger.queries import Opinions

DOUBT = LogVariance(method=0.04, provider=0.02, model=0.09, zone=0.01, call=0.02)


def cell(
    *,
    operation: str = "chat",
    provider: str = "openai",
    model: str = "gpt-4o",
    zone: str = "US",
    factor_set: str = "old",
    attempts: int = 10,
    grams: float = 1.0,
    tokens: int = 0,
    images: int = 0,
    doubt: LogVariance = DOUBT,
    tags: tuple[str, ...] = (),
    **changes: Any,
) -> Cell:
    """Attempts of so many grams, 80 % of them operational at 0.4 g per Wh; half of the tokens are written."""
    shares = {"gco2e": 1.0, "operational_gco2e": 0.8, "embodied_gco2e": 0.2, "facility_energy_wh": 2.0, "water_ml": 3.0}
    opinions = Opinions(
        key="all",
        shared=ScopeKeys("tokens@1.0.0", provider, model, zone),
        quality="D",
        factor_set=factor_set,
        profile="sci-consumer",
        attempts=attempts,
        lines={line: around(grams * share, doubt) for line, share in shares.items()},
    )
    usage = dict.fromkeys((*USAGE_COUNTS, "seconds"), 0.0)
    facts: dict[str, Any] = {
        "operation": operation,
        "policy": "none",
        "provider": provider,
        "model": model,
        "region": None,
        "zone": zone,
        "tags": tags,
        "opinions": opinions,
        "usage": usage | {"input_tokens": tokens - tokens // 2, "output_tokens": tokens // 2, "images": images},
        "answers": attempts,
        "short_answers": 0,
        "long_answers": 0,
        "beside": {},
        "covered_yearly_gco2e": 0.0,
        "covered_hourly_gco2e": 0.0,
    }
    return Cell(**(facts | changes))


def asset_cell(asset: str, grams: float | None = 1.0, calls: int = 1, **changes: Any) -> AssetCell:
    """Calls for an asset of the kind product-sheet."""
    facts: dict[str, Any] = {
        "brand": "acme",
        "campaign": "noel",
        "asset": asset,
        "tags": ("product-sheet",),
        "calls": calls,
        "shared": None if grams is None else ScopeKeys("tokens@1.0.0", "openai", "gpt-4o", "US"),
        "gco2e": None if grams is None else around(grams, DOUBT),
    }
    return AssetCell(**(facts | changes))
