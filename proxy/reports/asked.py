"""Reads what a report is asked for in words. It must never guess at a word that it does not know."""

from collections.abc import Mapping
from typing import Final

from config.tag_rules import NAME_RULE, is_tag_name
from proxy.reports.period import Span, instant_in, zone_named
from proxy.reports.request import ReportRequest
from proxy.reports.restated import BASES, YEARLY

LANGUAGES: Final = ("en", "fr")
YES_NO: Final = {"true": True, "on": True, "false": False, "off": False}
TAGS_IN_BY: Final = 5
"""So many further tags may be asked for: each makes the sums finer."""


def asked_for(words: Mapping[str, str], tags: tuple[tuple[str, tuple[str, ...]], ...], now_ms: int) -> ReportRequest:
    """The request. words: since, until, compare_to (a year, a month, a day or an instant), time_zone, by, team, basis, set, equivalences.

    A month or a year as `since` without `until` is that month or year. Raises ValueError with what is wrong.
    """
    zone_name = words.get("time_zone", "UTC")
    zone_named(zone_name)  # what is wrong with it is told before an instant is read by it
    _one_of(words.get("lang", "en"), LANGUAGES, "lang")
    since, until = words.get("since"), words.get("until")
    if since is not None and until is None and len(since) <= len("2026-11"):
        until = since
    since_ms = None if since is None else _instant(since, "since", zone_name, ends=False)
    until_ms = None if until is None else _instant(until, "until", zone_name, ends=True)
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise ValueError(f"since {since!r} is not before until {until!r}: no call can lie between them")
    by = tuple(name for name in words.get("by", "").split(",") if name)
    if len(by) > TAGS_IN_BY:
        raise ValueError(f"by names {len(by)} tags, at most {TAGS_IN_BY} can be told apart")
    team = words.get("team", "tool")
    for name in (*by, team):
        if not is_tag_name(name):
            raise ValueError(f"{name[:64]!r} is no name of a tag: {NAME_RULE}")
    compare = words.get("compare_to")
    return ReportRequest(
        now_ms=now_ms,
        since_ms=since_ms,
        until_ms=until_ms,
        compare=None if compare is None else _compared(compare, zone_name, since_ms, until_ms),
        time_zone=zone_name,
        tags=tags,
        by=by,
        team=team,
        estimate_set=words.get("set"),
        intensity=_one_of(words.get("basis", YEARLY), (YEARLY, *BASES), "basis"),
        equivalences=YES_NO[_one_of(words.get("equivalences", "true"), tuple(YES_NO), "equivalences")],
    )


def _compared(text: str, zone_name: str, since_ms: int | None, until_ms: int | None) -> Span:
    """The year, month or day; from an instant or a day on, as long as the period itself."""
    start = _instant(text, "compare_to", zone_name, ends=False)
    if since_ms is not None and until_ms is not None and len(text) >= len("2026-11-01"):
        return Span(since_ms=start, until_ms=start + until_ms - since_ms)
    return Span(since_ms=start, until_ms=_instant(text, "compare_to", zone_name, ends=True))


def _instant(text: str, name: str, zone_name: str, *, ends: bool) -> int:
    try:
        return instant_in(text, zone_named(zone_name), ends=ends)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{name} {text[:40]!r} is no year (2026), month (2026-11), day (2026-11-01) or instant (2026-11-01T08:00:00Z)"
        ) from error


def _one_of(text: str, known: tuple[str, ...], name: str) -> str:
    if text not in known:
        raise ValueError(f"{name} {text[:40]!r} is not known; known: {', '.join(known)}")
    return text
