"""Whether a grid counts as below a threshold, so that one near it does not flap. It must never read a clock, nor forget its last answer."""

from dataclasses import dataclass, replace

MARGIN_RATIO = 0.1
READINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """On which side of its threshold a grid counts. against: readings in a row that say otherwise. at_s: instant of the last one seen."""

    is_below: bool
    against: int = 0
    at_s: float = float("-inf")


def side_of(
    before: Side | None,
    gco2e_per_kwh: float,
    at_s: float,
    *,
    threshold: float,
    margin_ratio: float = MARGIN_RATIO,
    readings: int = READINGS,
) -> Side:
    """The side after one more reading: it changes when a reading is beyond the threshold by the margin, or so many in a row are beyond.

    threshold: the highest intensity that still counts as below, gCO2e per kWh. A reading of an instant that was seen already says
    nothing new. before: None for the first one.
    """
    is_below = gco2e_per_kwh <= threshold
    if before is None:
        return Side(is_below=is_below, at_s=at_s)
    if at_s <= before.at_s:
        return before
    if is_below == before.is_below:
        return replace(before, against=0, at_s=at_s)
    against = before.against + 1
    if against >= readings or abs(gco2e_per_kwh - threshold) > margin_ratio * threshold:
        return Side(is_below=is_below, at_s=at_s)
    return replace(before, against=against, at_s=at_s)
