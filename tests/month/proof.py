"""The whole measurement: arms, optima, draws, goals. It must never print."""

import time
from dataclasses import dataclass

import numpy as np

from config.settings import Settings
from config.tables import Tables, load_tables
from proxy.cli.output import Cell
from proxy.policy.candidates import candidates_from
from proxy.weigh import Scales, WeighingRules
from tests.month.arms import BOTH, BUDGET, BUDGET_SHARE, HOURLY, NONE, REGION, SIZE, SMALLEST, example, run_arm, run_with_budget
from tests.month.draws import Drawn, draw
from tests.month.optimum import QUALITY_LOSS, Known, best_shares, clairvoyant, known_of
from tests.month.table import Figures, figures, row, share
from tests.month.weights import Weights, weigh
from tests.month.world import Floats, Month, Whole, month_of

LABELLED = 6_000
OPTIMUM, CLAIRVOYANT = "optimum of what is known", "clairvoyant"
OF_OPTIMUM_AT_LEAST, LACKING_AT_MOST = 0.9, 0.1
PERCENTILE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was to be reached, and what was."""

    what: str
    goal: str
    found: str
    is_met: bool

    def as_row(self) -> dict[str, Cell]:
        """For printing."""
        return {"what": self.what, "goal": self.goal, "found": self.found, "result": "met" if self.is_met else "MISSED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the month came to. arms: figures by name; least: grams of the optimum; optima: its reductions by draw."""

    arms: dict[str, Figures]
    least: float
    actions: dict[str, dict[str, int]]
    drawn: dict[str, Drawn]
    optima: Floats
    took_s: dict[str, float]

    def rows(self) -> list[dict[str, Cell]]:
        """A row per arm."""
        base = self.arms[NONE]
        return [row(name, of, base, None if name == CLAIRVOYANT else self.least) for name, of in self.arms.items()]

    def of_optimum(self, name: str) -> float:
        """The share of the optimum's reduction that an arm reaches."""
        base = self.arms[NONE].gco2e
        return (base - self.arms[name].gco2e) / (base - self.least)

    def kept(self, name: str) -> float:
        """Mean quality, as a share of that without policies."""
        return self.arms[name].score / self.arms[NONE].score

    def drawn_rows(self) -> list[dict[str, Cell]]:
        """A row per arm: its fate under the draws."""
        return [
            {
                "arm": name,
                **{f"reduction_p{int(100 * at)}": share(float(np.quantile(of.reduction, at))) for at in (PERCENTILE, 0.5, 1 - PERCENTILE)},
                "regret_mean": share(float(of.lacking.mean())),
                "regret_p95": share(float(np.quantile(of.lacking, 1 - PERCENTILE))),
                "above_optimum_mean": share(float(of.above.mean())),
                "above_optimum_p95": share(float(np.quantile(of.above, 1 - PERCENTILE))),
            }
            for name, of in self.drawn.items()
            if name != NONE
        ]

    def goals(self) -> list[Goal]:
        """The goals of the month, for the policies of the example."""
        reached, kept, both = self.of_optimum(BOTH), self.kept(BOTH), self.drawn[BOTH]
        low = float(np.quantile(both.reduction, PERCENTILE))
        floor = 1 - QUALITY_LOSS
        return [
            Goal(what="mean quality kept", goal=f">= {share(floor)}", found=f"{100 * kept:.2f} %", is_met=kept >= floor),
            Goal(
                what="share of the optimum's reduction",
                goal=f">= {share(OF_OPTIMUM_AT_LEAST)}",
                found=share(reached),
                is_met=reached >= OF_OPTIMUM_AT_LEAST,
            ),
            Goal(what="5th percentile of the reduction under draws", goal="> 0 %", found=share(low), is_met=low > 0),
            *(
                Goal(
                    what=f"regret under draws, {name}, as a share of the optimum's reduction",
                    goal=f"< {share(LACKING_AT_MOST)}",
                    found=f"{share(found)} (chosen without knowing the draw, the optimum itself: {share(unknowing)})",
                    is_met=found < LACKING_AT_MOST,
                )
                for name, found, unknowing in self._regrets()
            ),
        ]

    def _regrets(self) -> list[tuple[str, float, float]]:
        """Mean and 95th percentile: of the example's policies, and of the optimum that was found without knowing the draw."""
        both, unknowing = self.drawn[BOTH].lacking, self.drawn[OPTIMUM].lacking
        high = 1 - PERCENTILE
        return [
            ("mean", float(both.mean()), float(unknowing.mean())),
            ("95th percentile", float(np.quantile(both, high)), float(np.quantile(unknowing, high))),
        ]


def prove(*, calls: int, draws: int, seed: int, family: str) -> Proof:
    """Runs the month in all arms and draws the factors."""
    tables, whole = load_tables(), example(family)
    began = time.perf_counter()
    candidates = candidates_from(whole, tables.places)
    month, labelled = month_of(calls, seed), month_of(LABELLED, seed + 1)
    scales = Scales(tables, WeighingRules(operating_prior=whole.weighing.operating_prior, profile=whole.weighing.profile))
    weights = weigh(month, whole, tables, candidates, scales)
    known = known_of(month, weights, labelled)
    took_s = {"calls made and weighed": time.perf_counter() - began}
    chosen, actions = _arms(tables, whole, month, weights, took_s)
    everyone = np.arange(len(weights.choices))
    shares = best_shares(known, known.gco2e, everyone)
    chosen[OPTIMUM] = taken_at(shares, known, seed)
    served = {**chosen, CLAIRVOYANT: clairvoyant(month, weights)}
    began = time.perf_counter()
    drawn, optima = draw(known, weights, chosen, NONE, draws=draws, seed=seed + 2)
    took_s[f"{draws} draws"] = time.perf_counter() - began
    return Proof(
        arms={name: figures(month, weights, known, choice) for name, choice in served.items()},
        least=float((known.calls[:, None] * shares * known.gco2e).sum()),
        actions=actions,
        drawn=drawn,
        optima=optima,
        took_s=took_s,
    )


def _arms(
    tables: Tables, whole: Settings, month: Month, weights: Weights, took_s: dict[str, float]
) -> tuple[dict[str, Whole], dict[str, dict[str, int]]]:
    """The choice of each call in each arm, and what the policies said of how many."""
    chosen, actions = dict[str, Whole](), dict[str, dict[str, int]]()
    for name in (NONE, SMALLEST, REGION, SIZE, BOTH, HOURLY):
        began = time.perf_counter()
        outcome = run_arm(name, whole, tables, month)
        chosen[name], actions[name] = outcome.choice, outcome.actions
        took_s[name] = time.perf_counter() - began
    began = time.perf_counter()
    limit = BUDGET_SHARE * float(weights.gco2e[np.arange(len(month)), chosen[BOTH]].sum())
    outcome = run_with_budget(whole, tables, month, weights, limit)
    chosen[BUDGET], actions[BUDGET] = outcome.choice, outcome.actions
    took_s[BUDGET] = time.perf_counter() - began
    return chosen, actions


def taken_at(shares: Floats, known: Known, seed: int) -> Whole:
    """A choice for each call, drawn by the shares of its class."""
    rng = np.random.default_rng(seed + 3)
    upto = np.cumsum(shares, axis=1)[known.classes]
    found: Whole = (rng.random(len(known.classes))[:, None] >= upto).sum(axis=1).clip(0, shares.shape[1] - 1)
    return found
