"""One full report of a fictional month, with figures that are easy to follow. It must never read a clock."""

from dataclasses import replace
from typing import Any

from proxy.ledger.columns import USAGE_COUNTS
from proxy.reports.document import (
    Basis,
    BoundaryLine,
    Branch,
    Change,
    Coverage,
    Deliverable,
    Driver,
    Habit,
    Hourly,
    Lighter,
    Likeness,
    Note,
    OwnWeight,
    PolicyLine,
    Report,
    Tip,
    Unit,
)
from proxy.reports.line import Line, Spread

SHORT = Tip(
    id="short-answers",
    text_en="Ask for the length you need.",
    text_fr="Demandez la longueur dont vous avez besoin.",
    source="A published measurement",
    url="https://example.org/length",
    year=2025,
)


def around(mean: float) -> Spread:
    """A spread of 0.5 to 1.8 times the expected value."""
    return Spread(mean, mean * 0.5, mean * 1.8)


def line(key: str, gco2e: float, calls: int = 100, **changes: Any) -> Line:
    """A line of so many grams: 80 % operational, a watt-hour per 0.4 g, 3 ml of water per gram."""
    usage = dict.fromkeys(USAGE_COUNTS, 0) | {"input_tokens": calls * 900, "output_tokens": calls * 300}
    made = Line(
        key=key,
        calls=calls,
        attempts=calls + 2,
        usage=usage,
        weighed_attempts=calls,
        unweighed={"no_usage": 1},
        not_generated=1,
        facility_energy_wh=around(gco2e / 0.4),
        gco2e=around(gco2e),
        operational_gco2e=around(gco2e * 0.8),
        embodied_gco2e=around(gco2e * 0.2),
        water_ml=around(gco2e * 3),
        gco2e_share_by_tier={"B": 0.2, "D": 0.8},
        simulated_share=0.0,
        counted_usage_share=0.02,
        estimated_usage_share=0.0,
    )
    return replace(made, **changes)


NOVEMBER = Report(
    basis=Basis(
        tool_version="0.1.0",
        config_sha256="c0" * 32,
        factor_sets=("2026.11+f00df00d",),
        methods=("images@1.0.0", "tokens@1.2.0"),
        profiles=("sci-consumer",),
        since="2026-11-01T00:00:00+01:00",
        until="2026-12-01T00:00:00+01:00",
        time_zone="Europe/Paris",
        created="2026-12-02T09:00:00+01:00",
        scope={"brand": "acme"},
        lines=("operational_gco2e", "embodied_gco2e"),
    ),
    total=line("total", 12_300.0, 41_000),
    hourly=Hourly(covered_share=0.62, covered_yearly_gco2e=6100.0, covered_hourly_gco2e=5200.0, gco2e=11_400.0),
    boundary=(
        BoundaryLine(name="operational", gco2e=around(9840.0), is_in_total=True, weighed_attempts=41_000),
        BoundaryLine(name="embodied", gco2e=around(2460.0), is_in_total=True, weighed_attempts=41_000),
        BoundaryLine(name="training", gco2e=around(800.0), is_in_total=False, weighed_attempts=38_000),
        BoundaryLine(name="network", gco2e=None, is_in_total=False),
    ),
    change=Change(
        previous=line("total", 10_000.0, 35_000),
        previous_since="2026-10-02T00:00:00+02:00",
        previous_until="2026-11-01T00:00:00+01:00",
        difference_gco2e=2300.0,
        gco2e_by_effect={"volume": 1800.0, "mix": -300.0, "length": 900.0, "region": -150.0, "method": 50.0},
    ),
    deliverables=(
        Deliverable(
            kind="product-sheet",
            assets=1200,
            accepted=1000,
            rejected=120,
            undecided=80,
            calls=3400,
            gco2e=around(4100.0),
            calls_per_accepted=3.4,
            gco2e_per_accepted=around(4.1),
            minutes_saved=20_000.0,
        ),
        Deliverable(
            kind="visual",
            assets=90,
            accepted=0,
            rejected=10,
            undecided=80,
            calls=450,
            gco2e=around(2700.0),
            calls_per_accepted=None,
            gco2e_per_accepted=None,
            minutes_saved=None,
        ),
    ),
    units=(
        Unit(name="1000_words", quantity=9225.0, calls=40_500, gco2e_per_unit=around(1.04), assumption="words_per_output_token"),
        Unit(name="image", quantity=450.0, calls=450, gco2e_per_unit=around(6.0)),
    ),
    unmetered_calls=12,
    imported_calls=0,
    pending_calls=3,
    instead={"reuse": 41},
    coverage=(
        Coverage(provider="openai", month="2026-11", tokens=0.97, money=0.99, gap=None),
        Coverage(provider="mistral", month="2026-11", tokens=None, money=None, gap=None),
    ),
    policies=(
        PolicyLine(
            policy="drafts-go-small",
            mode="enforce",
            calls_by_action={"routed": 9000, "holdback": 470, "passthrough": 530},
            modelled_calls=9000,
            held_back_calls=470,
            baseline_gco2e=around(5000.0),
            choice_gco2e=around(1800.0),
            difference_gco2e=Spread(-3200.0, -6100.0, -1200.0),
            probability_less=0.99,
            difference_water_ml=None,
            water_unknown="not_recorded",
        ),
    ),
    lighter=(
        Lighter(
            kind="smaller_model",
            what="gpt-4o",
            instead="gpt-4o-mini",
            calls=12_000,
            gco2e=around(6400.0),
            difference_gco2e=Spread(-4800.0, -9000.0, -1900.0),
            probability_less=0.99,
        ),
        Lighter(
            kind="shorter_answers",
            what="gpt-4o-mini",
            instead="300",
            calls=8000,
            gco2e=around(1900.0),
            difference_gco2e=Spread(-500.0, -900.0, -240.0),
            probability_less=1.0,
        ),
    ),
    drivers=(
        Driver(scope="model", key=None, gco2e_low=7000.0, gco2e_high=20_000.0),
        Driver(scope="model", key="gpt-4o", gco2e_low=8200.0, gco2e_high=18_000.0),
        Driver(scope="method", key=None, gco2e_low=9000.0, gco2e_high=16_000.0),
        Driver(scope="zone", key=None, gco2e_low=11_000.0, gco2e_high=13_500.0),
        Driver(scope="call", key=None, gco2e_low=12_290.0, gco2e_high=12_310.0),
    ),
    equivalences=(
        Likeness(
            id="streaming_hour",
            label_en="hour of video streaming",
            label_fr="heure de streaming vidéo",
            count=192.0,
            source="ADEME Impact CO2",
            url="https://impactco2.fr/",
            year=2026,
        ),
    ),
    groups={
        "model": (line("gpt-4o", 6400.0, 12_000), line("gpt-4o-mini", 3200.0, 28_000), line("flux-1", 2700.0, 1000)),
        "provider": (line("openai", 9600.0, 40_000), line("fal", 2700.0, 1000)),
        "zone": (line("US", 9300.0, 31_000), line("SE", 300.0, 9000), line("WORLD", 2700.0, 1000)),
        "operation": (line("chat", 9600.0, 40_000), line("images", 2700.0, 1000)),
        "policy": (line("none", 8000.0, 31_000), line("drafts-go-small", 4300.0, 10_000)),
        "day": tuple(line(f"2026-11-{day:02}", 410.0, 1366) for day in range(1, 31)),
        "tag:campaign": (line("noel-26", 7900.0, 22_000), line("soldes-27", 3100.0, 15_000), line("unassigned", 1300.0, 4000)),
    },
    tree=(
        Branch(
            level="brand",
            name="acme",
            calls=41_000,
            gco2e=around(12_300.0),
            below=(
                Branch(
                    level="campaign",
                    name="noel-26",
                    calls=22_000,
                    gco2e=around(7900.0),
                    below=(Branch(level="asset", name="sku-1", calls=12, gco2e=around(14.0)),),
                    cut=1199,
                ),
                Branch(level="campaign", name="unassigned", calls=4000, gco2e=around(1300.0)),
            ),
        ),
    ),
    habits=(
        Habit(
            dimension="team",
            team="content",
            calls=30_000,
            gco2e=around(9000.0),
            calls_per_accepted=3.4,
            oversized_share=0.41,
            long_answer_share=0.12,
            tips=(SHORT,),
        ),
    ),
    purposes={"noel-26": "Product sheets for Christmas"},
    notes=(
        Note(code="unweighed", values={"attempts": 1}),
        Note(code="unassigned", values={"tag": "campaign", "share": 0.106}),
        Note(code="counted_usage", values={"share": 0.02}),
    ),
    own=OwnWeight(
        gco2e=around(62.0),
        operational_gco2e=around(12.0),
        embodied_gco2e=around(50.0),
        facility_energy_wh=around(390.0),
        water_ml=around(1400.0),
        gco2e_per_call=around(62.0 / 41_000),
        cpu_s=49_000.0,
        process_hours=1440.0,
        processes=5,
        measured_share=0.0,
        zones=("FR",),
        methods=("own@1.0.0",),
        factor_sets=("2026.11+f00df00d",),
        warnings=("power-by-core-assumed",),
    ),
)


def sample_report(**changes: Any) -> Report:
    """November 2026 of the brand acme: 12.3 kg, up from 10 kg, with every part of a report filled."""
    return replace(NOVEMBER, **changes)
