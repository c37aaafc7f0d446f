"""The simulated month in short: it goes through the real policies and the real estimator, and its optima are optima."""

from functools import cache

import numpy as np
import pytest

from config.policy_cases import CaseCall
from config.tables import Tables, load_tables
from estimators.usage import Usage
from proxy.cli.policy_try import Trial
from proxy.policy.candidates import candidates_from
from proxy.weigh import Scales, WeighingRules
from tests.month.arms import BOTH, BUDGET, HOURLY, NONE, REGION, SIZE, SMALLEST, arm_settings, example, run_arm
from tests.month.engine import REFUSED, Engine
from tests.month.labelled import FILE, ROWS, SEED, labelled_csv
from tests.month.optimum import QUALITY_LOSS, best_shares, clairvoyant, known_of
from tests.month.proof import CLAIRVOYANT, OPTIMUM, Proof, prove
from tests.month.weights import ML_PER_LITRE, SCOPES, Weights, shapes, weigh
from tests.month.world import HOURS, MODELS, REGIONS, Month, month_of

CALLS, DRAWS = 2_000, 40
SAMPLE = range(0, CALLS, 37)


@cache
def tables() -> Tables:
    return load_tables()


@cache
def month() -> Month:
    return month_of(CALLS, 3)


@cache
def weights() -> Weights:
    whole = example()
    scales = Scales(tables(), WeighingRules(operating_prior=whole.weighing.operating_prior, profile=whole.weighing.profile))
    return weigh(month(), whole, tables(), candidates_from(whole, tables().places), scales)


@cache
def proof() -> Proof:
    return prove(calls=CALLS, draws=DRAWS, seed=3, family="gpt-4.1")


def test_calls_weigh_what_the_estimator_says_of_each() -> None:
    found = weights()
    for i in SAMPLE:
        for at, method in enumerate(found.prepared):
            usage = Usage(input_tokens=int(month().input_tokens[i]), output_tokens=int(month().output_tokens[i, at // len(REGIONS)]))
            one = method.estimate(usage)
            assert found.gco2e[i, at] == pytest.approx(one.gco2e.mean)
            assert found.water_ml[i, at] == pytest.approx(one.water_ml.mean)
            assert found.sd[i, at] ** 2 == pytest.approx(np.array(one.gco2e.variance[: len(SCOPES)]))


def test_the_hour_moves_only_what_follows_the_grid() -> None:
    found, shape = weights(), shapes()["DE"][month().hour]
    lower = shape < 1
    assert np.all(found.hourly_gco2e[lower, 0] < found.gco2e[lower, 0])
    assert np.all(found.hourly_gco2e[~lower, 0] >= found.gco2e[~lower, 0])
    assert np.all(found.hourly_gco2e > 0)


def test_hourly_shapes_are_those_of_a_month_around_one() -> None:
    found = shapes()
    assert set(found) == {"SE", "FR", "DE", "PL"}
    for shape in found.values():
        assert shape.shape == (HOURS,)
        assert 0.9 < shape.mean() < 1.1
        assert shape.std() > 0.03


def test_policies_say_of_a_call_what_policy_test_would_say_of_it() -> None:
    engine, trial = Engine(example(), tables()), Trial(example(), tables())
    names = set()
    for i in SAMPLE:
        call = engine.facts(month(), i)
        mine = engine.judged(call)
        described = CaseCall(
            alias=call.alias,
            tags=dict(call.tags),
            input_tokens=call.usage.input_tokens,
            output_tokens=call.usage.output_tokens,
            id=call.call_id,
        )
        theirs = trial.run(described).verdict
        assert mine is not None
        assert theirs is not None
        assert (mine.policy, mine.action, mine.reason) == (theirs.policy, theirs.action, theirs.reason)
        assert [each.deployment for each in mine.plan] == [each.deployment for each in theirs.plan]
        assert [grams for grams, _ in mine.ranked] == [grams for grams, _ in theirs.ranked]
        names.add(mine.policy)
    assert len(names) == len(example().policies)


def test_arms_do_what_they_are_called() -> None:
    short = month_of(300, 5)
    chosen = {name: run_arm(name, example(), tables(), short).choice for name in (NONE, SMALLEST, REGION, SIZE, BOTH)}
    places = len(REGIONS)
    assert set(chosen[NONE]) == {0}
    assert set(chosen[SMALLEST]) == {(len(MODELS) - 1) * places}
    assert set(chosen[REGION]) == {REGIONS.index("swedencentral")}
    assert set(chosen[SIZE] % places) == {0}
    assert len(set(chosen[SIZE])) == len(MODELS)
    assert set(chosen[BOTH] // places) == set(chosen[SIZE] // places)
    assert np.array_equal(chosen[BOTH] // places, chosen[SIZE] // places)


def test_by_the_hour_calls_move_where_the_grid_is_lower_then() -> None:
    settings = arm_settings(HOURLY, example())
    eager = [
        policy.model_copy(update={"prefer": policy.prefer.model_copy(update={"hysteresis": 0.0})})
        for policy in settings.policies
        if policy.prefer is not None
    ]
    short, known = month_of(1000, 6), shapes()
    choice = Engine(settings.model_copy(update={"policies": eager}), tables()).run(short).choice
    in_france = choice % len(REGIONS) == REGIONS.index("francecentral")
    assert 0 < in_france.sum() < len(short) / 2
    ratio = known["FR"][short.hour] / known["SE"][short.hour]
    assert ratio[in_france].max() < ratio[~in_france].mean()


def test_the_month_reaches_its_goals_in_short() -> None:
    found = proof()
    assert {goal.what: goal.is_met for goal in found.goals() if "95th" not in goal.what} == dict.fromkeys(
        [
            "mean quality kept",
            "share of the optimum's reduction",
            "5th percentile of the reduction under draws",
            "regret under draws, mean, as a share of the optimum's reduction",
        ],
        True,
    )
    assert {row["arm"] for row in found.rows()} == {NONE, SMALLEST, REGION, SIZE, BOTH, HOURLY, BUDGET, OPTIMUM, CLAIRVOYANT}
    assert all(of.low < of.gco2e < of.high and of.refused == 0 for of in found.arms.values())


def test_nobody_beats_the_optimum_at_its_quality() -> None:
    found = proof()
    floor = (1 - QUALITY_LOSS) * found.arms[NONE].score
    assert found.arms[CLAIRVOYANT].score >= floor
    assert found.arms[CLAIRVOYANT].hourly_gco2e < found.arms[OPTIMUM].hourly_gco2e
    assert found.least < found.arms[BOTH].gco2e
    assert np.all(found.drawn[BOTH].reduction <= found.optima + 1e-9)
    assert np.all(found.drawn[OPTIMUM].lacking >= -0.01)


def test_the_budget_sends_the_rest_to_what_weighs_less_and_stops_nothing() -> None:
    found = proof()
    assert found.actions[BUDGET]["routed_by_budget"] > 0
    assert found.arms[BUDGET].gco2e < found.arms[BOTH].gco2e
    assert found.arms[BUDGET].score < found.arms[BOTH].score
    assert sum(found.actions[BUDGET].values()) == CALLS


def test_the_optimum_meets_the_floor_and_is_no_worse_than_any_plain_choice() -> None:
    known = known_of(month(), weights(), month_of(3_000, 8))
    everyone = np.arange(len(weights().choices))
    shares = best_shares(known, known.gco2e, everyone)
    score, floor = float((known.calls[:, None] * shares * known.score).sum()), float(known.calls @ known.score[:, 0]) * (1 - QUALITY_LOSS)
    grams = float((known.calls[:, None] * shares * known.gco2e).sum())
    assert score >= floor * (1 - 1e-9)
    assert np.allclose(shares[known.calls > 0].sum(axis=1), 1)
    for at in everyone:
        if float(known.calls @ known.score[:, at]) >= floor:
            assert grams <= float(known.calls @ known.gco2e[:, at])
    one_region = np.array([model * len(REGIONS) for model in range(len(MODELS))])
    narrow = best_shares(known, known.gco2e, one_region)
    assert float((known.calls[:, None] * narrow * known.gco2e).sum()) > grams


def test_the_clairvoyant_takes_each_call_to_its_lowest_region() -> None:
    choice = clairvoyant(month(), weights())
    hourly = weights().hourly_gco2e.reshape(CALLS, len(MODELS), len(REGIONS))
    lowest = hourly.argmin(axis=2)
    assert np.array_equal(choice % len(REGIONS), lowest[np.arange(CALLS), choice // len(REGIONS)])


def test_the_same_seed_makes_the_same_month() -> None:
    again, other = month_of(CALLS, 3), month_of(CALLS, 4)
    assert np.array_equal(again.score, month().score)
    assert np.array_equal(again.latency_ms, month().latency_ms)
    assert not np.array_equal(other.score, month().score)
    assert REFUSED not in run_arm(BOTH, example(), tables(), month_of(50, 3)).choice
    assert proof().arms[NONE].water_l == pytest.approx(weights().water_ml[:, 0].sum() / ML_PER_LITRE)


def test_the_labelled_example_is_what_the_month_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == labelled_csv(month_of(ROWS, SEED))
