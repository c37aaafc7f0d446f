"""Tells the rollups which hours changed, for all who write to a ledger beside the proxy. It must never sum anything itself."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection, insert, literal, or_, select

from proxy.clock import uuid7
from proxy.ledger.rollup_columns import HOUR_MS
from proxy.ledger.tables import calls, touched_hours

_IDS_AT_ONCE: Final = 400


def touch_calls(transaction: Connection, call_ids: Sequence[str]) -> None:
    """In the transaction that changes what counts for these calls (an opinion, a tag): their hours are summed anew, and their bookings'."""
    ids = iter(dict.fromkeys(call_ids))
    while some := list(islice(ids, _IDS_AT_ONCE)):
        of_these = or_(calls.c.call_id.in_(some), calls.c.origin_call_id.in_(some))
        hours = select(calls.c.started_ms // HOUR_MS, literal(uuid7(0))).where(of_these).distinct()
        transaction.execute(insert(touched_hours).from_select(["hour", "touch_id"], hours))
