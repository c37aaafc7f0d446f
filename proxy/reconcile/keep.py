"""Keeps the result of a comparison beside the calls, so that reports can show it. It must never replace an earlier one."""

from collections.abc import Sequence

from proxy.clock import Clock, uuid7
from proxy.ledger.import_ledger import ImportLedger
from proxy.reconcile.compare import Line


def keep(ledger: ImportLedger, lines: Sequence[Line], *, kind: str, since_ms: int, until_ms: int) -> None:
    """Adds every line under one id. Raises StartError."""
    now_ms = Clock().now_ms()
    shared = {
        "reconciliation_id": uuid7(now_ms),
        "created_ms": now_ms,
        "source_kind": kind,
        "since_ms": since_ms,
        "until_ms": until_ms,
    }
    rows = [
        shared
        | {
            "provider": line.provider,
            "model": line.model,
            "month": line.month,
            "provider_tokens": line.provider_tokens,
            "seen_tokens": line.seen_tokens,
            "provider_amount": line.provider_amount,
            "seen_amount": line.seen_amount,
            "currency": " ".join(sorted(line.currencies)),
        }
        for line in lines
    ]
    ledger.add({"reconciliations": rows})
