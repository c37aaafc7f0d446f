"""What holds for a moment and bears on decisions: live intensities, latencies. It must never change once it is made."""

from dataclasses import dataclass

from proxy.policy.hours import NO_ANCHORS, NO_FIGURES, Anchors, Figures
from proxy.policy.latency import NOBODY_TRIED, Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """pace: how long deployments took lately. figures: live intensity by zone. anchors: where calls went by the figures before these."""

    pace: Pace
    figures: Figures
    anchors: Anchors


UNTOLD = Conditions(pace=NOBODY_TRIED, figures=NO_FIGURES, anchors=NO_ANCHORS)
"""Nothing has been measured, and no live source has told anything."""
