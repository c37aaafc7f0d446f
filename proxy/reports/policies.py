"""What policies did, beside their baselines. It must never take a difference off what was emitted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from estimators.paired import PairedTotal
from proxy.ledger.policy_sums import PolicyCell
from proxy.reports.document import PolicyLine
from proxy.reports.line import Spread

HELD_BACK: Final = "holdback"
NOT_RECORDED: Final = "not_recorded"
NOT_MODELLED: Final = "not_modelled"


@dataclass(slots=True)
class _Tally:
    actions: Counter[str] = field(default_factory=Counter)
    paired: PairedTotal = field(default_factory=PairedTotal)
    modelled: int = 0

    def add(self, cell: PolicyCell) -> None:
        self.actions[cell.action] += cell.calls
        if cell.baseline is not None and cell.choice is not None and cell.action != HELD_BACK:
            self.modelled += cell.calls
            self.paired.add(*cell.choice, *cell.baseline)

    def told(self, policy: str, mode: str) -> PolicyLine:
        gap = self.paired.difference() if self.modelled else None
        sides = [Spread(total.mean, total.p5, total.p95) if self.modelled else None for total in (self.paired.b, self.paired.a)]
        return PolicyLine(
            policy=policy,
            mode=mode,
            calls_by_action=dict(sorted(self.actions.items())),
            modelled_calls=self.modelled,
            held_back_calls=self.actions[HELD_BACK],
            baseline_gco2e=sides[0],
            choice_gco2e=sides[1],
            difference_gco2e=None if gap is None else Spread(gap.mean, gap.p5, gap.p95),
            probability_less=None if gap is None else gap.probability_a_is_less,
            difference_water_ml=None,
            water_unknown=NOT_RECORDED if self.modelled else NOT_MODELLED,
        )


def policy_lines(cells: Iterable[PolicyCell]) -> tuple[PolicyLine, ...]:
    """A line for each policy and mode, by name. Calls that were held back are evidence, and in no sum."""
    found: dict[tuple[str, str], _Tally] = {}
    for cell in cells:
        found.setdefault((cell.policy, cell.mode), _Tally()).add(cell)
    return tuple(found[key].told(*key) for key in sorted(found))
