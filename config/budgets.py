"""The grammar of carbon budgets: whose calls, how much, for how long, and what happens at its end. It must never count anything."""

from typing import Literal

from pydantic import Field

from config.listed import NAME, Words
from config.section import Section

Period = Literal["hour", "day", "week", "month", "quarter", "year", "all"]
OnExceed = Literal["warn", "route_smallest", "refuse"]


class Budget(Section):
    """A limit in kgCO2e for the calls that match, anew in every period (UTC). All that match a call count it; the strictest one decides."""

    name: str = Field(pattern=NAME, description="What answers, records and metrics call it; unique.")
    match: dict[str, Words] = Field(
        default={}, description="Tags that the calls carry, each with one of these values; empty, without `keys`: all calls."
    )
    keys: Words | None = Field(default=None, description="Names of the keys whose calls it counts; null: any.")
    limit_kgco2e: float = Field(gt=0, description="Most kgCO2e in a period, expected values.")
    period: Period = Field(default="month", description="How long it lasts, by UTC; week: from Monday; all: once for ever.")
    soft_at: float = Field(default=0.8, gt=0, le=1, description="Share of the limit from which answers and metrics warn.")
    on_exceed: OnExceed = Field(
        default="warn",
        description="warn: say so; route_smallest: the lowest forecast among the call's own deployments and `smallest`; refuse: 402.",
    )
    smallest: Words | None = Field(
        default=None, description="Aliases that may serve instead under route_smallest; null: the call's own alias."
    )
    on_lost: Literal["fail_open", "fail_closed"] = Field(
        default="fail_open", description="What calls do while it cannot be counted: Redis, which counts for several processes, is gone."
    )
    lease_s: float = Field(
        default=900, ge=1, le=86_400, description="Seconds after which the reservation of a call that never ended is given back."
    )
    method: str | None = Field(
        default=None,
        description="Method, such as tokens or tokens@1.2.0, that its period is pinned to; null: the one in force at its start.",
    )
    factor_set: str | None = Field(
        default=None, description="Factor set that its period is pinned to; null: the one in force at its start."
    )
