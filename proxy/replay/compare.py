"""Which calls two sets of policies decide otherwise. It must never call a difference what is only another name."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from config.policies import Policy
from estimators.paired import PairedTotal
from proxy.replay.again import Judged, Served
from proxy.replay.tally import Figures, difference_figures

ABSENT = "-"


class Outcome(NamedTuple):
    """What becomes of a call: what policies make of it, who is asked first, whether a cap is felt."""

    action: str
    served: str
    capped: bool

    def __str__(self) -> str:
        return f"{self.action} {self.served}" + (" capped" if self.capped else "")


class Move(NamedTuple):
    """From what to what calls went."""

    old: Outcome
    new: Outcome


def outcome(judged: Judged) -> Outcome:
    """What becomes of the call; one that stays as it comes is the same with and without a policy."""
    if judged.why_not:
        return Outcome("not_judged", judged.why_not, False)
    if judged.action in ("none", "passthrough", "holdback"):
        return Outcome("unchanged", ABSENT, False)
    return Outcome(judged.action, ABSENT if judged.would is None else judged.would.label, judged.altered)


class Moves:
    """Calls that are decided otherwise, by what and to what, with the difference in gCO2e and water between the two."""

    def __init__(self) -> None:
        self.calls = 0
        self.moved = 0
        self._counts: dict[Move, int] = {}
        self._sums: dict[Move | None, tuple[PairedTotal, PairedTotal]] = {}

    def add(self, old: Judged, new: Judged) -> None:
        """One more call, under the old policies and the new."""
        self.calls += 1
        move = Move(outcome(old), outcome(new))
        if move.old == move.new:
            return
        self.moved += 1
        self._counts[move] = self._counts.get(move, 0) + 1
        before, after = _figure(old, new), _figure(new, old)
        if before is not None and after is not None:
            for each in (move, None):
                grams, water = self._sums.setdefault(each, (PairedTotal(), PairedTotal()))
                grams.add(after.gco2e, after.shared, before.gco2e, before.shared)
                water.add(after.water_ml, after.shared, before.water_ml, before.shared)

    def rows(self) -> list[Figures]:
        """A row for each move, the most frequent first, and one for all of them."""
        moves = sorted(self._counts, key=lambda move: (-self._counts[move], str(move.old), str(move.new)))
        rows = [{"old": str(move.old), "new": str(move.new), "calls": self._counts[move], **self._figures(move)} for move in moves]
        return [*rows, {"old": "total", "new": None, "calls": self.moved, **self._figures(None)}]

    def _figures(self, move: Move | None) -> Figures:
        grams, water = self._sums.get(move, (None, None))
        found = difference_figures("difference", "gco2e", None if grams is None else grams.difference())
        return found | difference_figures("difference", "water_ml", None if water is None else water.difference())


def _figure(judged: Judged, other: Judged) -> Served | None:
    """Who would serve; without a policy that is for the call its alias's first deployment, as the other side knows it."""
    if judged.why_not or judged.action == "refused":
        return None
    return judged.would if judged.action != "none" else other.baseline


class Change(NamedTuple):
    """One thing that differs between two lists of policies."""

    policy: str
    change: str
    key: str
    old: str | None
    new: str | None


def changes(old: Iterable[Policy], new: Iterable[Policy]) -> list[Change]:
    """What differs, policy by policy: added, removed, moved in the order, or by key."""
    before, after = ({policy.name: policy for policy in policies} for policies in (old, new))
    found = [Change(name, "removed", "", None, None) for name in before if name not in after]
    kept_before, kept_after = [name for name in before if name in after], [name for name in after if name in before]
    for name, policy in after.items():
        if name not in before:
            found.append(Change(name, "added", "", None, None))
            continue
        if kept_before.index(name) != kept_after.index(name):
            found.append(Change(name, "moved", "order", str(kept_before.index(name) + 1), str(kept_after.index(name) + 1)))
        flat_old, flat_new = _flat(before[name].model_dump(mode="json")), _flat(policy.model_dump(mode="json"))
        for key in dict.fromkeys((*flat_old, *flat_new)):
            if flat_old.get(key) != flat_new.get(key):
                found.append(Change(name, "changed", key, flat_old.get(key), flat_new.get(key)))
    return found


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every leaf by its dotted key; what is null or empty is left out."""
    found: dict[str, str] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            found |= _flat(inner, f"{prefix}{key}.")
        elif inner is not None and inner != []:
            found[f"{prefix}{key}"] = ", ".join(map(str, inner)) if isinstance(inner, list) else str(inner)
    return found
