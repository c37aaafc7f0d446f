"""`grammage models`: the catalogue as a table. It must never show a size without saying how it is known."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from config.catalogue import Catalogue
from config.model_card import ModelCard, ModelMatch
from config.ranges import Range
from config.read_models import OPERATIONS
from config.tables import load_tables
from proxy.cli.output import Cell, Format, message, show_rows

COLUMNS = ("id", "vendor", "tier", "size_basis", "active_b", "total_b", "open_weights", "operations", "released")
DETAILS = (
    "id",
    "vendor",
    "family",
    "tier",
    "size_basis",
    "active_params_b",
    "total_params_b",
    "open_weights",
    "operations",
    "released",
    "active_params_b_low",
    "active_params_b_high",
    "total_params_b_low",
    "total_params_b_high",
    "context_tokens",
    "source",
    "url",
    "as_of",
    "note",
)
TIERS = ("B", "C", "D", "E")
OF_ANOTHER_NAME = ("alias", "dated")
"""Matches of a name that is one of a card's others."""

Word = str


def models(
    search: Annotated[
        Word,
        typer.Option("--search", "-s", help="Only models whose id, vendor or family contains this, or the one weighed under this name."),
    ] = "",
    vendor: Annotated[Word, typer.Option("--vendor", help="Only models of this vendor, such as mistral.")] = "",
    operation: Annotated[Word, typer.Option("--operation", help=f"Only models that do this: {', '.join(OPERATIONS)}.")] = "",
    tier: Annotated[Word, typer.Option("--tier", help="Only models of this tier: B measured, C open, D inferred.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only models whose weights are open.")] = False,
    closed_only: Annotated[bool, typer.Option("--closed", help="Only models whose weights are not.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """List the models of the catalogue: size in billions of parameters with its range, how it is known, and the tier of an estimate."""
    catalogue = load_tables().catalogue
    cards = catalogue.cards()
    _check("--vendor", vendor, {card.vendor for card in cards})
    _check("--operation", operation, OPERATIONS)
    _check("--tier", tier.upper(), TIERS)
    if open_only and closed_only:
        raise typer.BadParameter("a model's weights are open or not; give one of --open and --closed", param_hint="--open")
    kept: tuple[Callable[[ModelCard], bool], ...] = (
        lambda card: vendor in ("", card.vendor),
        lambda card: not operation or operation in card.operations,
        lambda card: tier.upper() in ("", card.tier),
        lambda card: not open_only or card.open_weights,
        lambda card: not closed_only or not card.open_weights,
    )
    found = [card for card in _searched(catalogue, search) if all(keeps(card) for keeps in kept)]
    if not found:
        _say_nothing_found(catalogue, search)
        raise typer.Exit(1)
    show_rows([_row(card) for card in found], COLUMNS if form is Format.TABLE else DETAILS, form)
    if form is Format.TABLE:
        message(f"{len(found)} of {len(cards)} models; sizes in billions of parameters, p5 - p95 where not published.")


def _searched(catalogue: Catalogue, search: str) -> Sequence[ModelCard]:
    """Cards that hold the word, after the one that the word is weighed as."""
    wanted = search.lower()
    cards = [card for card in catalogue.cards() if wanted in f"{card.id} {card.vendor} {card.family}".lower()]
    named = catalogue.resolve(search) if search.strip() else None
    if named is None or named.match not in OF_ANOTHER_NAME:
        return cards
    message(f"{search} is weighed as {named.card.id}")
    return [named.card, *(card for card in cards if card.id != named.card.id)]


def _say_nothing_found(catalogue: Catalogue, search: str) -> None:
    """What such a name would be weighed as, and what it may have meant."""
    named = catalogue.resolve(search)
    weighed = f", {_size(named.card.active_params_b)} billion active" if named.card.size_basis != "exact" else ""
    near = difflib.get_close_matches(search.lower(), [card.id for card in catalogue.cards()], n=3) if search else []
    meant = f"; did you mean {', '.join(near)}?" if near else "."
    message(f"no model matches {search!r} and the filters; {_fate(named)}{weighed}{meant}")


def _fate(named: ModelMatch) -> str:
    if named.match == "class":
        return f"a name that is not listed is weighed as an unknown model: {named.card.id}, tier {named.card.tier}"
    return f"the name is weighed as {named.card.id}, tier {named.card.tier}"


def _check(option: str, word: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if word and word not in names:
        near = difflib.get_close_matches(word, names, n=1)
        meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
        raise typer.BadParameter(f"{word!r} does not exist; {meant}", param_hint=option)


def _row(card: ModelCard) -> dict[str, Cell]:
    active, parameters = card.active_params_b, card.total_params_b
    return {
        "id": card.id,
        "vendor": card.vendor,
        "family": card.family,
        "tier": card.tier,
        "size_basis": card.size_basis,
        "active_b": _size(active),
        "total_b": _size(parameters),
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
        "note": card.note,
    }


def _size(span: Range) -> str:
    """Billions of parameters, with the range where there is one."""
    low, middle, high = (f"{each:,.3g}" if each < 1000 else f"{each:,.0f}" for each in (span.low, span.value, span.high))
    return middle if span.low == span.high else f"{middle} ({low} - {high})"
