"""The columns of the rollups: what calls are summed by, and which sums are kept. It must never hold a tag that many calls have alone."""

from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

ROLLED_TAGS: Final = ("brand", "campaign", "tool", "stage", "market")
"""Tags that rollups keep apart; a report by another one (asset, audience) reads calls."""

LIVE: Final = "live"
"""The estimate set of the newest opinion that counts; facts of calls stand in its rows only."""

OF_CALLS: Final = ("operation", "policy", *(f"tag_{name}" for name in ROLLED_TAGS), "instead")
OF_ATTEMPTS: Final = ("provider", "model", "zone", "simulated", "reason")
OF_OPINIONS: Final = ("grid_zone", "method", "method_version", "quality", "factor_set", "profile")
"""Empty texts in the row of attempts that have no opinion."""

DIMENSIONS: Final = (*OF_CALLS, *OF_ATTEMPTS, *OF_OPINIONS)

CALLS_BY: Final = ("calls", "calls_by_model", "calls_by_provider", "calls_by_zone")
"""Calls, each counted at its first attempt; and at its first with that model, provider or zone, for reports by these."""

COUNTS: Final = (*CALLS_BY, "attempts", "metered_attempts", "counted_usage", "estimated_usage")
SPAN: Final = ("first_ms", "last_ms")
WHICH: Final = ("bucket_ms", "estimate_set")
"""Start of the hour or day (UTC), and whose opinions."""

TOUCHED: Final = ("hour", "touch_id")
"""Hours (since 1970) in which something was written that no rollup has; a row per transaction and hour: none waits for another."""


def sum_columns(lines: tuple[str, ...], shared: tuple[str, ...]) -> tuple[str, ...]:
    """Of each line its sum, its mean-weighted standard deviation by shared scope, and the moment of the calls' own errors."""
    return tuple(column for line in lines for column in (line, *(f"{line}_{scope}" for scope in shared), f"{line}_call"))
