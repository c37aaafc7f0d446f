"""Calls under a policy beside those that were held back from it, by asset. It must never put a call into an arm that it was not in."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.ledger.past import PastCall, Verdict
from proxy.reports.ratio import Comparison, Interval, Moments, Share

HELD_BACK: Final = "holdback"
FREE: Final = frozenset({"reuse", "joined"})
"""What answered without any work of a provider: such a call weighs nothing, and that is known."""

ARMS: Final = ("treated", "held_back")
ACCEPTED, REJECTED = "accepted", "rejected"


class Verdicts:
    """The last word on each asset, by its name and by brand and campaign where the word names them."""

    def __init__(self, said: Iterable[Verdict]) -> None:
        self._last: dict[str, list[Verdict]] = {}
        for verdict in said:
            self._last.setdefault(verdict.asset, []).append(verdict)

    def of(self, asset: str, brand: str | None, campaign: str | None) -> str | None:
        """The last word that is about this asset, None when nobody said one."""
        for verdict in reversed(self._last.get(asset, [])):
            if verdict.brand in (None, brand) and verdict.campaign in (None, campaign):
                return verdict.verdict
        return None


@dataclass(slots=True)
class _Asset:
    """The calls of one asset under one policy. grams, calls: by arm. last: the arm of the newest call, and its start."""

    grams: list[float] = field(default_factory=lambda: [0.0, 0.0])
    calls: list[int] = field(default_factory=lambda: [0, 0])
    last_arm: int = 0
    last_ms: int = -1
    campaign: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm of a policy. unweighed: calls without a figure; they are in no ratio. assets: those whose newest call is in this arm."""

    name: str
    calls: int
    unweighed: int
    assets: int
    accepted: int
    rejected: int
    gco2e: float
    per_call: Interval
    per_accepted: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Both arms of a policy and what lies between them: treated less held back, in gCO2e per call and per accepted asset."""

    policy: str
    arms: tuple[Arm, Arm]
    per_call: Interval
    per_accepted: Interval


class _Trial:
    """The calls of one policy so far."""

    def __init__(self) -> None:
        self.calls = [0, 0]
        self.unweighed = [0, 0]
        self.lone = Moments()
        self.lone_grams = [0.0, 0.0]
        self.assets: dict[tuple[str, str | None], _Asset] = {}

    def add(self, call: PastCall) -> None:
        arm = int(call.action == HELD_BACK)
        self.calls[arm] += 1
        figures = [attempt.gco2e.mean for attempt in call.attempts if attempt.gco2e is not None]
        if not figures and call.instead not in FREE:
            self.unweighed[arm] += 1
            return
        asset = call.tags.get("asset")
        if asset is None:
            self.lone.add(_share(arm, sum(figures), 1))
            self.lone_grams[arm] += sum(figures)
            return
        found = self.assets.setdefault((asset, call.tags.get("brand")), _Asset())
        found.grams[arm] += sum(figures)
        found.calls[arm] += 1
        if call.started_ms >= found.last_ms:
            found.last_arm, found.last_ms, found.campaign = arm, call.started_ms, call.tags.get("campaign")

    def told(self, policy: str, verdicts: Verdicts) -> Evidence:
        per_call, per_accepted = self.lone, Moments()
        words: list[Counter[str]] = [Counter(), Counter()]
        counts = [0, 0]
        for (name, brand), asset in self.assets.items():
            word = verdicts.of(name, brand, asset.campaign)
            counts[asset.last_arm] += 1
            words[asset.last_arm][word or ""] += 1
            units = [0.0, 0.0]
            units[asset.last_arm] = float(word == ACCEPTED)
            per_call.add(Share(asset.grams[0], asset.calls[0], asset.grams[1], asset.calls[1]))
            per_accepted.add(Share(asset.grams[0], units[0], asset.grams[1], units[1]))
        calls, accepted = per_call.compare(), per_accepted.compare()
        arms = tuple(self._arm(arm, counts[arm], words[arm], calls, accepted) for arm in (0, 1))
        return Evidence(policy=policy, arms=(arms[0], arms[1]), per_call=calls.difference, per_accepted=accepted.difference)

    def _arm(self, arm: int, assets: int, words: Mapping[str, int], calls: Comparison, accepted: Comparison) -> Arm:
        return Arm(
            name=ARMS[arm],
            calls=self.calls[arm],
            unweighed=self.unweighed[arm],
            assets=assets,
            accepted=words.get(ACCEPTED, 0),
            rejected=words.get(REJECTED, 0),
            gco2e=self.lone_grams[arm] + sum(asset.grams[arm] for asset in self.assets.values()),
            per_call=calls[arm],
            per_accepted=accepted[arm],
        )


def evidence(calls: Iterable[PastCall], verdicts: Verdicts) -> list[Evidence]:
    """The evidence on every policy that acted and held calls back, by name.

    A call is in the arm that its id drew: treated whatever the policy then made of it, so that both arms are alike but for the policy.
    Calls without the tag asset count for grams per call alone.
    """
    trials: dict[str, _Trial] = {}
    for call in calls:
        if call.policy is not None and call.mode == "enforce" and call.action != "refused":
            trials.setdefault(call.policy, _Trial()).add(call)
    return [trials[name].told(name, verdicts) for name in sorted(trials) if trials[name].calls[1]]


def _share(arm: int, grams: float, units: float) -> Share:
    return Share(grams, units, 0.0, 0.0) if arm == 0 else Share(0.0, 0.0, grams, units)


def shown(found: Evidence) -> list[dict[str, Any]]:
    """A row for each arm and one for the difference between them."""
    rows = [
        {
            "policy": found.policy,
            "arm": arm.name,
            **{name: getattr(arm, name) for name in ("calls", "unweighed", "assets", "accepted", "rejected", "gco2e")},
            **_cells("gco2e_per_call", arm.per_call),
            **_cells("gco2e_per_accepted_asset", arm.per_accepted),
        }
        for arm in found.arms
    ]
    gap = {"policy": found.policy, "arm": "difference", **_cells("gco2e_per_call", found.per_call)}
    return [*rows, gap | _cells("gco2e_per_accepted_asset", found.per_accepted)]


def _cells(name: str, interval: Interval) -> dict[str, float | None]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
