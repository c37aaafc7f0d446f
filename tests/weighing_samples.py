"""Model cards, places and the shipped factors for tests of weighing. It must never read anything but config/data."""

from dataclasses import replace
from functools import cache
from importlib.resources import files

from config.catalogue import ModelCard
from config.factors import Factor, FactorSet, read_factors
from config.places import Place
from config.ranges import Range
from config.read_models import read_catalogue


@cache
def shipped_factors() -> FactorSet:
    """The rows of factors.csv."""
    return read_factors(files("config").joinpath("data"), version="test", fingerprint="f" * 64)


@cache
def shipped_card(name: str) -> ModelCard:
    """The card that the shipped catalogue gives for `name`."""
    return read_catalogue(files("config").joinpath("data")).resolve(name).card


def with_factor(factor_id: str, *, value: float | None = None, low: float | None = None, high: float | None = None) -> FactorSet:
    """The shipped factors with one row changed."""
    rows: dict[str, Factor] = dict(shipped_factors())
    row = rows[factor_id]
    rows[factor_id] = replace(
        row,
        value=row.value if value is None else value,
        low=row.low if low is None else low,
        high=row.high if high is None else high,
    )
    return FactorSet(rows, version="test", fingerprint="f" * 64)


OPEN_70B = ModelCard(
    id="open-70b",
    vendor="someone",
    family="open",
    total_params_b=Range.exact(70.0),
    active_params_b=Range.exact(70.0),
    size_basis="exact",
    tier="C",
    operations=frozenset({"chat", "completions", "embeddings"}),
    open_weights=True,
    reasoning=False,
    vision=True,
    context_tokens=131072,
    released="2025",
    source="test",
    url="https://example.org/",
    as_of="2026-11-01",
    note="",
)
OPEN_8B = replace(OPEN_70B, id="open-8b", total_params_b=Range.exact(8.0), active_params_b=Range.exact(8.0))
OPEN_405B = replace(OPEN_70B, id="open-405b", total_params_b=Range.exact(405.0), active_params_b=Range.exact(405.0))
OPEN_MOE = replace(OPEN_70B, id="open-moe", total_params_b=Range.exact(235.0), active_params_b=Range.exact(22.0))
CLOSED_LARGE = replace(
    OPEN_70B,
    id="closed-large",
    total_params_b=Range(350.0, 200.0, 600.0),
    active_params_b=Range(62.0, 30.0, 130.0),
    size_basis="inferred",
    tier="D",
    open_weights=False,
)
CLOSED_FRONTIER = replace(
    CLOSED_LARGE, id="closed-frontier", total_params_b=Range(550.0, 200.0, 1500.0), active_params_b=Range(45.0, 20.0, 100.0)
)
UNKNOWN = replace(
    CLOSED_LARGE,
    id="class-default",
    total_params_b=Range(200.0, 8.0, 2000.0),
    active_params_b=Range(40.0, 3.0, 400.0),
    size_basis="class",
    tier="E",
)

US = Place(
    provider="openai",
    region=None,
    zone="US",
    assumed=True,
    gco2e_per_kwh=Range(414.0, 129.0, 618.0),
    intensity_year=2025,
    intensity_source="test",
    intensity_licence="test",
    market_based_gco2e_per_kwh=None,
    pue=Range(1.2, 1.14, 1.35),
    wue_onsite_l_per_kwh=Range(0.569, 0.27, 1.8),
    water_offsite_l_per_kwh=Range(3.13, 2.0, 5.0),
    primary_energy_mj_per_kwh=Range(9.8, 8.0, 11.0),
    adpe_kgsbeq_per_kwh=Range(9.9e-8, 5e-8, 2e-7),
    tier="D",
    warnings=("region-assumed",),
)
PARIS = replace(
    US,
    provider="scaleway",
    region="fr-par",
    zone="FR",
    assumed=False,
    gco2e_per_kwh=Range(31.0, 28.0, 44.18),
    pue=Range(1.25, 1.15, 1.5),
    wue_onsite_l_per_kwh=Range(0.1, 0.0, 0.2),
    market_based_gco2e_per_kwh=5.0,
    tier="C",
    warnings=(),
)
