"""Turns money for a tool into a record of the ledger. It must never put a figure where only grams are known."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from config.tables import Tables
from estimators.quantity import Quantity
from estimators.spend import METHOD, PROFILE, QUALITY, VERSION, WARNINGS, Spend, currencies, spend_gco2e
from proxy.call import AttemptRecord, CallRecord
from proxy.imports.context import Context
from proxy.imports.identity import call_id
from proxy.imports.row import BadRow, SpendRow
from proxy.imports.scales import call_record
from proxy.ledger.columns import CHOSEN, ESTIMATES, SCOPES

OPERATION: Final = "subscription"
PATH: Final = "/import"


class Purse:
    """Weighs money by the factor rows of the tables; rates come from the context alone."""

    def __init__(self, tables: Tables, context: Context) -> None:
        self._factors = tables.factors
        self._place = tables.places.resolve("unknown")
        self._context = context

    def weighable(self, row: SpendRow, file: str) -> SpendRow:
        """The row in a currency that has a factor. Raises BadRow where there is none, and no rate to one."""
        if row.currency not in currencies(row.category, self._factors) and row.currency in self._context.rates:
            rate, into = self._context.rates[row.currency]
            row = replace(row, amount=row.amount * rate, currency=into)
        try:
            self._grams(row)
        except ValueError as error:
            raise BadRow(f"{file}:{row.line}: column 'currency': {error}") from error
        return row

    def record(self, row: SpendRow, *, kind: str, call: str, row_hash: str) -> CallRecord:
        """The record of one tool and month; its opinion is a row of its own, for the energy is not known."""
        attempt = AttemptRecord(
            attempt_id=call_id(row.start_ms, row_hash, "attempt"),
            ordinal=0,
            provider=row.provider,
            model=row.model,
            served_model=row.model,
            region=None,
            zone=self._place.zone,
            place_assumed=True,
            simulated=False,
            status=200,
            outcome="ok",
            upstream_request_id=None,
            usage=None,
            estimate=None,
            unweighed_reason=None,
            request_bytes=0,
            response_bytes=0,
            latency_s=0.0,
        )
        return call_record(
            kind,
            call_id=call,
            started_ms=row.start_ms,
            operation=OPERATION,
            path=f"{PATH}/{kind}",
            alias=row.model,
            tags=row.tags,
            latency_s=0.0,
            attempt=attempt,
        )

    def opinion(self, row: SpendRow, record: CallRecord) -> Mapping[str, Any]:
        """The row of the estimate: grams alone, every other line empty."""
        grams, attempt_id = self._grams(row), record.attempts[0].attempt_id
        known: dict[str, Any] = {
            "attempt_id": attempt_id,
            "estimate_id": attempt_id,
            "call_id": record.call_id,
            "created_ms": row.start_ms,
            "method": METHOD,
            "method_version": VERSION,
            "factor_set": self._factors.stamp,
            "profile": PROFILE,
            "quality": QUALITY,
            "quality_parts": QUALITY * 4,
            "gco2e_per_kwh": self._place.gco2e_per_kwh.value,
            "intensity_source": self._place.intensity_source,
            "intensity_year": self._place.intensity_year,
            "zone": self._place.zone,
            "warnings": ",".join(WARNINGS),
            "gco2e": grams.mean,
            "gco2e_p50": grams.p50,
            "role": CHOSEN,
        }
        known |= {f"gco2e_var_{scope}": getattr(grams.variance, scope) for scope in SCOPES}
        return dict.fromkeys(ESTIMATES) | known

    def _grams(self, row: SpendRow) -> Quantity:
        return spend_gco2e(Spend(amount=row.amount, currency=row.currency, category=row.category), self._factors)
