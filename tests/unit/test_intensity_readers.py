"""What live sources of grid intensity answer is read with its unit, kind and basis, and what cannot be true is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from config.check import find_faults
from config.settings import Settings
from proxy.intensity.plausible import check
from proxy.intensity.reading import BadAnswer, Reading
from proxy.intensity.snapshot import Curve, merged, snapshot_of
from proxy.intensity.sources import SOURCES
from proxy.intensity.watttime import sign_in
from tests.intensity_samples import NOON_S, QUARTER_S, em_forecast, em_latest, energy_charts, france_odre, uk_neso, watttime

READ = {
    ("energy-charts", "co2eq", "FR"): (
        energy_charts([24.8, 25.1, None, None, None], [None, 24.0, 25.6, 26.0, None]),
        [(-2, 24.8, "measured"), (-1, 25.1, "measured"), (0, 25.6, "forecast"), (1, 26.0, "forecast")],
    ),
    ("uk-neso", "current", "GB"): (uk_neso((166, 163)), [(0, 163, "measured")]),
    ("uk-neso", "forecast", "GB"): (uk_neso((166, None), (158, None)), [(0, 166, "forecast"), (2, 158, "forecast")]),
    ("france-odre", "eco2mix", "FR"): (france_odre(28, 29, None), [(-2, 28, "measured"), (-3, 29, "measured")]),
    ("electricity-maps", "latest", "FR"): (em_latest(41), [(-4, 41, "measured")]),
    ("electricity-maps", "forecast", "FR"): (em_forecast(41, 38), [(0, 41, "forecast"), (4, 38, "forecast")]),
    ("watttime", "forecast", "CAISO_NORTH"): (watttime(1000.0), [(0, 453.59237, "forecast")]),
}
NEAR = {"energy-charts": "lifecycle", "electricity-maps": "lifecycle", "uk-neso": "direct", "france-odre": "direct", "watttime": "direct"}


@pytest.mark.parametrize("asked", READ, ids=lambda asked: "-".join(asked[:2]))
def test_each_source_is_read_in_its_shape(asked: tuple[Any, str, str]) -> None:
    kind, page, zone = asked
    body, expected = READ[asked]
    found = SOURCES[kind].read(page, body, zone)
    assert [((reading.at_s - NOON_S) / QUARTER_S, pytest.approx(reading.gco2e_per_kwh), reading.state) for reading in found] == expected
    assert {reading.zone for reading in found} == {zone}
    assert {reading.basis for reading in found} == {NEAR[kind]}
    assert {reading.kind for reading in found} == {"marginal" if kind == "watttime" else "average"}


@pytest.mark.parametrize("asked", READ, ids=lambda asked: "-".join(asked[:2]))
@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b"[]", b"{}", b"null", b'{"error": "Too Many Requests"}', b"\xff", b"[" * 5000, b'{"data": [{}]}']
)
def test_what_is_in_no_documented_shape_is_refused(asked: tuple[Any, str, str], body: bytes) -> None:
    kind, page, zone = asked
    with pytest.raises(BadAnswer):
        SOURCES[kind].read(page, body, zone)


@pytest.mark.parametrize("asked", READ, ids=lambda asked: "-".join(asked[:2]))
@pytest.mark.parametrize("lie", ["NaN", "Infinity", '"12"', "true", "[]"])
def test_a_figure_that_is_no_number_is_refused(asked: tuple[Any, str, str], lie: str) -> None:
    kind, page, zone = asked
    made = {
        "energy-charts": energy_charts([7777], [None]),
        "uk-neso": uk_neso((7777, None)),
        "france-odre": france_odre(7777),
        "electricity-maps": em_latest(7777) if page == "latest" else em_forecast(7777),
        "watttime": watttime(7777),
    }[kind]
    with pytest.raises(BadAnswer):
        SOURCES[kind].read(page, made.replace(b"7777", lie.encode()), zone)


def test_an_answer_of_another_zone_basis_unit_or_region_is_refused() -> None:
    maps, watts = SOURCES["electricity-maps"], SOURCES["watttime"]
    for body in (em_latest(41, zone="DE"), em_latest(41, emissionFactorType="direct"), em_latest(41, flowTraced=False)):
        with pytest.raises(BadAnswer):
            maps.read("latest", body, "FR")
    with pytest.raises(BadAnswer):
        maps.read("forecast", em_forecast(41), "DE")
    others: tuple[dict[str, Any], ...] = ({"region": "PJM"}, {"signal_type": "co2_aoer"}, {"units": "percentile"})
    for meta in others:
        with pytest.raises(BadAnswer):
            watts.read("forecast", watttime(870.2, **meta), "CAISO_NORTH")


@pytest.mark.parametrize("instant", ["yesterday", "2026-11-23T12:00:00", "", "9999-99-99T00:00Z"])
def test_a_time_that_cannot_be_told_is_refused(instant: str) -> None:
    with pytest.raises(BadAnswer):
        SOURCES["electricity-maps"].read("latest", em_latest(41, datetime=instant), "FR")
    with pytest.raises(BadAnswer):
        SOURCES["france-odre"].read("eco2mix", json.dumps({"results": [{"date_heure": instant, "taux_co2": 3}]}).encode(), "FR")


def test_lists_of_different_lengths_are_refused() -> None:
    body = json.dumps({"unix_seconds": [1, 2], "co2eq": [1.0], "co2eq_forecast": [None, None]}).encode()
    with pytest.raises(BadAnswer, match="lengths"):
        SOURCES["energy-charts"].read("co2eq", body, "FR")


def test_sources_are_asked_as_they_want_it() -> None:
    charts = SOURCES["energy-charts"].page("co2eq", "GB", NOON_S, "")
    assert (charts.path, charts.query["country"]) == ("/co2eq", "uk")
    assert SOURCES["uk-neso"].page("forecast", "GB", NOON_S, "").path == "/intensity/2026-11-23T12:00Z/fw24h"
    latest = SOURCES["electricity-maps"].page("latest", "US-MIDA-PJM", NOON_S, "t0k")
    assert latest.headers == {"auth-token": "t0k"}
    assert latest.query["disableCallerLookup"] == "true", "an unknown zone would be answered with that of the caller's address"
    assert sign_in("acme", "pass").headers == {"authorization": "Basic YWNtZTpwYXNz"}


def reading(gco2e_per_kwh: float = 30.0, after_s: float = 0.0, state: Any = "measured", **changes: Any) -> Reading:
    made = Reading(zone="FR", gco2e_per_kwh=gco2e_per_kwh, at_s=NOON_S + after_s, kind="average", basis="lifecycle", state=state)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (reading(float("nan")), "not_a_number"),
        (reading(float("inf")), "not_a_number"),
        (reading(0.0), "not_positive"),
        (reading(-3.0), "not_positive"),
        (reading(1e6), "too_high"),
        (reading(2000.1), "too_high"),
        (reading(after_s=3600), "in_the_future"),
        (reading(after_s=5 * 86_400, state="forecast"), "in_the_future"),
        (reading(after_s=-3 * 86_400), "too_old"),
        (reading(at_s=0.0), "too_old"),
        (reading(400.0), "jump"),
        (reading(basis="direct"), "other_basis"),
        (reading(kind="marginal"), "other_basis"),
    ],
)
def test_a_reading_that_cannot_be_true_is_refused_and_counted(lie: Reading, reason: str) -> None:
    last = reading(after_s=-900)
    found = check([lie], SOURCES["energy-charts"], NOON_S, last)
    assert (found.accepted, dict(found.refused)) == ((), {reason: 1})
    both = check([lie, reading(31.0, after_s=-600)], SOURCES["energy-charts"], NOON_S, last)
    assert [each.gco2e_per_kwh for each in both.accepted] == [31.0], "the others of the answer stay"


def test_what_grids_do_is_no_lie() -> None:
    hours = [reading(figure, after_s=place * 3600 - 7200) for place, figure in enumerate((30.0, 110.0, 170.0))]
    assert not check(hours, SOURCES["energy-charts"], NOON_S, None).refused
    assert not check([reading(2000.0)], SOURCES["energy-charts"], NOON_S, None).refused
    wrong_forecast = check([reading(400.0)], SOURCES["energy-charts"], NOON_S, reading(after_s=-900, state="forecast"))
    assert not wrong_forecast.refused, "a measurement is not doubted for a forecast"
    late = check([reading(400.0)], SOURCES["energy-charts"], NOON_S, reading(after_s=-2 * 3600))
    assert not late.refused, "a level that holds for two hours is one"


def curve(*readings: Reading, source: Any = "energy-charts", zone: str = "FR", foretold_s: float = NOON_S, **changes: Any) -> Curve:
    made = Curve(source=source, zone=zone, kind="average", basis="lifecycle", flow="production", readings=readings, foretold_s=foretold_s)
    return replace(made, **changes)


def test_the_last_reading_that_has_begun_holds_and_ages() -> None:
    day = curve(reading(30, -900), reading(40, 0, "forecast"), reading(50, 900, "forecast"))
    assert day.at(NOON_S - 901) is None
    measured, foreseen, later = (day.at(NOON_S + at_s) for at_s in (-10, 100, 5000))
    assert measured is not None
    assert foreseen is not None
    assert later is not None
    assert (measured.gco2e_per_kwh, measured.age_s, measured.state) == (30, 890, "measured")
    assert (foreseen.gco2e_per_kwh, foreseen.age_s, foreseen.state) == (40, 100, "forecast")
    assert (later.gco2e_per_kwh, later.age_s) == (50, 5000), "a forecast is as old as the telling of it"


def test_a_forecast_does_not_replace_a_measurement_and_a_measurement_does_a_forecast() -> None:
    day = curve(reading(30, 0), reading(40, 900, "forecast"), reading(20, -3 * 86_400))
    found = merged(day, [reading(35, 0, "forecast"), reading(44, 900), reading(50, 1800, "forecast")], NOON_S)
    assert [(each.gco2e_per_kwh, each.state) for each in found] == [(30, "measured"), (44, "measured"), (50, "forecast")]


def test_the_hourly_figure_is_lifecycle_average_of_the_first_source_that_has_a_young_one() -> None:
    snapshot = snapshot_of(
        [
            curve(reading(20), source="france-odre", basis="direct"),
            curve(reading(500), source="watttime", kind="marginal"),
            curve(reading(30, -7 * 3600)),
            curve(reading(40), source="electricity-maps"),
            curve(reading(15), zone="SE"),
        ]
    )
    french = snapshot.hourly("FR", NOON_S + 60)
    assert french is not None
    assert (french.source, french.gco2e_per_kwh) == ("electricity-maps", 40)
    assert snapshot.hourly("FR", NOON_S + 86_400) is None
    swedish = snapshot.hourly("SE-SE3", NOON_S + 60)
    assert swedish is not None
    assert (swedish.zone, swedish.gco2e_per_kwh) == ("SE", 15)
    assert snapshot.hourly("FR-COR", NOON_S + 60) is None, "an island is on a grid of its own"
    assert {(each.source, each.basis, each.kind) for each in snapshot.now(NOON_S + 60)} >= {
        ("france-odre", "direct", "average"),
        ("watttime", "lifecycle", "marginal"),
    }
    with pytest.raises(TypeError):
        snapshot.curves["x", "y"] = curve()  # type: ignore[index]  # it is a value


def faults(**source: Any) -> list[str]:
    settings = Settings.model_validate({"intensity": {"sources": [source]}})
    return [".".join(map(str, fault.path[3:])) + ": " + fault.message for fault in find_faults(settings)]


def test_a_source_that_cannot_work_is_refused_before_the_start() -> None:
    assert not faults(kind="energy-charts", zones=["FR", "SE"])
    assert not faults(kind="electricity-maps", zones=["US-MIDA-PJM"], token="t")
    assert not faults(kind="watttime", zones=["CAISO_NORTH"], user="u", token="t")
    assert "has no zone `US`" in faults(kind="energy-charts", zones=["US"])[0]
    assert "has no zone `fr`" in faults(kind="france-odre", zones=["fr"])[0]
    assert "needs `token:`" in faults(kind="electricity-maps", zones=["FR"])[0]
    assert "needs `user:`" in faults(kind="watttime", zones=["PJM"], token="t")[0]
    assert "takes none" in faults(kind="uk-neso", zones=["GB"], token="t")[0]
    assert "is not a grid zone" in faults(kind="electricity-maps", zones=["france"], token="t")[0]
    assert "is not a region as WattTime" in faults(kind="watttime", zones=["caiso north"], user="u", token="t")[0]
    assert "already" in faults(kind="energy-charts", zones=["FR", "FR"])[0]
    assert faults(kind="energy-charts", zones=["FR"], url="charts")[0].startswith("url")


def test_nothing_is_asked_by_default() -> None:
    assert Settings().intensity.sources == []
