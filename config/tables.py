"""Loads every table of config/data in one go. It must never hand out a table with a bad row."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from config.catalogue import Catalogue
from config.evidence import Evidence, EvidenceTable, read_evidence
from config.factors import FactorSet, read_factors
from config.places import Places
from config.read_models import read_catalogue
from config.read_places import read_places


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Factors, models, places and published figures, as one consistent set."""

    factors: FactorSet
    catalogue: Catalogue
    places: Places
    evidence: EvidenceTable

    def evidence_for(self, card_id: str) -> tuple[Evidence, ...]:
        """Published figures about the model with this card id."""
        return self.evidence.evidence_for(card_id)


def load_tables(folder: Traversable | None = None) -> Tables:
    """All tables of `folder` (default: those that ship with the package). Raises ValueError naming file, line and column."""
    source = files("config").joinpath("data") if folder is None else folder
    version = source.joinpath("VERSION").read_text(encoding="utf-8").strip()
    return Tables(
        factors=read_factors(source, version=version, fingerprint=fingerprint(source)),
        catalogue=read_catalogue(source),
        places=read_places(source),
        evidence=read_evidence(source),
    )


def fingerprint(folder: Traversable) -> str:
    """sha256, in hex, over names and bytes of all tables and the version, in the order of their names."""
    digest = hashlib.sha256()
    tables = (entry for entry in folder.iterdir() if entry.name.endswith((".csv", ".json")) or entry.name == "VERSION")
    for file in sorted(tables, key=lambda entry: entry.name):
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
