"""Scores as a table of plain text. It must never round away a failure."""

from collections.abc import Mapping

from estimators.bench.scores import Score

COLUMNS = (
    "left out by family",
    "rows",
    "cells",
    "MdAPE %",
    "median x",
    "P90 x",
    "bias x",
    "total x",
    "covered %",
    "worst family",
    "high/low",
    "interval",
)


def shown(scores: Mapping[str, Score]) -> str:
    """One line per score."""
    lines = [COLUMNS, *(_line(name, each) for name, each in scores.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _line(name: str, each: Score) -> tuple[str, ...]:
    worst = "-" if each.worst_family is None else f"{each.worst_family} {_number(_percent(each.worst_family_coverage_ratio), 0)}"
    return (
        name,
        str(each.rows),
        str(each.cells),
        _number(each.mdape_percent, 1),
        _number(each.median_factor, 2),
        _number(each.p90_factor, 2),
        _number(each.bias_factor, 2),
        _number(each.portfolio_bias_factor, 2),
        _number(_percent(each.coverage_ratio), 1),
        worst,
        _number(each.median_high_over_low, 1),
        _number(each.interval_score, 2),
    )


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100 * ratio


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
