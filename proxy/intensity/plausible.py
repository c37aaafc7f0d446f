"""Which readings can be true. It must never mend one: what is not plausible is refused, and counted by its reason."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from proxy.intensity.reading import IntensitySource, Reading

MOST_GCO2E_PER_KWH = 2000.0
"""Above any grid: plants that burn lignite alone stay below."""

MEASURED_AHEAD_S = 1800.0
"""How far ahead a measured period may begin: clocks differ, and some sources name a period by its end."""

FORECAST_AHEAD_S = 4 * 86_400.0
OLDEST_S = 2 * 86_400.0

JUMP_RATIO = 4.0
JUMP_GCO2E_PER_KWH = 150.0
JUMP_WITHIN_S = 2 * 3600.0
"""More than four times as much or as little and more than 150 g away, within two hours: no grid does that. What still holds after two
hours is taken, so that a source which was wrong once is not refused for ever."""


class Checked(NamedTuple):
    """Readings that can be true, by their instants, and how many were refused, by reason."""

    accepted: tuple[Reading, ...]
    refused: Mapping[str, int]


def check(readings: Iterable[Reading], source: IntensitySource, now_s: float, last: Reading | None) -> Checked:
    """Sorts out what a source says. last: its newest reading from before these, if there is one."""
    refused: Counter[str] = Counter()
    accepted: list[Reading] = []
    for reading in sorted(readings, key=lambda reading: reading.at_s):
        reason = _wrong(reading, source, now_s)
        if reason is None and last is not None and _jumps(last, reading):
            reason = "jump"
        if reason is None:
            accepted.append(reading)
            last = reading
        else:
            refused[reason] += 1
    return Checked(tuple(accepted), refused)


def _wrong(reading: Reading, source: IntensitySource, now_s: float) -> str | None:
    figure, ahead_s = reading.gco2e_per_kwh, reading.at_s - now_s
    rules = (
        ("other_basis", (reading.kind, reading.basis) != (source.KIND, source.BASIS)),
        ("not_a_number", not math.isfinite(figure)),
        ("not_positive", figure <= 0),
        ("too_high", figure > MOST_GCO2E_PER_KWH),
        ("in_the_future", ahead_s > (FORECAST_AHEAD_S if reading.state == "forecast" else MEASURED_AHEAD_S)),
        ("too_old", -ahead_s > OLDEST_S),
    )
    return next((reason for reason, holds in rules if holds), None)


def _jumps(before: Reading, after: Reading) -> bool:
    """A forecast that was wrong is no reason to doubt a measurement."""
    if before.state == "forecast" != after.state:
        return False
    low, high = sorted((before.gco2e_per_kwh, after.gco2e_per_kwh))
    is_near = abs(after.at_s - before.at_s) < JUMP_WITHIN_S
    return is_near and high > JUMP_RATIO * low and high - low > JUMP_GCO2E_PER_KWH
