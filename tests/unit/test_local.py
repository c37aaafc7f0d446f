"""What the proxy's own machine makes: more time never weighs less, nothing weighs nothing, an unknown place is a wide range."""

import math

import pytest

from config.tables import load_tables
from estimators.local import local_estimate

TABLES = load_tables()
WORLD = TABLES.places.resolve("local")
FRANCE = TABLES.places.resolve("local", zone="FR")


def test_a_core_second_is_its_power_by_grid_and_its_share_of_the_server() -> None:
    factors = TABLES.factors
    found = local_estimate(1.0, FRANCE, factors, "sci-consumer")
    seconds = 1.0 + factors["frontend.cpu_s_per_call"].value
    wh = seconds * factors["frontend.w_per_core"].value / 3600
    assert found.it_energy_wh.mean == pytest.approx(wh, rel=1e-9)
    assert found.facility_energy_wh.mean == pytest.approx(wh * FRANCE.pue.value, rel=1e-9)
    assert found.operational_gco2e.mean == pytest.approx(wh * FRANCE.pue.value * FRANCE.gco2e_per_kwh.value / 1000, rel=1e-9)
    life_s = factors["embodied.lifetime_years"].value * 365.25 * 86_400 * factors["utilisation.low_traffic"].value
    server = factors["embodied.server_kgco2e"].value * 1000 / factors["local.cores_per_server"].value
    assert found.embodied_gco2e.mean == pytest.approx(seconds * server / life_s, rel=1e-9)
    assert found.gco2e.mean == pytest.approx(found.operational_gco2e.mean + found.embodied_gco2e.mean, rel=1e-9)
    assert found.gpu_seconds.mean == 0
    assert found.network_gco2e is None
    assert found.training_gco2e is None
    assert (found.method, found.zone, found.quality, found.quality_parts.usage) == ("local", "FR", "D", "A")


def test_no_time_at_all_still_weighs_what_every_call_takes() -> None:
    nothing, some = (local_estimate(seconds, WORLD, TABLES.factors, "sci-consumer") for seconds in (0.0, 0.01))
    assert 0 < nothing.gco2e.mean < some.gco2e.mean
    assert nothing.gco2e.p5 < nothing.gco2e.mean < nothing.gco2e.p95
    assert "region-assumed" in some.warnings
    assert "power-by-core-assumed" in some.warnings


def test_a_place_that_is_not_known_has_the_wider_range_of_grid() -> None:
    known, unknown = (local_estimate(1.0, place, TABLES.factors, "sci-consumer").operational_gco2e for place in (FRANCE, WORLD))
    assert unknown.p95 / unknown.p5 > known.p95 / known.p5


@pytest.mark.parametrize("seconds", [-1e-9, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="processor time"):
        local_estimate(seconds, WORLD, TABLES.factors, "sci-consumer")
