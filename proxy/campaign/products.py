"""Reads the product records that ship with the project and writes the request for a sheet. It must never word a sheet itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

LANGUAGES: Mapping[str, str] = MappingProxyType({"fr": "French", "en": "English", "de": "German"})
MARKETS: Mapping[str, str] = MappingProxyType({"fr": "FR", "en": "GB", "de": "DE"})

SYSTEM = (
    "You write product sheets for an online shop: a headline, a description of about 120 words, and one bullet for each fact. "
    "Use only the facts given. Promise nothing that is not in them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product: what it is and its facts, by language. facts: label -> value, per language."""

    id: str
    brand: str
    name: str
    kinds: Mapping[str, str]
    facts: Mapping[str, Mapping[str, str]]

    def prompt(self, language: str) -> str:
        """The request for this product's sheet in one language (fr, en, de), facts included."""
        lines = [f"Write the product sheet in {LANGUAGES[language]} for the market {MARKETS[language]}."]
        lines += [f"{label}: {fact}" for label, fact in self.facts[language].items()]
        return "\n".join(lines)


def load_products() -> tuple[Product, ...]:
    """Every product record, in the file's order."""
    document = json.loads(files("proxy.campaign").joinpath("data/products.json").read_text(encoding="utf-8"))
    labels = document["labels"]
    return tuple(_product(record, labels) for record in document["products"])


def _product(record: dict[str, object], labels: dict[str, dict[str, str]]) -> Product:
    kinds, facts = record["kind"], record["facts"]
    assert isinstance(kinds, dict)
    assert isinstance(facts, dict)
    told = {
        language: {
            labels["product"][language]: f"{record['name']}, {kinds[language]}",
            **{labels[kind][language]: texts[language] for kind, texts in facts.items()},
        }
        for language in LANGUAGES
    }
    return Product(id=str(record["id"]), brand=str(record["brand"]), name=str(record["name"]), kinds=kinds, facts=told)
