"""Cells of a report with figures that are easy to check. It must never read a ledger."""

from typing import Any

from estimators.quantity import LogVariance, ScopeKeys, around
from proxy.ledger.columns import USAGE_COUNTS
from proxy.ledger.deliveries import Judged, Made
from proxy.ledger.details import Detail
from proxy.ledger.queries import Opinions

KIND = "product-sheet"
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
) -> Detail:
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
        "provider": provider,
        "model": model,
        "region": None,
        "is_for_asset": False,
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
    return Detail(**(facts | changes))


def made(*judged: str, assets: int = 1, calls: int = 1) -> Made:
    """Assets of the brand acme and the campaign noel, those with a word by name."""
    words = tuple(Judged(asset=("acme", "noel", asset), value=KIND) for asset in judged)
    return Made(assets=assets, calls=calls, judged=words)
