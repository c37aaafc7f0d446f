"""A simulated month of calls through the policy engine: `python -m tests.month`. It must never call what it simulates measured."""

import argparse
import sys

from proxy.cli.output import Format, message, show_rows
from tests.month.arms import FAMILIES
from tests.month.proof import Proof, prove
from tests.month.table import COLUMNS
from tests.month.world import HOURS

CALLS, DRAWS, SEED = 200_000, 500, 11
DRAWN_COLUMNS = (
    "arm", "reduction_p5", "reduction_p50", "reduction_p95", "regret_mean", "regret_p95", "above_optimum_mean", "above_optimum_p95",
)  # fmt: skip
GOAL_COLUMNS = ("what", "goal", "found", "result")


def show(proof: Proof, form: Format, calls: int, draws: int) -> None:
    """Prints the tables."""
    message(f"{calls} made-up calls in {HOURS} hours; attributed emissions by yearly intensities, and with those of each hour.")
    show_rows(proof.rows(), COLUMNS, form, title="a simulated month")
    show_rows(proof.drawn_rows(), DRAWN_COLUMNS, form, title=f"{draws} draws of the factors")
    show_rows([goal.as_row() for goal in proof.goals()], GOAL_COLUMNS, form, title="goals, for `both`")
    for name, said in proof.actions.items():
        message(f"{name}: " + ", ".join(f"{count} {action}" for action, count in sorted(said.items())))
    message("seconds: " + ", ".join(f"{name} {took:.1f}" for name, took in proof.took_s.items()))


def main() -> None:
    """Exit code 1 when a goal is missed."""
    asked = argparse.ArgumentParser(prog="python -m tests.month", description="A simulated month through the policy engine.")
    asked.add_argument("--calls", type=int, default=CALLS)
    asked.add_argument("--draws", type=int, default=DRAWS)
    asked.add_argument("--seed", type=int, default=SEED)
    asked.add_argument("--family", choices=list(FAMILIES), default="gpt-4.1", help="three sizes of models")
    asked.add_argument("--format", choices=[each.value for each in Format], default=Format.TABLE.value)
    given = asked.parse_args()
    proof = prove(calls=given.calls, draws=given.draws, seed=given.seed, family=given.family)
    show(proof, Format(given.format), given.calls, given.draws)
    sys.exit(0 if all(goal.is_met for goal in proof.goals()) else 1)


if __name__ == "__main__":
    main()
