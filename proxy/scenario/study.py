"""The study of May 2025 beside our own figures: its arithmetic, a reconstruction, ADEME's units. It must never pass for its method."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.equivalences import Equivalence
from config.factors import FactorSet
from config.ranges import Range
from config.scenario import Scenario, ScenarioImages
from config.tables import Tables
from estimators import Usage, prepare
from estimators.methods.study import FAMILY, Assumptions, Reconstruction
from estimators.quantity import Spread
from proxy.scenario.weigh import place_of, weigh

KG, TONNE = 1000.0, 1e6
STUDY_PROVIDER, STUDY_ZONE = "openai", "US"
ROUNDING = 1e-9
"""By how much two products of the same numbers may miss each other (definition)."""

HOLDS_WITHIN = 1.3
"""An everyday comparison holds when it is off by no more than this factor (definition)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A way to make the same today."""

    id: str
    model: str
    image_model: str
    image_quality: str
    provider: str | None
    region: str | None = None


TODAY = (
    Present(id="standard", model="gpt-4o", image_model="gpt-image-1", image_quality="high", provider="openai"),
    Present(id="mini", model="gpt-4o-mini", image_model="gpt-image-1-mini", image_quality="medium", provider="openai"),
    Present(
        id="mini-low-carbon",
        model="gpt-4o-mini",
        image_model="gpt-image-1-mini",
        image_quality="medium",
        provider="azure",
        region="swedencentral",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of the study: counts to multiply, grams per piece, what that gives, what was stated, and ours; all in gCO2e.

    ours: by id of Present; None where no method weighs it.
    """

    id: str
    counts: tuple[float, ...]
    each_gco2e: Range
    stated_gco2e: Range
    ours: Mapping[str, Spread | None]

    @property
    def pieces(self) -> float:
        """The product of the counts."""
        return math.prod(self.counts)

    @property
    def computed_gco2e(self) -> Range:
        """Pieces times grams per piece."""
        return self.each_gco2e.scaled(self.pieces)

    @property
    def implied_gco2e(self) -> Range:
        """Grams per piece that the stated figure amounts to."""
        return self.stated_gco2e.scaled(1 / self.pieces)

    @property
    def agrees(self) -> bool:
        """Whether computed and stated ranges meet."""
        computed = self.computed_gco2e
        return computed.low <= self.stated_gco2e.high * (1 + ROUNDING) and self.stated_gco2e.low <= computed.high * (1 + ROUNDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One set of assumptions that gives the study's sheet: joules per token, and the answer's length that it takes."""

    assumptions: Assumptions
    active_params_b: float
    total_params_b: float
    gpus: int
    batch: float
    gpu_j_per_output_token: float
    output_tokens: int
    sheets: float
    gco2e: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change on the way from the reconstruction to ours: what the sheet weighs after it, and the ratio to before."""

    id: str
    gco2e: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """An everyday comparison of the study with ADEME's figure: `stated` units then, `now` units by today's figure."""

    unit: Equivalence
    gco2e: Range
    stated: float
    now: Range

    @property
    def holds(self) -> bool:
        """Whether the stated number is within HOLDS_WITHIN of today's."""
        return self.now.low / HOLDS_WITHIN <= self.stated <= self.now.high * HOLDS_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage:
    """Everything that `grammage simulate --preset study` shows."""

    today: tuple[Present, ...]
    figures: tuple[Figure, ...]
    family: tuple[Member, ...]
    steps: Mapping[str, tuple[Step, ...]]
    likenesses: tuple[Likeness, ...]
    visual_gpu_wh: float
    sheet_tokens: tuple[int, int]
    gco2e_per_kwh: float


def study_page(tables: Tables, units: Iterable[Equivalence], today: tuple[Present, ...] = TODAY) -> StudyPage:
    """The page under the shipped factors; every figure but the stated ones is computed here."""
    factors = tables.factors
    place = tables.places.resolve(STUDY_PROVIDER, zone=STUDY_ZONE)
    tokens = round(factors["study.input_tokens"].value), round(factors["study.sheet_output_tokens"].value)
    family = [Reconstruction(assumptions, place, factors) for assumptions in FAMILY]
    sheet = factors["study.sheet_gco2e"].value
    lengths = [member.output_tokens_for(sheet, tokens[0]) for member in family]
    return StudyPage(
        today=today,
        figures=_figures(tables, today, tokens),
        family=tuple(_member(one, length, tokens) for one, length in zip(family, lengths, strict=True)),
        steps={present.id: _steps(family[0], lengths[0], tokens, present, tables) for present in today},
        likenesses=_likenesses(factors, units),
        visual_gpu_wh=family[0].gpu_wh_for(factors["study.visual_gco2e"].value),
        sheet_tokens=tokens,
        gco2e_per_kwh=place.gco2e_per_kwh.value,
    )


def nearest_readings(page: StudyPage) -> tuple[tuple[Present, float, str], ...]:
    """Each image model of today once, its gCO2e per visual, and which reading of the study (`first` or `second`) is nearer, by ratio."""
    by_id = {figure.id: figure for figure in page.figures}
    whole, part = by_id["visual"].each_gco2e.value, by_id["visual-of-20"].each_gco2e.value
    found: dict[tuple[str, str], tuple[Present, float, str]] = {}
    for present in page.today:
        spread = by_id["visual"].ours[present.id]
        if spread is not None and spread.mean > 0:
            reading = "first" if spread.mean**2 > whole * part else "second"
            found.setdefault((present.image_model, present.image_quality), (present, spread.mean, reading))
    return tuple(found.values())


def _figures(tables: Tables, today: tuple[Present, ...], tokens: tuple[int, int]) -> tuple[Figure, ...]:
    rows = tables.factors
    sheet, visual, variants = rows["study.sheet_gco2e"].range, rows["study.visual_gco2e"].range, rows["study.visual_variants"].value
    products, versions = rows["study.products"].value, rows["study.versions"].value
    audiences, year = rows["study.audiences"].value, rows["study.audiences_tco2e"].range.scaled(TONNE)
    large = rows["study.retailer_products"].value, rows["study.retailer_versions"].value
    variant = visual.scaled(1 / variants)
    per_visual = year.value / (visual.value * variants * audiences)
    per_variant = year.value / (variant.value * variants * audiences)
    texts = (
        ("sheet", (1.0,), sheet, sheet),
        ("products", (products,), sheet, rows["study.products_kgco2e"].range.scaled(KG)),
        ("versions", (products, versions), sheet, rows["study.versions_kgco2e"].range.scaled(KG)),
        ("retailer", large, sheet, rows["study.retailer_tco2e"].range.scaled(TONNE)),
    )
    pictures = (
        ("visual", (1.0,), visual, visual),
        ("visual-of-20", (variants,), variant, visual),
        ("audiences", (variants, audiences, per_visual), visual, year),
        ("audiences-of-20", (variants, audiences, per_variant), variant, year),
    )
    return tuple(
        Figure(id=id_, counts=counts, each_gco2e=each, stated_gco2e=stated, ours=_ours(kind, counts, today, tokens, tables))
        for kind, group in (("texts", texts), ("pictures", pictures))
        for id_, counts, each, stated in group
    )


def _ours(
    kind: str, counts: tuple[float, ...], today: tuple[Present, ...], tokens: tuple[int, int], tables: Tables
) -> dict[str, Spread | None]:
    """What the same pieces weigh today, by option; None where no method weighs them."""
    found: dict[str, Spread | None] = {}
    for present in today:
        weighed = weigh(_scenario(kind, counts, present, tokens), tables)
        found[present.id] = None if weighed.left_out else weighed.year("gco2e").spread()
    return found


def _scenario(kind: str, counts: tuple[float, ...], present: Present, tokens: tuple[int, int]) -> Scenario:
    pieces, audiences, campaigns = (*counts, 1.0, 1.0)[:3]
    return Scenario(
        model=present.model,
        provider=present.provider,
        region=present.region,
        variants=round(pieces),
        audiences=round(audiences),
        campaigns_per_year=campaigns,
        texts_per_product=1 if kind == "texts" else 0,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        images=None if kind == "texts" else ScenarioImages(model=present.image_model, quality=present.image_quality),
    )


def _member(one: Reconstruction, output_tokens: int, tokens: tuple[int, int]) -> Member:
    hardware = one.hardware
    return Member(
        assumptions=one.assumptions,
        active_params_b=one.card.active_params_b.value,
        total_params_b=one.card.total_params_b.value,
        gpus=hardware.gpus or 0,
        batch=hardware.batch or 0.0,
        gpu_j_per_output_token=one.gpu_j_per_output_token(),
        output_tokens=output_tokens,
        sheets=output_tokens / tokens[1],
        gco2e=one.gco2e(Usage(input_tokens=tokens[0], output_tokens=output_tokens)).spread(),
    )


def _steps(start: Reconstruction, output_tokens: int, tokens: tuple[int, int], present: Present, tables: Tables) -> tuple[Step, ...]:
    """From the reconstructed sheet to ours, one assumption changed at a time; the ratios multiply to the whole."""
    long, sheet = (Usage(input_tokens=tokens[0], output_tokens=length) for length in (output_tokens, tokens[1]))
    there = tables.places.resolve(STUDY_PROVIDER, zone=STUDY_ZONE)
    card = tables.catalogue.resolve(present.model).card
    here = place_of(card, present.provider, present.region, None, tables)
    weights = (
        ("study", start.gco2e(long).mean),
        ("training", start.inference_gco2e(long).mean),
        ("length", start.inference_gco2e(sheet).mean),
        ("machines", prepare(start.card, there, tables.factors).estimate(sheet).gco2e.mean),
        ("model", prepare(card, there, tables.factors).estimate(sheet).gco2e.mean),
        ("place", prepare(card, here, tables.factors).estimate(sheet).gco2e.mean),
    )
    before = [weights[0][1], *(weight for _, weight in weights)]
    return tuple(Step(id=id_, gco2e=weight, ratio=weight / last) for (id_, weight), last in zip(weights, before, strict=False))


def _likenesses(factors: FactorSet, units: Iterable[Equivalence]) -> tuple[Likeness, ...]:
    by_id = {unit.id: unit for unit in units}
    kilograms = factors["study.sheet_gco2e"].range.scaled(factors["study.products"].value)
    many = factors["study.versions_kgco2e"].range.scaled(KG)
    year = factors["study.audiences_tco2e"].range.scaled(TONNE)
    pieces = factors["study.retailer_products"].value * factors["study.retailer_versions"].value
    large = Range(
        pieces * factors["study.sheet_gco2e"].value, factors["study.retailer_tco2e"].low * TONNE, pieces * factors["study.sheet_gco2e"].high
    )
    claims = (
        ("meal_beef", kilograms, factors["study.claim_meals"].value),
        ("meal_chicken", kilograms, factors["study.claim_meals"].value),
        ("streaming_hour", many, factors["study.claim_streaming_hours"].value),
        ("laptop", year, factors["study.claim_laptops"].value),
        ("paris_ny_return", large, factors["study.claim_flights"].value),
    )
    return tuple(
        Likeness(unit=by_id[id_], gco2e=mass, stated=stated, now=mass.scaled(1 / (by_id[id_].kgco2e_per_unit * KG)))
        for id_, mass, stated in claims
    )
