"""A policy's word on one call. It must never hold what was not decided."""

from dataclasses import dataclass
from typing import Literal

from config.policies import Apply, Mode
from proxy.policy.candidates import Candidate
from proxy.policy.contender import Contender
from proxy.policy.hours import Figures

Action = Literal["routed", "kept", "passthrough", "refused", "holdback", "alternative"]
"""routed: another deployment serves than the alias's first. kept: that one serves, as the policy has it. passthrough: nothing changes.
alternative: another way answered in a model's place, or would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A policy's word on one call. plan: who is tried in turn where the policy acts, fallbacks included.

    reason: why it is not more; empty when there is none. baseline: the alias's first deployment. choice: who should serve, None: nobody.
    ranked: who was compared, with the forecast in gCO2e by yearly factors, best first; equals in turn.
    rejected: a reason for each of the rest. figures: live intensity by zone where it ranked, None where yearly factors did.
    """

    policy: str
    mode: Mode
    action: Action
    reason: str
    plan: tuple[Candidate, ...]
    baseline: Contender
    choice: Contender | None
    ranked: tuple[tuple[float, Contender], ...] = ()
    rejected: tuple[str, ...] = ()
    apply: Apply | None = None
    figures: Figures | None = None

    @property
    def acts(self) -> bool:
        """True when the call is no longer as it came."""
        return self.mode == "enforce" and self.action in ("routed", "kept")

    @property
    def is_watching(self) -> bool:
        """True when the call stays as it came, and would not have."""
        return self.mode == "shadow" and self.action in ("routed", "kept")

    @property
    def reuse_s(self) -> float | None:
        """How old an answer to an identical request may be that serves this one, in seconds; None: it is to be made anew."""
        return self.apply.reuse if self.apply is not None and self.acts else None

    @property
    def word(self) -> str:
        """What the answer's header says: the policy that acted, `none`, `shadow:` or `holdback:` and its name."""
        if self.mode == "shadow":
            return f"shadow:{self.policy}"
        if self.action == "holdback":
            return f"holdback:{self.policy}"
        return self.policy if self.acts else "none"
