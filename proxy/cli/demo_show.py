"""Shows a campaign to people: one line a call, the closing tables, and where to go next. It must never compute a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.campaign.products import MARKETS
from proxy.campaign.run import Piece, WeighedCall
from proxy.campaign.totals import Totals
from proxy.cli.output import ANY_WIDTH, two_digits

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 140
_SHORT_ID = 8
_LINE = "{id}  {product:<16} {market:<2}  {model:<16} {mode:<6} {tokens:>11}  {wh:>8}  {grams:>8} {range:>18}  {tier}"


def open_console() -> "Console":
    """Where the data goes: standard output."""
    from rich.console import Console  # slow to import, and no server needs it

    return Console(highlight=False)


def show_head(console: "Console") -> None:
    """The line above the calls."""
    width = 36 if console.width >= WIDE else _SHORT_ID + 1
    names = {"product": "product", "market": "to", "model": "model", "mode": "answer", "tokens": "tokens", "wh": "Wh", "grams": "gCO2e"}
    console.print(_LINE.format(id="call".ljust(width), range="low to high", tier="tier", **names), style="bold", soft_wrap=True)


def show_call(console: "Console", call: WeighedCall) -> None:
    """One call, as soon as it is weighed."""
    name = call.call_id or "no call id"
    shown = name.ljust(36) if console.width >= WIDE else "…" + name[-_SHORT_ID:].ljust(_SHORT_ID)
    if call.problem is not None:
        console.print(f"{shown}  {_name_of(call.piece):<16} {call.problem}", style="red", markup=False, soft_wrap=True)
        return
    line = _LINE.format(
        id=shown,
        product=_name_of(call.piece),
        market=MARKETS[call.piece.language],
        model=call.piece.model,
        mode="stream" if call.piece.stream else "whole",
        tokens=_counts(call),
        wh=_figure(call.energy_wh),
        grams=_figure(call.gco2e),
        range=f"{_figure(call.gco2e_low)} to {_figure(call.gco2e_high)}",
        tier=call.quality or "not weighed",
    )
    console.print(line, markup=False, soft_wrap=True)


def show_totals(console: "Console", title: str, totals: Sequence[Totals]) -> None:
    """One closing table."""
    from rich import box  # as above
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(title.rpartition(" ")[2])
    for name in ("calls", "tokens in", "tokens out", "Wh", "gCO2e", "low to high"):
        table.add_column(name, justify="right")
    for total in totals:
        calls = f"{total.calls} ({total.unweighed} not weighed)" if total.unweighed else str(total.calls)
        spread = f"{two_digits(total.gco2e_low)} to {two_digits(total.gco2e_high)}"
        counts = (calls, f"{total.input_tokens:,}", f"{total.output_tokens:,}")
        table.add_row(total.name, *counts, two_digits(total.energy_wh), two_digits(total.gco2e), spread)
    needed = console.measure(table, options=console.options.update(max_width=ANY_WIDTH)).maximum
    if needed > console.width:  # a line that the terminal wraps is better than a figure cut short
        console = type(console)(file=console.file, width=needed, highlight=False)
    console.print(table, crop=False)


def show_meaning(console: "Console", *, simulated: bool, coherent: bool) -> None:
    """What the figures are, and what they are not."""
    if simulated:
        console.print(
            "The provider is simulated: no model ran. The figures are modelled as if the open model that each sim-* name stands for "
            "had made all this; `grammage models --search sim-large` tells which."
        )
    console.print(
        "gCO2e is the expected value of a model, operational and embodied; low to high are its 5th and 95th percentiles under named "
        "priors, not a measurement. Tier: A is best known, E is a class default."
    )
    if not coherent:
        console.print(
            "Ranges of totals are plain sums of lows and of highs: outer bounds. `grammage report` shows the narrower true range."
        )


def show_next(console: "Console", *, url: str, model: str, report: str) -> None:
    """Where to go from here, while the proxy serves."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "A slogan for rain boots"}}]}}'
    lines = (
        "",
        "Serving; Ctrl-C ends it.",
        f"  base_url   {url}/v1",
        f"  try        curl -i {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
        f"  metrics    {url}/metrics",
        f"  report     {report}",
    )
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _name_of(piece: Piece) -> str:
    """The product, with the number of the variant."""
    return piece.product.id if piece.variant is None else f"{piece.product.id} {piece.variant + 1}"


def _counts(call: WeighedCall) -> str:
    """Tokens in and out, or the picture where a model reports none."""
    if call.input_tokens is None and call.piece.variant is not None:
        return "1 picture"
    return f"{_count(call.input_tokens)} + {_count(call.output_tokens)}"


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


def _figure(number: float | None) -> str:
    return "?" if number is None else two_digits(number)
