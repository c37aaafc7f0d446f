"""Writes an export in one of its forms. It must never write a cell that a spreadsheet would run, nor half a document."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from proxy.exports.markdown import markdown
from proxy.exports.sheet import Export


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form. is_text: it may go to a terminal."""

    extension: str
    is_text: bool
    write: Callable[[Export], bytes]


def _json(export: Export) -> bytes:
    return (json.dumps(export.document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _markdown(export: Export) -> bytes:
    return markdown(export.outline).encode()


def _html(export: Export) -> bytes:
    from proxy.reports.pages.html import page  # Jinja2, for this form alone

    return page(export.outline, export.gathered.report).encode()


def _xlsx(export: Export) -> bytes:
    from proxy.reports.pages.xlsx import xlsx_outline  # an extra

    return xlsx_outline(export.outline, export.gathered.report.basis)


def _yaml(export: Export) -> bytes:
    head = f"# {export.document['title']}\n# if-run --manifest THIS-FILE   (npm: @grnsft/if)\n"
    return (head + yaml.safe_dump(export.manifest, sort_keys=False, allow_unicode=True, width=120)).encode()


FORMS: Final[Mapping[str, Form]] = {
    "json": Form(extension="json", is_text=True, write=_json),
    "md": Form(extension="md", is_text=True, write=_markdown),
    "html": Form(extension="html", is_text=True, write=_html),
    "xlsx": Form(extension="xlsx", is_text=False, write=_xlsx),
    "yaml": Form(extension="yaml", is_text=True, write=_yaml),
}
"""Each form by the name that people ask for it with."""
