"""The lines of a boundary, and the same by the hour. It must never put a line into a total that the boundary leaves out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from estimators.profiles import PROFILES
from proxy.ledger.cells import BESIDE, Cell
from proxy.ledger.details import Detail
from proxy.ledger.queries import Opinions
from proxy.reports.document import BoundaryLine, Hourly
from proxy.reports.sums import coherent, keyed, spread_of

Name = Literal["operational", "embodied", "undivided", "training", "network"]
LINES: Final[dict[Name, str]] = {
    "operational": "operational_gco2e",
    "embodied": "embodied_gco2e",
    "training": "training_gco2e",
    "network": "network_gco2e",
}


def boundary_lines(cells: Sequence[Cell], details: Sequence[Detail] | None) -> tuple[BoundaryLine, ...]:
    """Every line with its sum; the total contains those of the boundary that the estimates with the line bear.

    Lines beside are of the details alone; None: these are not there, and neither are the lines.
    """
    own = [_own(name, line, cells) for name, line in LINES.items() if line not in BESIDE]
    beside = [] if details is None else [_beside(name, line, details) for name, line in LINES.items() if line in BESIDE]
    return (*own, *_undivided(cells), *beside)


def _own(name: Name, line: str, cells: Sequence[Cell]) -> BoundaryLine:
    having = [cell.opinions for cell in cells if line in cell.opinions.lines]
    weighed = sum(each.attempts for each in having)
    return BoundaryLine(name=name, gco2e=spread_of(keyed(having, line)), is_in_total=_is_inside(line, having), weighed_attempts=weighed)


def _undivided(cells: Sequence[Cell]) -> Iterator[BoundaryLine]:
    """What has grams and no lines."""
    having = [cell.opinions for cell in cells if "gco2e" in cell.opinions.lines and LINES["operational"] not in cell.opinions.lines]
    if having:
        weighed = sum(each.attempts for each in having)
        yield BoundaryLine(name="undivided", gco2e=spread_of(keyed(having, "gco2e")), is_in_total=True, weighed_attempts=weighed)


def _is_inside(line: str, having: Iterable[Opinions]) -> bool:
    profiles = {each.profile for each in having}
    return any(line in PROFILES[profile].lines for profile in profiles if profile in PROFILES)


def _beside(name: Name, line: str, details: Sequence[Detail]) -> BoundaryLine:
    """A line whose doubt is one number per call: its calls are taken to err alike, so that its range is rather too wide."""
    found = [detail for detail in details if line in detail.beside]
    having = [detail.beside[line] for detail in found]
    mean = sum(each.mean for each in having)
    sd = sum(each.mean * each.coherent_sd for each in having) / mean if mean > 0 else 0.0
    spread = coherent(mean, sd) if having else None
    inside = _is_inside(line, (detail.opinions for detail in found))
    return BoundaryLine(name=name, gco2e=spread, is_in_total=inside, weighed_attempts=sum(each.attempts for each in having))


def hourly_of(cells: Sequence[Detail]) -> Hourly | None:
    """The column by the hour; None where no hour is known."""
    yearly = sum(cell.covered_yearly_gco2e for cell in cells)
    hourly = sum(cell.covered_hourly_gco2e for cell in cells)
    operational = sum(cell.opinions.lines["operational_gco2e"].mean for cell in cells if "operational_gco2e" in cell.opinions.lines)
    total = sum(cell.opinions.lines["gco2e"].mean for cell in cells if "gco2e" in cell.opinions.lines)
    if yearly <= 0 or operational <= 0:
        return None
    return Hourly(
        covered_share=min(yearly / operational, 1.0),
        covered_yearly_gco2e=yearly,
        covered_hourly_gco2e=hourly,
        gco2e=total - yearly + hourly,
    )
