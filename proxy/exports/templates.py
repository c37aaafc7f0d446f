"""Names the templates, and makes one. It must never choose a form for a framework that has its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.exports.beges import beges
from proxy.exports.esrs_e1 import esrs_e1
from proxy.exports.gather import Gathered
from proxy.exports.ghgp_scope3 import ghgp_scope3
from proxy.exports.impact_framework import impact_framework
from proxy.exports.media_creation import media_creation
from proxy.exports.sci import sci
from proxy.exports.sheet import Export, Sheet, made
from proxy.reports.pages.language import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One template: what makes its parts, and the forms that it is handed over in, the usual one first."""

    make: Callable[[Gathered, Language], Sheet]
    forms: tuple[str, ...]


TEMPLATES: Final[Mapping[str, Template]] = {
    "sci": Template(make=sci, forms=("md", "html", "json", "xlsx")),
    "impact-framework": Template(make=impact_framework, forms=("yaml", "json")),
    "ghgp-scope3": Template(make=ghgp_scope3, forms=("xlsx", "json", "html", "md")),
    "esrs-e1": Template(make=esrs_e1, forms=("xlsx", "json", "html", "md")),
    "beges": Template(make=beges, forms=("xlsx", "json", "html", "md")),
    "media-creation": Template(make=media_creation, forms=("xlsx", "json", "html", "md")),
}
"""Each template by the name that people ask for it with."""


def export_of(name: str, gathered: Gathered, code: str) -> Export:
    """The export of a template in a language (`en` or `fr`). Raises KeyError for a template that there is not."""
    language = Language(code=code)
    return made(name, gathered, TEMPLATES[name].make(gathered, language), language)
