"""The table of kinds of files that can be imported. It must never read one itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.imports import langfuse, litellm, openai_usage, plain, spends
from proxy.imports.context import Context
from proxy.imports.record import Record
from proxy.imports.row import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How the rows of one tool's export are read. is_spend: they hold money, and nothing that was counted."""

    rows: Callable[[Record, Context], Iterator[Row]]
    is_spend: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "litellm": Kind(rows=litellm.rows),
    "openai-usage": Kind(rows=openai_usage.rows),
    "langfuse": Kind(rows=langfuse.rows),
    "csv": Kind(rows=plain.rows),
    "seats": Kind(rows=spends.seats, is_spend=True),
    "invoice": Kind(rows=spends.invoices, is_spend=True),
}
