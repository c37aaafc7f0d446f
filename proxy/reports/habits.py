"""How teams work: drafts per accepted asset, large models for short answers, long answers. It must never be about one person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.catalogue import Catalogue
from config.tips import TipRow
from proxy.ledger.deliveries import Made
from proxy.ledger.details import Detail
from proxy.reports.deliverables import LastWords, told
from proxy.reports.document import Deliverable, Habit, Tip
from proxy.reports.sums import Keyed, spread_of

LARGE_ACTIVE_B: Final = 30.0
"""Billions of active parameters from which a model is called large: the classes standard, large and xlarge (definition)."""

OFTEN: Final = 0.2
"""A habit of at least this share of answers gets its tip first (definition)."""

MANY_DRAFTS: Final = 3.0
MOST_TIPS: Final = 3


@dataclass(slots=True)
class _Team:
    attempts: int = 0
    parts: list[Keyed] = field(default_factory=list)
    cells: list[Detail] = field(default_factory=list)
    answers: int = 0
    long_answers: int = 0
    oversized: int = 0

    def add(self, cell: Detail, is_large: bool) -> None:
        self.cells.append(cell)
        self.attempts += cell.opinions.attempts
        self.answers += cell.answers
        self.long_answers += cell.long_answers
        self.oversized += cell.short_answers if is_large else 0
        if "gco2e" in cell.opinions.lines:
            self.parts.append((cell.opinions.lines["gco2e"], cell.opinions.shared))


def habits(
    dimension: str, at: int, cells: Sequence[Detail], made: Mapping[str, Made], words: LastWords,
    catalogue: Catalogue, tips: Sequence[TipRow],
) -> tuple[Habit, ...]:  # fmt: skip
    """A page for each value of the tag `dimension`, heaviest first.

    at: where the tag stands among those of cells. made: assets by its value.
    """
    teams: dict[str, _Team] = {}
    for cell in cells:
        large = catalogue.resolve(cell.model).card.active_params_b.value >= LARGE_ACTIVE_B
        teams.setdefault(cell.tags[at], _Team()).add(cell, large)
    told_of = {name: told(name, made[name], team.cells, words) for name, team in teams.items() if name in made}
    pages = [_page(dimension, name, team, told_of, tips) for name, team in teams.items()]
    return tuple(sorted(pages, key=lambda page: (-page.gco2e.mean if page.gco2e else 0.0, page.team)))


def _page(dimension: str, name: str, team: _Team, made: Mapping[str, Deliverable], tips: Sequence[TipRow]) -> Habit:
    drafts = made[name].calls_per_accepted if name in made else None
    oversized = team.oversized / team.answers if team.answers else None
    long = team.long_answers / team.answers if team.answers else None
    shown = {"oversized": (oversized or 0) >= OFTEN, "long": (long or 0) >= OFTEN, "iterations": (drafts or 0) >= MANY_DRAFTS, "any": True}
    chosen = [tip for tip in tips if shown[tip.habit]][:MOST_TIPS]
    return Habit(
        dimension=dimension,
        team=name,
        calls=team.attempts,
        gco2e=spread_of(team.parts),
        calls_per_accepted=drafts,
        oversized_share=oversized,
        long_answer_share=long,
        tips=tuple(_tip(row) for row in chosen),
    )


def _tip(row: TipRow) -> Tip:
    return Tip(id=row.id, text_en=row.text_en, text_fr=row.text_fr, source=row.source, url=row.url, year=row.year)
