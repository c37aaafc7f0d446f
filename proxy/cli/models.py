"""`grammage models`: the catalogue as a table. It must never show a size without saying how it is known."""

from typing import Annotated

import typer

from config.model_card import ModelCard
from config.tables import load_tables
from proxy.cli.output import Cell, Format, message, show_rows

COLUMNS = ("id", "vendor", "tier", "size_basis", "active_params_b", "total_params_b", "open_weights", "operations", "released")
NAMES = ("alias", "dated")
"""Matches of a name that is one of a card's others."""

DETAILS = (
    "active_params_b_low",
    "active_params_b_high",
    "total_params_b_low",
    "total_params_b_high",
    "context_tokens",
    "source",
    "url",
    "as_of",
)


def models(
    search: Annotated[
        str,
        typer.Option("--search", "-s", help="Only models whose id, vendor or family contains this, or the one weighed under this name."),
    ] = "",
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """List the models of the catalogue: size in billions of parameters, how it is known, and the tier of an estimate."""
    wanted = search.lower()
    catalogue = load_tables().catalogue
    cards = [card for card in catalogue.cards() if wanted in f"{card.id} {card.vendor} {card.family}".lower()]
    named = catalogue.resolve(search) if search.strip() else None
    if named is not None and named.match in NAMES:
        message(f"{search} is weighed as {named.card.id}")
        cards = [named.card, *(card for card in cards if card.id != named.card.id)]
    rows = [_row(card) for card in cards]
    if not rows:
        message(f"no model matches {search!r}; a name that is not listed is weighed as an unknown model (tier E).")
        raise typer.Exit(1)
    show_rows(rows, COLUMNS if form is Format.TABLE else COLUMNS + DETAILS, form)


def _row(card: ModelCard) -> dict[str, Cell]:
    active, parameters = card.active_params_b, card.total_params_b
    return {
        "id": card.id,
        "vendor": card.vendor,
        "tier": card.tier,
        "size_basis": card.size_basis,
        "active_params_b": active.value,
        "active_params_b_low": active.low,
        "active_params_b_high": active.high,
        "total_params_b": parameters.value,
        "total_params_b_low": parameters.low,
        "total_params_b_high": parameters.high,
        "open_weights": card.open_weights,
        "operations": " ".join(sorted(card.operations)),
        "context_tokens": card.context_tokens,
        "released": card.released,
        "source": card.source,
        "url": card.url,
        "as_of": card.as_of,
    }
