"""What an export is made of, with figures that are easy to follow: bought, rented and own machines, money, simulated calls. It must never
read a ledger."""

from dataclasses import replace
from functools import cache
from typing import Any

from config.tables import Tables, load_tables
from estimators.quantity import LogVariance, Quantity, ScopeKeys, add, around
from proxy.exports.gather import Gathered
from proxy.exports.sums import attempts_of, sum_of
from proxy.ledger.cells import Beside
from proxy.ledger.columns import USAGE_COUNTS
from proxy.ledger.inventory_cells import InventoryCell, Weighed
from proxy.ledger.queries import Opinions
from proxy.reports.document import Report
from tests.report_samples import sample_report

DOUBT = LogVariance(method=0.04, provider=0.02, model=0.09, zone=0.01, call=0.02)
OWN = frozenset({"local", "vllm", "ollama"})
EUR_PER_MONTH = 1000.0
SPEND_KGCO2E_PER_EUR = 0.11


@cache
def _tables() -> Tables:
    return load_tables()


def cell(*, it_wh: float = 1000.0, pue: float = 1.25, embodied: float = 50.0, **changes: Any) -> InventoryCell:
    """Attempts of so many watt-hours of servers, at 400 g/kWh unless told otherwise."""
    intensity = changes.pop("gco2e_per_kwh", 400.0)
    model, provider, zone = changes.get("model", "gpt-4o"), changes.get("provider", "openai"), changes.get("zone", "US")
    operational, made = around(it_wh * pue * intensity / 1000, DOUBT), around(embodied, DOUBT)
    lines: dict[str, Quantity] = {
        "facility_energy_wh": around(it_wh * pue, DOUBT),
        "operational_gco2e": operational,
        "embodied_gco2e": made,
        "gco2e": add(operational, made),
        "water_ml": around(it_wh * 3, DOUBT),
    }
    opinions = Opinions(
        key="all",
        shared=ScopeKeys(changes.pop("method", "tokens@1.0.0"), provider, model, zone),
        quality=changes.pop("quality", "D"),
        factor_set=changes.pop("factor_set", "2026.11+f00df00d"),
        profile=changes.pop("profile", "sci-consumer"),
        attempts=changes.pop("attempts", 100),
        lines=changes.pop("lines", lines),
    )
    tokens, images = changes.pop("output_tokens", 20_000.0), changes.pop("images", 0.0)
    usage = dict.fromkeys((*USAGE_COUNTS, "seconds"), 0.0) | {"output_tokens": tokens, "input_tokens": 3 * tokens, "images": images}
    facts: dict[str, Any] = {
        "month": 0,
        "tags": ("acme", "noel-26"),
        "operation": "chat",
        "provider": provider,
        "model": model,
        "region": None,
        "zone": zone,
        "simulated": False,
        "imported": False,
        "usage_source": "provider",
        "gco2e_per_kwh": intensity,
        "intensity_source": "Ember",
        "intensity_year": 2025,
        "it_energy_wh": it_wh,
        "opinions": opinions,
        "beside": {"training_gco2e": Beside(mean=0.1 * it_wh * pue, coherent_sd=0.5, attempts=100)},
        "usage": usage,
        "spend": None,
    }
    return InventoryCell(**(facts | changes))


def whole_profile(one: InventoryCell) -> InventoryCell:
    """The cell by the profile ghgp-cat1: its total holds training too."""
    opinions = replace(one.opinions, profile="ghgp-cat1")
    training = around(one.beside["training_gco2e"].mean, LogVariance(method=0.25))
    return replace(one, opinions=replace(opinions, lines={**opinions.lines, "gco2e": add(opinions.lines["gco2e"], training)}))


def money(amount: float = EUR_PER_MONTH) -> InventoryCell:
    """Seats that were paid for: grams alone."""
    grams = around(amount * SPEND_KGCO2E_PER_EUR * 1000, LogVariance(method=0.3))
    return cell(
        provider="canva",
        model="Canva Pro",
        zone="WORLD",
        imported=True,
        method="spend@1.0.0",
        quality="E",
        profile="ghgp-cat1",
        it_energy_wh=None,
        lines={"gco2e": grams},
        beside={},
        spend=("it_services", "EUR", amount),
        output_tokens=0.0,
        attempts=1,
        operation="subscription",
        usage_source=None,
    )


CELLS = (
    cell(),
    cell(provider="azure", model="gpt-4o-mini", region="swedencentral", zone="SE", gco2e_per_kwh=30.0, tags=("acme", "soldes-27"), month=1),
    cell(model="gpt-image-1", images=40.0, output_tokens=0.0, it_wh=2000.0, operation="images", attempts=40),
    cell(provider="vllm", model="mistral-small", zone="FR", gco2e_per_kwh=40.0, it_wh=500.0, method="metered@1.0.0", quality="A"),
    cell(provider="vllm", model="llama-3.3-70b", region="eu-west-3", zone="FR", gco2e_per_kwh=40.0, tags=("unassigned", "unassigned")),
    cell(provider="simulated", model="sim-small", simulated=True, it_wh=100.0),
    money(),
)
"""Bought calls of two months, drawings, own and rented machines, simulated calls, and seats."""


def sample_gathered(*cells: InventoryCell, with_simulated: bool = False, **changes: Any) -> Gathered:
    """November and December 2026 of the brand acme, of these cells or of all above; the report's total is theirs."""
    found = cells or CELLS
    report: Report = sample_report()
    lines = ("gco2e", "operational_gco2e", "embodied_gco2e", "facility_energy_wh")
    sums: dict[str, Any] = {line: sum_of(found, line) for line in lines}
    total = replace(report.total, weighed_attempts=attempts_of(found), **sums)
    report = replace(report, total=total, **changes)
    return Gathered(
        report=report,
        cells=found,
        weighed=(
            Weighed(imported=False, simulated=False, calls=430),
            Weighed(imported=False, simulated=True, calls=100),
            Weighed(imported=True, simulated=False, calls=1),
        ),
        months=("2026-11", "2026-12"),
        own_providers=OWN,
        factors=_tables().factors,
        factor_set="2026.11+f00df00d",
        with_simulated=with_simulated,
    )
