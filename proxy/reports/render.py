"""A summary as JSON, CSV and rows for a table. It must never print a figure without its basis, nor a cell that a spreadsheet would run."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from config.settings import Campaign
from proxy.ledger.columns import SCOPED_QUANTITIES
from proxy.reports.cell import harmless
from proxy.reports.line import Line, Spread
from proxy.reports.summary import Summary

Cell = str | int | float | None
Campaigns = Mapping[str, Campaign]
DECLARED: Final = ("brand", "purpose")
"""What is shown of a campaign as its owners declare it."""

TABLE_COLUMNS: Final = (
    "group",
    "calls",
    "input_tokens",
    "output_tokens",
    "energy_wh",
    "gco2e",
    "gco2e_low",
    "gco2e_high",
    "operational_gco2e",
    "embodied_gco2e",
    "water_ml",
    "tiers",
    "unweighed",
)


def json_document(summary: Summary, campaigns: Campaigns | None = None) -> str:
    """The whole summary, figures in full. campaigns: what is declared of its groups, which are campaigns then."""
    return json.dumps(as_document(summary, campaigns), indent=2, ensure_ascii=False)


def as_document(summary: Summary, campaigns: Campaigns | None = None) -> dict[str, object]:
    """The summary as plain values: basis first, then the total, then each group."""
    selection = summary.selection
    return {
        "object": "footprint.report",
        "by": selection.by,
        "tag_name": selection.tag_name,
        "since": timestamp(selection.since_ms),
        "until": timestamp(selection.until_ms),
        "first_call": timestamp(summary.first_ms),
        "last_call": timestamp(summary.last_ms),
        "profiles": list(summary.profiles),
        "methods": list(summary.methods),
        "estimate_set": selection.estimate_set,
        "factor_sets": list(summary.factor_sets),
        "instead": dict(summary.instead),
        "notes": notes(summary),
        "total": _document_line(summary.whole),
        "groups": [_document_line(line) | _declared(line, campaigns) for line in summary.lines],
    }


def csv_document(summary: Summary, campaigns: Campaigns | None = None) -> str:
    """One row per group and a last one for the total, figures in full; every row carries the basis."""
    rows = [_csv_row(summary, line, "group") | _declared(line, campaigns) for line in summary.lines]
    rows.append(_csv_row(summary, summary.whole, "total") | _declared(summary.whole, campaigns))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: harmless(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue()


def table_rows(summary: Summary, campaigns: Campaigns | None = None) -> list[dict[str, Cell]]:
    """Rows for people, the total last; the printer rounds."""
    return [_table_row(line) | _declared(line, campaigns) for line in (*summary.lines, summary.whole)]


def basis(summary: Summary) -> list[str]:
    """What stands beside every total: period, boundary, method, factors."""
    selection = summary.selection
    since = timestamp(selection.since_ms) or timestamp(summary.first_ms) or "the beginning"
    until = timestamp(selection.until_ms) or timestamp(summary.last_ms) or "now"
    return [
        f"period    {since} to {until}",
        f"boundary  {', '.join(summary.profiles) or 'none: no call was weighed'}",
        f"method    {', '.join(summary.methods) or 'none'}",
        f"factors   {', '.join(summary.factor_sets) or 'none'}",
        *([] if selection.estimate_set is None else [f"set       {selection.estimate_set}"]),
        *(f"note      {note}" for note in notes(summary)),
    ]


def notes(summary: Summary) -> list[str]:
    """What a reader must know before quoting a figure."""
    return [*_notes(summary.whole), *_without_provider(summary.instead)]


def timestamp(ms: int | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _notes(whole: Line) -> Iterator[str]:
    if whole.weighed_attempts:
        yield "expected values, low and high are the 5th and 95th percentile of what is plausible; a total's range is not the sum of ranges"
    if whole.simulated_share:
        yield f"{_percent(whole.simulated_share)} of the attempts were answered by the simulated provider: no model ran for them"
    if whole.unweighed:
        reasons = ", ".join(f"{reason} {count}" for reason, count in whole.unweighed.items())
        yield f"attempts that could not be weighed and are in no figure: {sum(whole.unweighed.values())} ({reasons})"
    if whole.not_generated:
        yield f"attempts that generated nothing and have no weight of their own: {whole.not_generated}"
    if whole.estimated_usage_share:
        yield f"usage was estimated by rule of thumb for {_percent(whole.estimated_usage_share)} of the metered attempts"
    if whole.counted_usage_share:
        yield f"usage was counted by the proxy's tokenizer for {_percent(whole.counted_usage_share)} of the metered attempts"


def _without_provider(instead: Mapping[str, int]) -> Iterator[str]:
    if instead:
        kinds = ", ".join(f"{kind} {count}" for kind, count in instead.items())
        yield f"calls that no provider answered: {sum(instead.values())} ({kinds}); what one would have come to is in no figure"


def _declared(line: Line, campaigns: Campaigns | None) -> dict[str, Cell]:
    """What is declared of the campaign, None where nothing is; no cell at all where groups are no campaigns."""
    found = None if campaigns is None else campaigns.get(line.key)
    return {} if campaigns is None else {name: getattr(found, name, None) for name in DECLARED}


def _document_line(line: Line) -> dict[str, object]:
    return {
        "group": line.key,
        "calls": line.calls,
        "attempts": line.attempts,
        **line.usage,
        **{name: _document_spread(getattr(line, name)) for name in SCOPED_QUANTITIES},
        "gco2e_share_by_tier": dict(line.gco2e_share_by_tier),
        "weighed_attempts": line.weighed_attempts,
        "unweighed": dict(line.unweighed),
        "not_generated": line.not_generated,
        "simulated_share": line.simulated_share,
        "counted_usage_share": line.counted_usage_share,
        "estimated_usage_share": line.estimated_usage_share,
    }


def _document_spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else {"mean": spread.mean, "low": spread.p5, "high": spread.p95}


def _csv_row(summary: Summary, line: Line, kind: str) -> dict[str, Cell]:
    row: dict[str, Cell] = {"row": kind, "by": summary.selection.tag_name or summary.selection.by, "group": line.key}
    row |= {"calls": line.calls, "attempts": line.attempts, **line.usage}
    for name in SCOPED_QUANTITIES:
        spread = getattr(line, name)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), _figures(spread), strict=True))
    return row | {
        "tiers": _tiers(line),
        "weighed_attempts": line.weighed_attempts,
        "unweighed_attempts": sum(line.unweighed.values()),
        "unweighed_reasons": " ".join(f"{reason}:{count}" for reason, count in line.unweighed.items()),
        "not_generated": line.not_generated,
        "simulated_share": line.simulated_share,
        "counted_usage_share": line.counted_usage_share,
        "estimated_usage_share": line.estimated_usage_share,
        "since": timestamp(summary.selection.since_ms),
        "until": timestamp(summary.selection.until_ms),
        "profiles": " ".join(summary.profiles),
        "methods": " ".join(summary.methods),
        "factor_sets": " ".join(summary.factor_sets),
    }


def _table_row(line: Line) -> dict[str, Cell]:
    gco2e, low, high = _figures(line.gco2e)
    return {
        "group": _printable(line.key),
        "calls": line.calls,
        "input_tokens": line.usage["input_tokens"],
        "output_tokens": line.usage["output_tokens"],
        "energy_wh": _figures(line.facility_energy_wh)[0],
        "gco2e": gco2e,
        "gco2e_low": low,
        "gco2e_high": high,
        "operational_gco2e": _figures(line.operational_gco2e)[0],
        "embodied_gco2e": _figures(line.embodied_gco2e)[0],
        "water_ml": _figures(line.water_ml)[0],
        "tiers": _tiers(line),
        "unweighed": sum(line.unweighed.values()),
    }


def _figures(spread: Spread | None) -> tuple[Cell, Cell, Cell]:
    """Expected value, low and high; three times unknown where nothing was weighed."""
    return (None, None, None) if spread is None else (spread.mean, spread.p5, spread.p95)


def _tiers(line: Line) -> str:
    """Share of the grams by tier: `D 93 %, C 7 %`, largest first."""
    shares = sorted(line.gco2e_share_by_tier.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{tier} {_percent(share)}" for tier, share in shares)


def _percent(share: float) -> str:
    """A share for people: two significant digits, never rounded to nothing or to all."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.99 < share < 1:
        return f"{min(share * 100, 99.9):.1f} %"
    return f"{share * 100:.2g} %" if share < 1 else "100 %"


def _printable(text: str) -> str:
    """A client's text without control characters: a terminal would obey them."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
