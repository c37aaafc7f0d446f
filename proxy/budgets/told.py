"""How budgets are told to callers: a header, a refusal, what a dry run shows. It must never tell of calls other than by their sum."""

from collections.abc import Iterable, Sequence

from proxy.budgets.keeper import Holding, Standing
from proxy.budgets.rule import MG_PER_G
from proxy.budgets.span import instant
from proxy.errors import BudgetExceeded, BudgetUnavailable
from proxy.tag import plain
from proxy.upstream.base import Headers

HEADER = b"x-grammage-budget"
LENGTHS = {
    "hour": "an hour",
    "day": "a day",
    "week": "a week",
    "month": "a month",
    "quarter": "a quarter",
    "year": "a year",
    "all": "for ever",
}
STRICTEST = ("refuse", "route_smallest", "warn")
"""What a budget at its end makes of calls, the strictest first."""


def strictest(holding: Holding) -> Standing | None:
    """Of the budgets that the call does not fit, the one whose consequence decides; None: it fits all."""
    exceeded = [each for each in holding.standings if not each.fits]
    return min(exceeded, key=lambda each: STRICTEST.index(each.rule.budget.on_exceed), default=None)


def headers(holding: Holding) -> Headers:
    """`x-grammage-budget: noel-26; used=0.83; state=soft`: budgets from their soft threshold on, separated by commas; none below it."""
    told = [f"{each.rule.name}; used={each.share:.3f}; state={each.state}" for each in holding.standings if each.state != "ok"]
    return [(HEADER, ", ".join(told).encode())] if told else []


def exceeded(standing: Standing, holding: Holding) -> BudgetExceeded:
    """The refusal of a call that a budget has no room for; it carries the header too."""
    rule, end_ms = standing.rule, standing.account.span.end_ms
    before_g = (standing.spoken_mg - holding.mg) / MG_PER_G
    ends = "It never begins anew: " if end_ms is None else f"It begins anew at {instant(end_ms)}; until then "
    error = BudgetExceeded(
        f"carbon budget {rule.name!r} allows {plain(rule.limit_mg / MG_PER_G)} gCO2e {LENGTHS[rule.budget.period]}; "
        f"{plain(before_g)} g are used or reserved ({_percent(before_g, standing)} %), and this call is forecast at "
        f"{plain(holding.mg / MG_PER_G)} g. {ends}ask for less, name a smaller model, or have its owner raise the limit."
    )
    error.headers = (*error.headers, *headers(holding))
    return error


def unavailable(names: Iterable[str]) -> BudgetUnavailable:
    """The refusal of a call whose budgets cannot be counted and are not to be overdrawn unseen."""
    return BudgetUnavailable(
        f"carbon budget {', '.join(repr(name) for name in names)} cannot be counted now, and lets no call through then "
        "(on_lost: fail_closed); try again in some seconds."
    )


def shown(holding: Holding | None) -> Sequence[dict[str, object]]:
    """What a dry run shows of the budgets that would count the call. state: `unknown` where they cannot be counted now."""
    if holding is None:
        return []
    if holding.lost:
        return [{"budget": rule.name, "state": "unknown", "consequence": rule.budget.on_lost} for rule, _ in holding.accounts]
    return [
        {
            "budget": each.rule.name,
            "state": each.state,
            "consequence": "none" if each.fits else each.rule.budget.on_exceed,
            "limit_gco2e": each.rule.limit_mg / MG_PER_G,
            "used_gco2e": each.used_mg / MG_PER_G,
            "reserved_gco2e": (each.spoken_mg - each.used_mg - holding.mg) / MG_PER_G,
            "forecast_gco2e": holding.mg / MG_PER_G,
            "used_share": round(each.share, 4),
            "ends": None if each.account.span.end_ms is None else instant(each.account.span.end_ms),
        }
        for each in holding.standings
    ]


def _percent(before_g: float, standing: Standing) -> str:
    return f"{100 * before_g * MG_PER_G / standing.rule.limit_mg:.1f}"
