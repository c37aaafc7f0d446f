"""Boundary profiles, and the lines beyond serving: a total must hold just the lines that its profile names."""

import math
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Weighing
from estimators import Estimate, Usage, prepare
from estimators.physics_beyond import network_gco2e_per_byte, training_share
from estimators.physics_lines import embodied_water_ml_per_gpu_second
from estimators.prepared import NO_BYTES
from estimators.profiles import DEFAULT_PROFILE, PROFILES, Profile
from tests.weighing_samples import OPEN_8B, OPEN_70B, PARIS, US, shipped_factors, with_factor

ANSWER = Usage(input_tokens=800, output_tokens=400)
FACTORS = shipped_factors()
BYTES = 12_000


def weigh(profile: str, network_bytes: int | None = BYTES, usage: Usage = ANSWER) -> Estimate:
    return prepare(OPEN_70B, US, FACTORS, profile=profile).estimate(usage, network_bytes=network_bytes)


def parts_of(estimate: Estimate, profile: Profile) -> list[float]:
    return [line.mean for name in profile.lines if (line := getattr(estimate, name)) is not None]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
@pytest.mark.parametrize("network_bytes", [None, 0, BYTES])
def test_a_total_is_the_sum_of_the_lines_of_its_profile(profile: Profile, network_bytes: int | None) -> None:
    estimate = weigh(profile.id, network_bytes)
    assert estimate.profile == profile.id
    assert estimate.gco2e.mean == pytest.approx(math.fsum(parts_of(estimate, profile)), rel=1e-9)


def test_the_default_total_holds_neither_training_nor_network() -> None:
    assert prepare(OPEN_70B, US, FACTORS).estimate(ANSWER, network_bytes=BYTES) == weigh(DEFAULT_PROFILE)
    assert PROFILES[DEFAULT_PROFILE].lines == ("operational_gco2e", "embodied_gco2e")
    assert weigh("ghgp-cat1").gco2e.mean > weigh("study").gco2e.mean > weigh(DEFAULT_PROFILE).gco2e.mean


@pytest.mark.parametrize("profile", PROFILES)
def test_every_line_is_the_same_whatever_the_total_holds(profile: str) -> None:
    base, other = weigh(DEFAULT_PROFILE), weigh(profile)
    own = {"profile", "gco2e", "quality", "warnings"}
    assert [name for name in Estimate._fields if name not in own and getattr(base, name) != getattr(other, name)] == []


def test_a_network_that_is_not_known_is_null_and_said_where_the_total_should_hold_it() -> None:
    for profile in PROFILES.values():
        estimate = weigh(profile.id, None)
        assert estimate.network_gco2e is None
        assert (NO_BYTES in estimate.warnings) == profile.has_network
        assert NO_BYTES not in weigh(profile.id, 0).warnings


@pytest.mark.parametrize("profile", PROFILES)
def test_more_bytes_never_weigh_less_and_no_doubt_is_lost(profile: str) -> None:
    few, many = weigh(profile, 1_000), weigh(profile, 100_000_000)
    assert few.network_gco2e is not None
    assert many.network_gco2e is not None
    assert many.network_gco2e.mean == pytest.approx(100_000 * few.network_gco2e.mean, rel=1e-9)
    assert many.gco2e.mean >= few.gco2e.mean
    assert many.gco2e.p95 >= few.gco2e.p95 * (1 - 1e-9)


def test_a_byte_of_the_network_weighs_what_its_factors_say() -> None:
    energy, grid, made = (FACTORS[f"network.{name}"].value for name in ("kwh_per_gb", "gco2e_per_kwh", "embodied_ratio"))
    per_byte = network_gco2e_per_byte(FACTORS)
    assert per_byte.mean == pytest.approx(energy / 1e9 * grid * (1 + made), rel=1e-9)
    assert per_byte.p95 / per_byte.p5 > 20, "published figures are an order of magnitude apart"


def test_training_is_a_share_of_the_energy_on_a_grid_of_its_own() -> None:
    share, grid = (FACTORS[f"training.{name}"].value for name in ("energy_ratio", "gco2e_per_kwh"))
    for place in (US, PARIS):
        estimate = prepare(OPEN_70B, place, FACTORS).estimate(ANSWER)
        assert estimate.training_gco2e is not None
        expected = share * (estimate.facility_energy_wh.mean / 1000 * grid + estimate.embodied_gco2e.mean)
        assert estimate.training_gco2e.mean == pytest.approx(expected, rel=1e-9)
    cleaner = replace(US, gco2e_per_kwh=PARIS.gco2e_per_kwh)
    assert prepare(OPEN_70B, cleaner, FACTORS).estimate(ANSWER).training_gco2e == weigh(DEFAULT_PROFILE).training_gco2e


def test_training_is_weakly_known_and_says_so_by_its_range() -> None:
    share = training_share(FACTORS)
    row = FACTORS["training.energy_ratio"]
    assert share.mean == pytest.approx(row.value)
    assert share.p5 < 0.01 < 0.15 < share.p95 <= row.high * 1.15


def test_water_of_making_the_machines_follows_the_utilisation_that_idle_energy_follows() -> None:
    low, high = (
        embodied_water_ml_per_gpu_second(with_factor("utilisation.typical", value=value, low=value, high=value), "typical").mean
        for value in (0.3, 0.6)
    )
    assert low == pytest.approx(2 * high, rel=1e-9)
    litres = FACTORS["embodied.gpu_water_l"].value + FACTORS["embodied.server_water_l"].value / 8
    serving_s = FACTORS["embodied.lifetime_years"].value * 365.25 * 86400 * FACTORS["utilisation.typical"].value
    assert embodied_water_ml_per_gpu_second(FACTORS, "typical").mean == pytest.approx(litres * 1000 / serving_s, rel=1e-9)


def test_the_configuration_offers_every_profile_that_may_report_and_no_other() -> None:
    offered = get_args(Weighing.model_fields["profile"].annotation)
    assert set(offered) == {profile.id for profile in PROFILES.values() if profile.reporting}
    assert "study" not in offered
    assert Weighing().profile == DEFAULT_PROFILE


def test_a_profile_that_does_not_exist_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="profile 'everything' does not exist; known: sci-consumer, ghgp-cat1, afnor-2314, study"):
        prepare(OPEN_70B, US, FACTORS, profile="everything")


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(PROFILES)), st.integers(0, 10_000), st.integers(0, 10_000), st.none() | st.integers(0, 10**9))
def test_a_total_is_finite_and_ordered_in_every_profile(profile: str, n_in: int, n_out: int, network_bytes: int | None) -> None:
    usage = Usage(input_tokens=n_in, output_tokens=n_out)
    gco2e = prepare(OPEN_8B, PARIS, FACTORS, profile=profile).estimate(usage, network_bytes=network_bytes).gco2e
    assert 0 < gco2e.p5 <= gco2e.p50 <= gco2e.p95
    assert gco2e.p50 <= gco2e.mean
    assert math.isfinite(gco2e.p95)
    assert min(gco2e.variance) >= 0
