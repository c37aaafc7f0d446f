"""Sums of cells with their ranges. It must never add a line that the cells do not have."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from estimators.profiles import PROFILES
from estimators.quantity import Quantity, add
from proxy.ledger.inventory_cells import InventoryCell
from proxy.reports.line import Spread
from proxy.reports.sums import Keyed, coherent, keyed, spread_of

SERVING: Final = ("operational_gco2e", "embodied_gco2e")
WH_PER_KWH: Final = 1000
G_PER_T: Final = 1e6
Key = TypeVar("Key")


def sum_of(cells: Iterable[InventoryCell], line: str) -> Spread | None:
    """The sum of a line whose doubt is kept by scope; None where no cell has it."""
    return spread_of(keyed((cell.opinions for cell in cells), line))


def beside_of(cells: Iterable[InventoryCell], line: str) -> Spread | None:
    """The sum of a line whose doubt is one number: all calls are taken to err alike, so that its range is rather too wide."""
    having = [cell.beside[line] for cell in cells if line in cell.beside]
    mean = sum(each.mean for each in having)
    sd = sum(each.mean * each.coherent_sd for each in having) / mean if mean > 0 else 0.0
    return coherent(mean, sd) if having else None


def serving_of(cells: Iterable[InventoryCell]) -> Spread | None:
    """Operational and embodied together, whatever else the profile of the estimates puts into its total."""
    return spread_of([pair for cell in cells if (pair := _serving(cell)) is not None])


def _serving(cell: InventoryCell) -> Keyed | None:
    lines, profile = cell.opinions.lines, PROFILES.get(cell.opinions.profile)
    if any(line not in lines for line in SERVING):
        return None
    whole: Quantity | None = lines.get("gco2e") if profile is not None and set(profile.lines) == set(SERVING) else None
    return (whole if whole is not None else add(lines[SERVING[0]], lines[SERVING[1]]), cell.opinions.shared)


def beyond_of(cell: InventoryCell) -> tuple[str, ...]:
    """Lines beyond serving that the profile of the estimates puts into their total, and that they have."""
    profile = PROFILES.get(cell.opinions.profile)
    lines = () if profile is None else profile.lines
    return tuple(line for line in lines if line not in SERVING and line in cell.beside)


def both(*spreads: Spread | None) -> Spread | None:
    """The sum of sums whose doubts are not known to be apart: ends are added, which is the widest that the range can be."""
    known = [each for each in spreads if each is not None]
    if not known:
        return None
    return Spread(sum(each.mean for each in known), sum(each.p5 for each in known), sum(each.p95 for each in known))


def attempts_of(cells: Iterable[InventoryCell]) -> int:
    """How many weighed attempts."""
    return sum(cell.opinions.attempts for cell in cells)


def it_energy_wh(cells: Iterable[InventoryCell]) -> float | None:
    """Energy before PUE, expected; None where none is known."""
    known = [cell.it_energy_wh for cell in cells if cell.it_energy_wh is not None]
    return sum(known) if known else None


def mean_of(cells: Iterable[InventoryCell], line: str) -> float:
    """The expected sum of a line over the cells that have it."""
    return sum(cell.opinions.lines[line].mean for cell in cells if line in cell.opinions.lines)


def grouped(cells: Iterable[InventoryCell], key: Callable[[InventoryCell], Key]) -> Mapping[Key, Sequence[InventoryCell]]:
    """The cells by a key, heaviest group first."""
    found: dict[Key, list[InventoryCell]] = {}
    for cell in cells:
        found.setdefault(key(cell), []).append(cell)
    return dict(sorted(found.items(), key=lambda pair: (-mean_of(pair[1], "gco2e"), str(pair[0]))))


def tonnes(spread: Spread | None) -> float | None:
    """Expected tonnes."""
    return None if spread is None else spread.mean / G_PER_T
