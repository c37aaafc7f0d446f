"""Weighs calls of which something had to be assumed, and says so. It must never let a guessed count look like a counted one."""

from collections.abc import Callable

from estimators.energy import Energy
from estimators.estimate import Estimate
from estimators.physics_lines import Lines
from estimators.prepared import Labels, Meters, Prepared
from estimators.quantity import LogVariance
from estimators.usage import Usage


class AssumingPrepared(Prepared):
    """A Prepared whose energy knows what it assumed of a call: the warnings are added, and the usage is tier E."""

    __slots__ = ("_warnings_of",)

    def __init__(
        self, warnings_of: Callable[[Usage], tuple[str, ...]], energy: Energy, lines: Lines, labels: Labels, meters: Meters | None
    ) -> None:
        super().__init__(energy, lines, labels, meters=meters)
        self._warnings_of = warnings_of

    def estimate(self, usage: Usage, possible_output_tokens: int | None = None, network_bytes: int | None = None) -> Estimate:
        """The footprint of one attempt; a metered one assumes nothing."""
        base = super().estimate(usage, possible_output_tokens, network_bytes)
        assumed = self._warnings_of(usage) if base.method == self.labels.method else ()
        if not assumed:
            return base
        parts = base.quality_parts._replace(usage="E")
        quality = parts.usage if _is_mostly_usage(base.gco2e.variance) else base.quality
        return base._replace(warnings=(*base.warnings, *assumed), quality_parts=parts, quality=quality)


def _is_mostly_usage(variance: LogVariance) -> bool:
    return variance.call >= max(variance.method + variance.provider, variance.model, variance.zone)
