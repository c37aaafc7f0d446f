"""Brands with their campaigns and assets. It must never leave out grams: what is not listed is counted, what has no tag is shown."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from proxy.ledger.cells import Cell
from proxy.ledger.deliveries import Listed
from proxy.reports.document import Branch, Level
from proxy.reports.sums import Keyed, spread_of

MOST_BRANCHES: Final = 20
"""So many are listed below one branch, the heaviest."""


@dataclass(slots=True)
class _Node:
    parts: list[Keyed] = field(default_factory=list)
    attempts: int = 0
    below: dict[str, "_Node"] = field(default_factory=dict)
    lighter: int = 0

    def told(self, level: Level, name: str) -> Branch:
        lower: Level = "campaign" if level == "brand" else "asset"
        lines = sorted((node.told(lower, key) for key, node in self.below.items()), key=weight)
        return Branch(
            level=level,
            name=name,
            calls=self.attempts,
            gco2e=spread_of(self.parts),
            below=tuple(lines[:MOST_BRANCHES]),
            cut=max(len(lines) - MOST_BRANCHES, 0) + self.lighter,
        )


def weight(branch: Branch) -> tuple[float, str]:
    """Heaviest first."""
    return (-branch.gco2e.mean if branch.gco2e is not None else 0.0, branch.name)


def tree(cells: Iterable[Cell], assets: Iterable[Listed], brand: int, campaign: int) -> tuple[Branch, ...]:
    """Every brand, with `unassigned` for calls without one. brand, campaign: where the tags stand among those of a cell."""
    brands: dict[str, _Node] = {}
    for cell in cells:
        top = brands.setdefault(cell.tags[brand], _Node())
        for node in (top, top.below.setdefault(cell.tags[campaign], _Node())):
            node.attempts += cell.opinions.attempts
            if "gco2e" in cell.opinions.lines:
                node.parts.append((cell.opinions.lines["gco2e"], cell.opinions.shared))
    for listed in assets:
        of_brand, of_campaign, name = listed.asset
        above = brands.setdefault(of_brand, _Node()).below.setdefault(of_campaign, _Node())
        above.below[name] = _Node(attempts=listed.calls, parts=list(listed.parts))
        above.lighter = listed.assets - len(above.below)
    return tuple(sorted((node.told("brand", name) for name, node in brands.items()), key=weight))
