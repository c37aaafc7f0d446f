"""Live sources are asked when they have published, left alone when they fail, and what they said stays."""

import asyncio
from collections.abc import Mapping

import pytest

from config.settings import LiveIntensity
from proxy.http_client import FetchError
from proxy.intensity.asker import SPACING_S, Asker
from proxy.intensity.backoff import next_publication_s, pause_s
from proxy.intensity.keeper import Keeper
from tests.intensity_samples import (
    LOGIN,
    NOON_S,
    TOKEN,
    Beat,
    configured,
    em_forecast,
    em_latest,
    energy_charts,
    france_odre,
    uk_neso,
    watttime,
)

Reply = bytes | Exception


class Pages:
    """Answers by the path asked for; keeps what was asked."""

    def __init__(self) -> None:
        self.by_path: dict[str, Reply] = {}
        self.asked: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = []

    def answers(self, path: str, reply: Reply) -> None:
        self.by_path[path] = reply

    async def __call__(self, url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        self.asked.append((url, query, headers))
        reply = next((reply for path, reply in self.by_path.items() if path in url), FetchError("cannot be reached"))
        if isinstance(reply, Exception):
            raise reply
        return reply


def refused(status: int, **headers: str) -> FetchError:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return FetchError(f"answers {status}", status=status, headers=pairs)


def kept(beat: Beat, pages: Pages, *sources: LiveIntensity) -> Keeper:
    return Keeper(sources, pages, beat)  # type: ignore[arg-type]  # a clock that a test moves


def stepped(keeper: Keeper, asker: Asker | None = None) -> float:
    return asyncio.run(keeper.step(asker or keeper.askers[0]))


def figures(keeper: Keeper) -> dict[tuple[str, str], float]:
    return {(each.source, each.zone): each.gco2e_per_kwh for each in keeper.now()}


QUARTERS = energy_charts([24.0, 25.0, None], [None, None, 26.0])


def test_a_source_is_not_asked_again_before_its_next_publication() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", QUARTERS)
    keeper = kept(beat, pages, configured("energy-charts"))
    wait_s = stepped(keeper)
    assert len(pages.asked) == 1
    assert 600 <= wait_s <= 600 + 90, "five past noon; the next quarter, and up to a tenth of it"
    beat.at_s += wait_s - 1
    assert stepped(keeper) == pytest.approx(SPACING_S)
    assert len(pages.asked) == 1
    beat.at_s += 1
    stepped(keeper)
    assert len(pages.asked) == 2


def test_a_longer_interval_is_kept_and_a_shorter_one_is_not() -> None:
    for interval_s, least_s, most_s in ((7200, 6900, 7620), (60, 600, 690)):
        beat, pages = Beat(), Pages()
        pages.answers("/co2eq", QUARTERS)
        keeper = kept(beat, pages, configured("energy-charts", interval_s=interval_s))
        stepped(keeper)
        assert least_s <= keeper.askers[0].lines[0].due_s - beat.at_s <= most_s


def test_zones_and_pages_of_one_source_are_asked_one_by_one_with_a_pause() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/latest", em_latest(41))
    pages.answers("/forecast", em_forecast(43, 38))
    keeper = kept(beat, pages, configured("electricity-maps"))
    assert stepped(keeper) == SPACING_S
    assert len(pages.asked) == 1
    beat.at_s += SPACING_S
    assert stepped(keeper) > 3000
    assert [url.rpartition("/")[2] for url, _, _ in pages.asked] == ["latest", "forecast"]
    assert figures(keeper) == {("electricity-maps", "FR"): 43.0}
    beat.at_s = NOON_S + 3700
    assert figures(keeper) == {("electricity-maps", "FR"): 38.0}, "the forecast moves on without asking"


def test_a_plan_that_forbids_the_forecast_leaves_the_newest_hour() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/latest", em_latest(41))
    pages.answers("/forecast", refused(401))
    keeper = kept(beat, pages, configured("electricity-maps"))
    stepped(keeper)
    beat.at_s += SPACING_S
    stepped(keeper)
    assert figures(keeper) == {("electricity-maps", "FR"): 41.0}
    latest, forecast = keeper.askers[0].lines
    assert (latest.problem, forecast.problem) == (None, "answers 401")
    assert forecast.due_s - beat.at_s >= 900


BAD: dict[str, Reply] = {
    "500": refused(500),
    "429": refused(429, retry_after="7"),
    "403": refused(403),
    "silence": FetchError("does not answer within 10 s"),
    "unreachable": FetchError("cannot be reached"),
    "a page": b"<html>maintenance</html>",
    "not a number": energy_charts([24.0, 25.0], [None, None]).replace(b"25.0", b"NaN"),
    "zero": energy_charts([None, 0.0], [None, None]),
    "a million": energy_charts([None, 1e6], [None, None]),
    "a jump": energy_charts([None, None, 700.0], [None, None, None]),
    "tomorrow": energy_charts([30.0], [None], first_s=NOON_S + 86_400),
    "years old": energy_charts([30.0], [None], first_s=NOON_S - 3 * 365 * 86_400),
    "nothing yet": energy_charts([None, None], [None, None]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_source_that_fails_or_lies_changes_nothing_but_the_age(name: str, caplog: pytest.LogCaptureFixture) -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", QUARTERS)
    keeper = kept(beat, pages, configured("energy-charts"))
    stepped(keeper)
    (before,) = keeper.now()
    pages.answers("/co2eq", BAD[name])
    with caplog.at_level("INFO", logger="grammage.intensity"):
        for _ in range(4):
            beat.at_s = keeper.askers[0].lines[0].due_s
            stepped(keeper)
    (after,) = keeper.now()
    assert after.age_s > before.age_s
    assert after._replace(age_s=before.age_s) == before
    assert [entry.levelname for entry in caplog.records] == ["WARNING"], "once, when it begins"
    assert keeper.failures() == {("energy-charts", "FR"): 4}
    pages.answers("/co2eq", energy_charts([27.0], [None], first_s=NOON_S + 900))
    beat.at_s = max(keeper.askers[0].lines[0].due_s, NOON_S + 900)
    stepped(keeper)
    (again,) = keeper.now()
    assert again.gco2e_per_kwh == 27.0
    assert keeper.askers[0].lines[0].problem is None


def test_lies_are_counted_by_what_is_wrong_with_them() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", energy_charts([0.0, 1e6, 25.0], [None, None, None]))
    keeper = kept(beat, pages, configured("energy-charts"))
    stepped(keeper)
    assert keeper.refused() == {("energy-charts", "not_positive"): 1, ("energy-charts", "too_high"): 1}
    assert figures(keeper) == {("energy-charts", "FR"): 25.0}, "the other readings of the answer are taken"


def test_a_source_that_wants_to_be_left_alone_is_with_all_its_zones() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", refused(429, retry_after="400"))
    keeper = kept(beat, pages, configured("energy-charts", zones=["FR", "SE", "DE"]))
    wait_s = stepped(keeper)
    assert wait_s == pytest.approx(400)
    beat.at_s += 399
    stepped(keeper)
    assert len(pages.asked) == 1
    beat.at_s += 1
    stepped(keeper)
    assert len(pages.asked) == 2


def test_the_rest_that_is_asked_for_may_be_a_date_and_has_an_end() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", refused(429, retry_after="Mon, 23 Nov 2026 13:05:00 GMT"))
    keeper = kept(beat, pages, configured("energy-charts"))
    stepped(keeper)
    assert keeper.askers[0].lines[0].due_s == NOON_S + 3900
    beat.at_s = NOON_S + 3900
    pages.answers("/co2eq", refused(429, retry_after="1e12"))
    stepped(keeper)
    assert keeper.askers[0].lines[0].due_s == beat.at_s + 86_400


def test_pauses_double_differ_by_name_and_are_bounded() -> None:
    error = FetchError("cannot be reached")
    waits = [pause_s(failures, error, None, "x") for failures in range(1, 40)]
    assert 30 <= waits[0] <= 45
    assert all(30 * 2**place <= wait <= 45 * 2**place for place, wait in enumerate(waits[:6]))
    assert max(waits) <= 5400
    assert pause_s(1, error, None, "x") == waits[0], "the same name waits the same"
    assert pause_s(1, error, None, "y") != waits[0]
    assert pause_s(1, refused(401), None, "x") >= 900
    assert all(NOON_S + 900 <= next_publication_s(NOON_S, 900, name) <= NOON_S + 990 for name in "abcdef")


def test_watttime_opens_a_session_keeps_it_and_opens_another_when_refused() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/login", LOGIN)
    pages.answers("/v3/forecast", watttime(1000.0))
    keeper = kept(beat, pages, configured("watttime"))
    stepped(keeper)
    beat.at_s += 400
    stepped(keeper)
    assert [url.partition("org")[2] for url, _, _ in pages.asked] == ["/login", "/v3/forecast", "/v3/forecast"]
    assert pages.asked[1][2] == {"authorization": "Bearer abcdef0123456789fedcabc"}
    pages.answers("/v3/forecast", refused(401))
    beat.at_s += 400
    stepped(keeper)
    beat.at_s += 4000
    stepped(keeper)
    assert [url.partition("org")[2] for url, _, _ in pages.asked[3:]] == ["/v3/forecast", "/login", "/v3/forecast"]
    (found,) = keeper.now()
    assert found.kind == "marginal"
    assert found.gco2e_per_kwh == pytest.approx(453.59237)
    assert keeper.hour("CAISO_NORTH") is None, "a marginal figure is no call's intensity"


def test_direct_figures_are_shown_and_are_no_calls_intensity() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/eco2mix", france_odre(28.0))
    pages.answers("/intensity", uk_neso((166, 163)))
    keeper = kept(beat, pages, configured("france-odre"), configured("uk-neso"))
    for asker in keeper.askers:
        stepped(keeper, asker)
    assert figures(keeper) == {("france-odre", "FR"): 28.0, ("uk-neso", "GB"): 163.0}
    assert (keeper.hour("FR"), keeper.hour("GB")) == (None, None)


def test_a_lifecycle_figure_says_where_it_is_from() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", QUARTERS)
    keeper = kept(beat, pages, configured("energy-charts"))
    assert keeper.hour("FR") is None
    stepped(keeper)
    hour = keeper.hour("FR")
    assert hour is not None
    assert (hour.gco2e_per_kwh, hour.source, hour.zone, hour.state) == (26.0, "energy-charts", "FR", "forecast")
    assert (hour.basis, hour.age_s) == ("production-based, lifecycle", 300.0)


def test_a_reload_keeps_what_unchanged_sources_know_and_does_not_ask_them_anew() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", QUARTERS)
    pages.answers("/eco2mix", france_odre(28.0))
    before = kept(beat, pages, configured("energy-charts"), configured("france-odre"))
    for asker in before.askers:
        stepped(before, asker)
    after = Keeper([configured("energy-charts"), configured("uk-neso")], pages, beat, before)  # type: ignore[arg-type]  # a clock that a test moves
    assert figures(after) == {("energy-charts", "FR"): 26.0}
    stepped(after)
    assert len(pages.asked) == 2


def test_a_snapshot_that_somebody_holds_stays_as_it_is() -> None:
    beat, pages = Beat(), Pages()
    pages.answers("/co2eq", QUARTERS)
    keeper = kept(beat, pages, configured("energy-charts"))
    held = keeper.snapshot
    stepped(keeper)
    assert list(held.now(beat.at_s)) == []
    assert keeper.snapshot is not held


def test_tokens_stand_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    beat, pages = Beat(), Pages()
    keeper = kept(beat, pages, configured("electricity-maps", url=f"http://u:{TOKEN}@mirror.example"), configured("watttime"))
    with caplog.at_level("DEBUG", logger="grammage"):
        for asker in keeper.askers:
            stepped(keeper, asker)
    assert len(caplog.records) == 2
    assert TOKEN not in caplog.text


async def test_the_asking_ends_at_once_when_it_is_closed_even_under_a_source_that_stalls() -> None:
    begun = asyncio.Event()

    async def stall(url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    keeper = Keeper([configured("energy-charts"), configured("uk-neso")], stall, Beat())  # type: ignore[arg-type]  # a clock that a test moves
    keeper.start()
    await begun.wait()
    async with asyncio.timeout(5):
        await keeper.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
