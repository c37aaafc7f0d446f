"""How many calls of a selection were told of by telemetry. It must never look through the calls of a ledger that holds none."""

from sqlalchemy import Connection, func, select

from proxy.call import OBSERVED
from proxy.ledger.crossing_store import OBSERVED_SINCE
from proxy.ledger.queries import Selection, in_period
from proxy.ledger.tables import attempts, calls, ledger_meta


def observed_of(connection: Connection, selection: Selection) -> int:
    """Calls of the selection that never came through the proxy; they are in its sums too."""
    if connection.execute(select(ledger_meta.c.value).where(ledger_meta.c.key == OBSERVED_SINCE)).scalar() is None:
        return 0
    both = calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id)
    told = func.substr(calls.c.caller_id, 1, len(OBSERVED)) == OBSERVED
    statement = select(func.count(calls.c.call_id.distinct())).select_from(both).where(told)
    return int(connection.execute(in_period(statement, selection)).scalar_one())
