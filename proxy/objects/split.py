"""Parts a call whose work went on at the provider from that work, which is booked under an id of its own. It must never lose a figure."""

from msgspec.structs import replace

from proxy.call import PENDING, CallRecord
from proxy.objects.ids import booking_id

NOT_SPLIT = ("client_error", "upstream_error")


def split(entry: CallRecord, object_id: str) -> tuple[CallRecord, CallRecord | None]:
    """The call as one that only began the work, and the work's booking where its answer told the end already.

    What was counted of an answer that broke off is no part of either: the work goes on, and is booked when it shows that it has ended.
    """
    if not entry.attempts or entry.outcome in NOT_SPLIT:
        return entry, None
    *before, last = entry.attempts
    began = replace(last, usage=None, estimate=None, unweighed_reason=PENDING)
    call = replace(entry, attempts=(*before, began))
    if last.usage is None or last.usage.partial:
        return call, None
    booked = replace(last, attempt_id=booking_id(last.provider, object_id, "0"), ordinal=0, upstream_object_id=None)
    late = replace(
        entry,
        call_id=booking_id(last.provider, object_id),
        attempts=(booked,),
        origin_call_id=entry.call_id,
        retry_count=0,
        idempotency_key_hash=None,
        decision=None,
    )
    return call, late
