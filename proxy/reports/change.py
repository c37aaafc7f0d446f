"""What a total changed by since the period before, and why. It must never explain a gram twice, nor leave one unexplained.

Grams = calls x the model's share of them x units per call x the place's share of the model's units x grams per unit there. Units are
tokens, or pictures, or seconds, whichever a kind of call is counted in. Grams per unit at one model and place by the same method and
factors can only change with what the calls are like (more output, less cache), which belongs to length; else the change is the method's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from proxy.ledger.cells import Cell
from proxy.reports.document import Effect
from proxy.reports.lmdi import Term, decompose

EFFECTS: Final[tuple[Effect, ...]] = get_args(Effect)
Kind = tuple[str, str]
Place = tuple[str, str]


@dataclass(slots=True)
class _At:
    """One model at one place in one period."""

    grams: float = 0.0
    units: float = 0.0
    basis: set[tuple[str, str, str]] = field(default_factory=set)


@dataclass(slots=True)
class _Kind:
    """One kind of call to one model in one period."""

    attempts: int = 0
    cells: list[Cell] = field(default_factory=list)

    def add(self, cell: Cell) -> None:
        self.attempts += cell.opinions.attempts
        self.cells.append(cell)

    def places(self, unit: str) -> dict[Place, _At]:
        found: dict[Place, _At] = {}
        for cell in self.cells:
            at = found.setdefault((cell.provider, cell.zone), _At())
            quantity = cell.opinions.lines.get("gco2e")
            at.grams += quantity.mean if quantity is not None else 0.0
            at.units += _units(cell, unit)
            at.basis.add((cell.opinions.shared.method, cell.opinions.factor_set, cell.opinions.profile))
        return found


def explain(before: Sequence[Cell], now: Sequence[Cell]) -> dict[Effect, float]:
    """Grams by effect; their sum is the grams of `now` less those of `before`."""
    kinds = (_kinds(before), _kinds(now))
    calls = [float(sum(kind.attempts for kind in found.values())) for found in kinds]
    terms: list[Term] = []
    for name in sorted(kinds[0].keys() | kinds[1].keys()):
        terms += _terms(calls, kinds[0].get(name, _Kind()), kinds[1].get(name, _Kind()))
    parts = decompose(terms, EFFECTS)
    return {effect: parts[effect] for effect in EFFECTS}


def _kinds(cells: Sequence[Cell]) -> dict[Kind, _Kind]:
    found: dict[Kind, _Kind] = {}
    for cell in cells:
        found.setdefault((cell.operation, cell.model), _Kind()).add(cell)
    return found


def _terms(calls: list[float], before: _Kind, now: _Kind) -> list[Term]:
    unit = _unit(before, now)
    places = (before.places(unit), now.places(unit))
    names = sorted(places[0].keys() | places[1].keys())
    sides = [_factors(calls[side], kind, places[side], names) for side, kind in enumerate((before, now))]
    terms = []
    for name, old, new in zip(names, *sides, strict=True):
        same = places[0].get(name, _At()).basis == places[1].get(name, _At()).basis
        terms.append(Term(old, new, ("volume", "mix", "length", "region", "length" if same else "method")))
    return terms


def _factors(calls: float, kind: _Kind, places: dict[Place, _At], names: list[Place]) -> list[tuple[float, ...]]:
    """Of each place: calls, the model's share, units per call, the place's share of units, grams per unit."""
    units = sum(at.units for at in places.values())
    whole = (calls, kind.attempts / calls if calls else 0.0, units / kind.attempts if kind.attempts else 0.0)
    rows: list[tuple[float, ...]] = []
    for name in names:
        at = places.get(name, _At())
        rows.append((*whole, at.units / units if units else 0.0, at.grams / at.units if at.units else 0.0))
    return rows


def _unit(before: _Kind, now: _Kind) -> str:
    """What such calls are counted in: the first that every place with grams has in both periods, else calls."""
    for unit in ("images", "seconds", "tokens"):
        cells = [*before.cells, *now.cells]
        if cells and all(_units(cell, unit) > 0 for cell in cells):
            return unit
    return "calls"


def _units(cell: Cell, unit: str) -> float:
    if unit == "tokens":
        return cell.usage["input_tokens"] + cell.usage["output_tokens"]
    return float(cell.opinions.attempts) if unit == "calls" else cell.usage[unit]
