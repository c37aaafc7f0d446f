"""A whole report as JSON: the document with its figures in full. It must never leave a part out, nor round."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Final

from proxy.reports.document import Report
from proxy.reports.line import Line, Spread

OBJECT: Final = "footprint.report"
SPREAD: Final = {"mean": "mean", "p5": "low", "p95": "high"}


def report_document(report: Report) -> dict[str, object]:
    """The report as plain values; a sum is `mean`, `low` and `high`, what is unknown is null."""
    parts = {field.name: plain(getattr(report, field.name)) for field in fields(report)}
    return {"object": OBJECT, **parts}


def json_report(report: Report) -> str:
    """The report as text."""
    return json.dumps(report_document(report), indent=2, ensure_ascii=False, allow_nan=False)


def plain(value: object) -> object:
    """A part of a report as plain values."""
    if isinstance(value, Spread):
        return {shown: getattr(value, name) for name, shown in SPREAD.items()}
    if isinstance(value, Line):
        own = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"group": own.pop("key"), **own}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
