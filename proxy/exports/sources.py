"""What the sheets' mappings rest on, with where to read it. It must never name a text that nobody can look up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One published text."""

    name: str
    version: str
    url: str

    def told(self) -> dict[str, str]:
        """As plain values."""
        return {"name": self.name, "edition": self.version, "url": self.url}


_GHGP: Final = "https://ghgprotocol.org"

SOURCES: Final[Mapping[str, Source]] = {
    "sci": Source(
        name="Software Carbon Intensity (SCI) Specification, Green Software Foundation; ISO/IEC 21031",
        version="1.1.0; ISO/IEC 21031:2024",
        url="https://sci.greensoftware.foundation/",
    ),
    "sci_ai": Source(
        name="SCI for AI, Green Software Foundation: consumer and provider boundary, functional units",
        version="as read in 2026",
        url="https://github.com/Green-Software-Foundation/sci-ai/blob/main/SPEC.md",
    ),
    "impact_framework": Source(
        name="Impact Framework, Green Software Foundation: manifest and builtin plugins of @grnsft/if",
        version="1.1.0",
        url="https://if.greensoftware.foundation/",
    ),
    "scope3": Source(
        name="GHG Protocol, Corporate Value Chain (Scope 3) Standard",
        version="2011",
        url=f"{_GHGP}/corporate-value-chain-scope-3-standard",
    ),
    "scope3_guidance": Source(
        name="GHG Protocol, Technical Guidance for Calculating Scope 3 Emissions: categories 1, 2 and 3",
        version="1.0, 2013",
        url=f"{_GHGP}/scope-3-calculation-guidance-2",
    ),
    "scope2": Source(name="GHG Protocol, Scope 2 Guidance: location- and market-based", version="2015", url=f"{_GHGP}/scope-2-guidance"),
    "esrs": Source(
        name="ESRS E1 Climate change, Delegated Regulation (EU) 2023/2772: E1-5, E1-6, AR 39 to AR 52",
        version="2023",
        url="https://eur-lex.europa.eu/eli/reg_del/2023/2772/oj",
    ),
    "omnibus": Source(
        name="Directive (EU) 2026/470 (Omnibus I): who reports, and what may be asked of suppliers",
        version="2026",
        url="https://eur-lex.europa.eu/eli/dir/2026/470/oj",
    ),
    "beges": Source(
        name="Méthode pour la réalisation des bilans d'émissions de gaz à effet de serre (article L. 229-25 du code de l'environnement)",
        version="version 5, juillet 2022",
        url="https://bilans-ges.ademe.fr/",
    ),
    "iso14064": Source(
        name="ISO 14064-1, quantification and reporting of greenhouse gas emissions at the organization level: categories 1 to 6",
        version="2018",
        url="https://www.iso.org/standard/66453.html",
    ),
    "gmsf": Source(
        name="Global Media Sustainability Framework, Ad Net Zero: phases creation, distribution, consumption",
        version="1.2, June 2025; 1.3 of June 2026 adds channels and overheads",
        url="https://adnetzero.com/global-media-sustainability-framework/",
    ),
    "oneframe": Source(
        name="Oneframe, Union des marques with the reference methods of SRI, Alliance Digitale, SNPTV, UPE and others",
        version="as read in 2026",
        url="https://uniondesmarques.fr/",
    ),
}
"""By the id that sheets name them with."""
