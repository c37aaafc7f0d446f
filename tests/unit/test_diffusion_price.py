"""What a price says about the energy of a closed product: the bound, the rows that carry one, and what stays as it was."""

import csv
import math
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from config.diffusion import DiffusionFacts
from config.read_diffusion import DIFFUSION_COLUMNS, FILE, read_diffusion_models, shipped_diffusion_models
from estimators.diffusion_price import FAR_BELOW, PaidFor, gpu_j_paid_for, within_price
from estimators.physics_diffusion import Shape
from estimators.physics_diffusion_fleet import diffusion_gpu_j_per_output
from estimators.quantity import LogVariance, Quantity
from tests.weighing_samples import shipped_factors

J_PER_WH = 3600
CLOSED = [facts for facts in shipped_diffusion_models().rows() if facts.size_basis == "class"]
PRICED = [facts for facts in CLOSED if facts.price is not None]


def facts_of(name: str) -> DiffusionFacts:
    found = shipped_diffusion_models().known(name)
    assert found is not None, name
    return found


def default_shape(facts: DiffusionFacts) -> Shape:
    return Shape(facts.default_width, facts.default_height, facts.default_frames, facts.steps)


def weighed(facts: DiffusionFacts, shape: Shape | None = None) -> Quantity:
    return diffusion_gpu_j_per_output(facts, shape or default_shape(facts), shipped_factors())


def clip_wh(name: str, seconds: float, width: int = 1280, height: int = 720) -> Quantity:
    facts = facts_of(name)
    found = weighed(facts, Shape(width, height, seconds * (facts.default_fps or 24), facts.steps))
    return Quantity(found.p50 / J_PER_WH, found.variance)


def belief(p50: float, sd: float) -> Quantity:
    return Quantity(p50, LogVariance(model=sd * sd))


def bound(p50: float, sd: float) -> PaidFor:
    return PaidFor(p50 * 3, Quantity(p50, LogVariance(provider=sd * sd)))


@pytest.mark.parametrize("facts", PRICED, ids=lambda facts: facts.id)
def test_the_median_never_needs_more_accelerator_time_than_the_price_buys(facts: DiffusionFacts) -> None:
    assert facts.price is not None
    assert weighed(facts).p50 <= gpu_j_paid_for(facts.price.usd_per_output, shipped_factors()).whole_j


@pytest.mark.parametrize("facts", PRICED, ids=lambda facts: facts.id)
def test_a_price_makes_no_product_heavier_and_no_range_narrower_than_that_of_a_known_architecture(facts: DiffusionFacts) -> None:
    held, free = weighed(facts), weighed(replace(facts, price=None))
    known = weighed(replace(facts, price=None, doubt_factor=1.0))
    assert held.p50 <= free.p50
    assert known.variance.total <= held.variance.total <= free.variance.total


@pytest.mark.parametrize("facts", CLOSED, ids=lambda facts: facts.id)
def test_the_price_scales_every_shape_alike(facts: DiffusionFacts) -> None:
    shape = default_shape(facts)
    larger = shape._replace(width=shape.width * 2, steps=shape.steps * 2)
    free = replace(facts, price=None)
    assert weighed(facts, larger).p50 / weighed(facts).p50 == pytest.approx(weighed(free, larger).p50 / weighed(free).p50)


def test_classes_rise_from_low_to_high() -> None:
    for names in (
        ("imagen-4-fast", "imagen-4", "imagen-4-ultra"),
        ("firefly-image", "firefly-image-ultra"),
        ("runway-gen-4-turbo", "runway-gen-4", "veo-3"),
        ("luma-ray-flash", "luma-ray"),
        ("pika", "firefly-video"),
        ("veo-3-fast", "veo-3"),
        ("sora-2", "sora-2-pro"),
    ):
        assert all(lighter.p50 < heavier.p50 for lighter, heavier in pairwise(weighed(facts_of(name)) for name in names)), names


def test_clips_of_closed_products_weigh_what_their_price_can_carry() -> None:
    for name, low_wh, high_wh in (
        ("sora-2", 15, 75),
        ("veo-3-fast", 10, 60),
        ("veo-3", 35, 180),
        ("runway-gen-4", 12, 75),
        ("kling", 8, 50),
    ):
        found = clip_wh(name, 5)
        assert low_wh < found.p50 < high_wh, name
        assert 5 < found.p95 / found.p5 < 20, name


def test_the_running_time_that_one_maker_states_lies_in_the_range() -> None:
    """Seedance 1.0: 41.4 s on one L20, a card of 275 W, for 5 s at 1920x1080 (arXiv:2506.09113)."""
    found = clip_wh("seedance-1.0-pro", 5, 1920, 1080)
    assert found.p5 < 41.4 * 275 / J_PER_WH < found.p95


def test_a_belief_cut_at_a_bound_has_the_moments_of_the_cut_distribution() -> None:
    prior, paid = belief(100, 0.9), bound(40, 0.6)
    held = within_price(prior, paid)
    steps = [i / 500 for i in range(-5000, 5001)]
    weights = [math.exp(-z * z / 2) * math.erfc((math.log(100 / 40) + 0.9 * z) / 0.6 / math.sqrt(2)) for z in steps]
    whole = math.fsum(weights)
    mean = math.fsum(0.9 * z * w for z, w in zip(steps, weights, strict=True)) / whole
    variance = math.fsum((0.9 * z - mean) ** 2 * w for z, w in zip(steps, weights, strict=True)) / whole
    assert math.log(held.scale) == pytest.approx(mean, rel=1e-6)
    assert 0.81 - held.variance_removed == pytest.approx(variance, rel=1e-6)


def test_a_bound_far_above_says_nothing_and_one_far_below_is_kept() -> None:
    free = within_price(belief(1, 0.5), bound(1e6, 0.5))
    assert (free.scale, free.variance_removed) == pytest.approx((1.0, 0.0), abs=1e-9)
    for too_heavy in (1e3, 1e6, 1e12, 1e30):
        held = within_price(belief(too_heavy, 0.5), bound(1, 0.5))
        assert too_heavy * held.scale <= 3 * (1 + 1e-9)
        assert 0 <= held.variance_removed <= 0.25


def test_the_bound_is_smooth_where_the_tail_is_taken_by_its_series() -> None:
    def at(room: float) -> tuple[float, float]:
        free_of_cap = PaidFor(1e300, Quantity(math.exp(room * math.sqrt(0.5)), LogVariance(provider=0.25)))
        return tuple(within_price(belief(1, 0.5), free_of_cap))  # type: ignore[return-value]  # a pair

    below, above = at(FAR_BELOW - 1e-6), at(FAR_BELOW + 1e-6)
    assert math.log(below[0]) == pytest.approx(math.log(above[0]), rel=1e-3)
    assert below[1] == pytest.approx(above[1], rel=0.02)


def test_a_lower_price_never_makes_heavier() -> None:
    facts = facts_of("sora-2")
    assert facts.price is not None
    by_price = [weighed(replace(facts, price=replace(facts.price, usd_per_output=usd))).p50 for usd in (0.001, 0.01, 0.1, 1.0, 10.0)]
    assert all(cheap < dear for cheap, dear in pairwise(by_price))


def test_prices_by_the_second_become_prices_of_the_default_clip() -> None:
    sora, veo = facts_of("sora-2").price, facts_of("veo-3").price
    assert sora is not None
    assert veo is not None
    assert (sora.usd_per_output, veo.usd_per_output) == pytest.approx((0.4, 3.2))
    assert all(facts.price is None for facts in shipped_diffusion_models().rows() if facts.size_basis != "class")


@pytest.mark.parametrize(
    ("name", "changes", "column"),
    [
        ("sora-2", {"usd_per_output": "0.5"}, "usd_per_second"),
        ("sora-2", {"usd_per_second": "0"}, "usd_per_second"),
        ("sora-2", {"price_url": ""}, "price_url"),
        ("sora-2", {"price_as_of": ""}, "price_as_of"),
        ("dall-e-3", {"usd_per_output": "", "usd_per_second": "0.1"}, "usd_per_second"),
        ("flux.1-dev", {"usd_per_output": "0.025"}, "usd_per_output"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_column(tmp_path: Path, name: str, changes: dict[str, str], column: str) -> None:
    text = files("config").joinpath("data", FILE).read_text(encoding="utf-8")
    row = next(row for row in csv.DictReader(text.splitlines()) if row["id"] == name)
    with tmp_path.joinpath(FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, DIFFUSION_COLUMNS)
        writer.writeheader()
        writer.writerow({**row, **changes})
    with pytest.raises(ValueError, match=rf"{FILE}:2: column '{column}'"):
        read_diffusion_models(tmp_path)
