"""What live sources tell of the zones that policies compare, and where calls went by it. It must never judge a call.

Both change only when a source tells something new, never from call to call: between two publications the same call gets the same verdict.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

LOOK_EVERY_S = 60.0
OLDEST_S = 2 * 3600.0
"""A live figure that is older decides nothing."""

MOST_GCO2E_PER_KWH = 2000.0
REMEMBERED = 4096


class HourFigure(NamedTuple):
    """Average, lifecycle intensity of a zone now. flow: whether imports and exports are followed; two flows cannot be compared."""

    gco2e_per_kwh: float
    flow: str


Figures = Mapping[str, HourFigure]
Anchors = Mapping[tuple[str, str], str]
"""The zone that calls of a policy and alias went to last, before the newest publication."""

NO_FIGURES: Figures = MappingProxyType({})
NO_ANCHORS: Anchors = MappingProxyType({})


class Hours:
    """The newest figures and anchors, each a value that is replaced as a whole. zones: those of which somebody is deployed in."""

    def __init__(self, zones: Iterable[str], before: "Hours | None" = None) -> None:
        self.zones = frozenset(zones)
        self.figures: Figures = NO_FIGURES if before is None else before.figures
        self.anchors: Anchors = NO_ANCHORS if before is None else before.anchors
        self._went: dict[tuple[str, str], str] = {} if before is None else dict(before._went)
        self._seen: object = None
        self._until_s = -math.inf

    def is_due(self, snapshot: object, now_s: float) -> bool:
        """True when the figures have to be looked up anew: something was told, or a while has passed."""
        return snapshot is not self._seen or now_s >= self._until_s

    def renew(self, snapshot: object, figures: Figures, now_s: float) -> None:
        """Takes what `snapshot` tells now. Where that is news, calls are held to the zones that they went to until now."""
        self._seen, self._until_s = snapshot, now_s + LOOK_EVERY_S
        told = {zone: found for zone, found in figures.items() if 0 < found.gco2e_per_kwh <= MOST_GCO2E_PER_KWH}
        if told != self.figures:
            self.figures = MappingProxyType(told)
            self.anchors = MappingProxyType(dict(self._went))

    def note(self, policy: str, alias: str, zone: str) -> None:
        """A call of this policy and alias went to `zone`."""
        if len(self._went) < REMEMBERED or (policy, alias) in self._went:
            self._went[policy, alias] = zone
