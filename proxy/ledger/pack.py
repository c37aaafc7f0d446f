"""Rows of the ledger packed into its tables: what many say alike once, figures as small integers. It must never import a database library.

An expected value is kept as its logarithm in steps of 2e-8, a standard deviation of a logarithm in steps of 2.5e-7: both are right to
better than one in a million, and read the same by all who read them. How they are kept can never change: that is what is on the disk.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import exp, log, sqrt
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from estimators.estimate import Estimate
from estimators.quantity import Quantity
from proxy.call import AttemptRecord, CallRecord, DecisionRecord
from proxy.clock import uuid7
from proxy.ledger.columns import (
    ATTEMPTS,
    CALLS_COUNTED,
    CHOSEN,
    ESTIMATES,
    FIGURES,
    HOURLY,
    MEDIA,
    QUANTITIES,
    SCOPED_QUANTITIES,
    SHADOW,
    TEXT_ATTEMPTS,
    USAGE_COUNTS,
    WEIGHING_FACTS,
)
from proxy.ledger.decision_columns import DECISION_FACTS, SIDES, WHO
from proxy.ledger.ids import OWN, id_bytes
from proxy.ledger.kept_columns import ATTEMPT_KIND, BASE, CALL_KIND, ESTIMATE_KIND, KINDS_OF, LIKE_BASE
from proxy.ledger.rollup_columns import HOUR_MS
from proxy.ledger.usage_row import calls_value, is_text, made_values

LN_STEP: Final = 2e-8
SD_STEP: Final = 2.5e-7
LN_OF_ZERO: Final = -(2**31)
"""Stands for an expected value that is exactly nothing."""

ASSET: Final = "asset"
MOST_KNOWN: Final = 50_000
"""Kinds that are remembered as written, lest a client's many words fill the memory: a forgotten one is only written once more."""

_MOST: Final = 2**31 - 1
_US: Final = 1e6
_PER_LN: Final = 1 / LN_STEP
_PER_SD: Final = 1 / SD_STEP
_encode = msgspec.msgpack.encode
_json = msgspec.json.encode
_tags = msgspec.json.Decoder(dict[str, str]).decode

_call_says = attrgetter(*CALL_KIND)
_attempt_says = attrgetter(*ATTEMPT_KIND[:-2])
_estimate_says = attrgetter(*ESTIMATE_KIND[1:])
_counted = attrgetter(*USAGE_COUNTS)
_hour_facts = attrgetter(*HOURLY[1:])
_weighing_facts = attrgetter(*WEIGHING_FACTS[2:])
_decision_facts = attrgetter(*DECISION_FACTS)
_quantities = attrgetter(*QUANTITIES)
_SCOPED: Final = tuple(line in SCOPED_QUANTITIES for line in QUANTITIES)
_LIKE: Final = tuple(line in LIKE_BASE for line in QUANTITIES)
_BASE: Final = QUANTITIES.index(BASE)
_PLAN: Final = tuple((ESTIMATES.index(line), line in SCOPED_QUANTITIES, line in LIKE_BASE) for line in QUANTITIES)
_BASE_VARIANCES: Final = slice(ESTIMATES.index(BASE) + 2, ESTIMATES.index(BASE) + 7)
_NOTHING_KNOWN: Final = {True: (None,) * 6, False: (None, None)}
_NO_COUNTS: Final[list[int | None]] = [-1] * len(USAGE_COUNTS)
_FIRST_FIGURE: Final = ESTIMATES.index(FIGURES[0])
_USAGE_SOURCE: Final = TEXT_ATTEMPTS.index("usage_source")
_MEDIA: Final = ATTEMPTS.index(MEDIA[0])
_OBJECT_ID: Final = ATTEMPTS.index("upstream_object_id")
_CALLS_COUNTED: Final = ATTEMPTS.index(CALLS_COUNTED)

Kept = tuple[object, ...]
Row = tuple[object, ...]


class Packed(NamedTuple):
    """Rows in the order of KEPT_WRITES."""

    calls: list[Kept]
    attempts: list[Kept]
    media: list[Kept]
    estimates: list[Kept]
    hours: list[Kept]
    decisions: list[Kept]
    instead: list[Kept]
    shortcomings: list[Kept]
    facts: list[Kept]
    touched: list[Kept]


class Packer:
    """Packs rows and knows which kinds are in the database already. Used by one thread.

    touch_id: by which the hours of all batches are touched, so that an hour has one touch until it is summed; None: each by one of its own,
    for databases where batches are under way beside each other, of which none may rely on what another wrote.
    fresh: kinds of what was packed last, by table, to be written before it; settle() once they are, forget() when they may be gone.
    """

    def __init__(self, touch_id: str | None = None) -> None:
        self._touch_id = touch_id
        self._known: dict[str, dict[object, int]] = {name: {} for name in KINDS_OF}
        self.fresh: dict[str, dict[object, Kept]] = {name: {} for name in KINDS_OF}

    def pack(self, records: Iterable[CallRecord]) -> Packed:
        """A batch. Raises what values raise that can never be kept: TypeError, AttributeError, ValueError, OverflowError."""
        for kinds in self.fresh.values():
            kinds.clear()
        rows = Packed([], [], [], [], [], [], [], [], [], [])
        touched: dict[int, Kept] = {}
        for record in records:
            hour = record.started_ms // HOUR_MS
            if hour not in touched:
                touched[hour] = (hour, self._touch_id or uuid7(record.started_ms))
            call_id = id_bytes(record.call_id)
            rows.calls.append(self._call(record, call_id))
            for attempt in record.attempts:
                self._add_attempt(rows, record, attempt, call_id)
            if record.decision is not None:
                rows.decisions.append((call_id, *_decision_values(record.decision)))
            if record.instead is not None:
                source = record.instead.source_call_id
                rows.instead.append((call_id, record.instead.kind, record.instead.ref, _maybe_id(source)))
        rows.touched.extend(touched.values())
        return rows

    def _call(self, record: CallRecord, call_id: bytes) -> Kept:
        asset, others = None, record.tags
        for name, value in others:
            if name == ASSET:
                asset = value
        if asset is not None:
            others = tuple([pair for pair in others if pair[0] != ASSET])
        says, first_s, origin = _call_says(record), record.time_to_first_token_s, record.origin_call_id
        return (
            record.started_ms,
            self._known["call_kinds"].get(says) or self._number("call_kinds", says, says),
            self._known["tag_sets"].get(others) or self._tag_set(others),
            round(record.latency_s * _US),
            None if first_s is None else round(first_s * _US),
            round(record.overhead_s * _US),
            call_id,
            asset,
            record.user_hash,
            record.idempotency_key_hash,
            None if origin is None else id_bytes(origin),
        )

    def _add_attempt(self, rows: Packed, record: CallRecord, attempt: AttemptRecord, call_id: bytes) -> None:
        own_id = attempt.attempt_id
        attempt_id = OWN if own_id == record.call_id else id_bytes(own_id)
        usage = attempt.usage
        if usage is None:
            says, counts = (*_attempt_says(attempt), None, None), _NO_COUNTS
        else:
            says, counts = (*_attempt_says(attempt), usage.source, usage.partial), [count or None for count in _counted(usage)]
            if not is_text(usage):
                rows.media.append((call_id, attempt_id, *made_values(usage), calls_value(usage)))
        rows.attempts.append(
            (
                self._known["attempt_kinds"].get(says) or self._number("attempt_kinds", says, says),
                attempt.request_bytes,
                attempt.response_bytes,
                round(attempt.latency_s * _US),
                *counts,
                call_id,
                attempt_id,
                _maybe_id(attempt.upstream_request_id),
                attempt.upstream_object_id,
            )
        )
        if attempt.estimate is not None or attempt.shadows:
            self._add_opinions(rows, record, attempt, (call_id, attempt_id))
        if attempt.hour is not None:
            rows.hours.append((attempt_id or call_id, *_hour_facts(attempt.hour)))
        if attempt.shortcoming is not None:
            rows.shortcomings.append((attempt_id or call_id, call_id, attempt.shortcoming))
        if attempt.facts is not None:
            rows.facts.append((attempt_id or call_id, call_id, *_weighing_facts(attempt.facts)))

    def _add_opinions(self, rows: Packed, record: CallRecord, attempt: AttemptRecord, key: tuple[bytes, bytes]) -> None:
        """The ids of opinions formed during the call follow from the attempt's: writing one twice is writing it once."""
        created_ms = record.started_ms + int(record.latency_s * 1000)
        if attempt.estimate is not None:
            rows.estimates.append(self.opinion(attempt.estimate, key=(*key, OWN), created_ms=created_ms, role=CHOSEN))
        for shadow in attempt.shadows:
            own = id_bytes(f"{attempt.attempt_id}:{shadow.method}")
            rows.estimates.append(self.opinion(shadow, key=(*key, own), created_ms=created_ms, role=SHADOW))

    def opinion(self, estimate: Estimate, *, key: tuple[bytes, bytes, bytes], created_ms: int, role: str) -> Kept:
        """A row of `kept_estimates`. key: of the call, the attempt and the opinion, OWN where one follows from the one before it."""
        says = (role, *_estimate_says(estimate))
        kind_id = self._known["estimate_kinds"].get(says)
        if kind_id is None:
            kind = dict(zip(ESTIMATE_KIND, says, strict=True))
            kind |= {"quality_parts": "".join(estimate.quality_parts), "warnings": ",".join(estimate.warnings)}
            kind_id = self._number("estimate_kinds", says, tuple(kind.values()))
        figures: list[object] = []
        quantities = _quantities(estimate)
        base = None if quantities[_BASE] is None else quantities[_BASE].variance
        for quantity, is_scoped, is_like in zip(quantities, _SCOPED, _LIKE, strict=True):
            if quantity is None:
                figures += _NOTHING_KNOWN[is_scoped]
                continue
            p50, (method, provider, model, zone, call) = quantity
            total = method + provider + model + zone + call
            figures.append(kept_ln(p50, total))
            if is_like and base is not None:
                figures += _unlike(quantity.variance, base)
            elif is_scoped:
                figures += (
                    int(sqrt(method) * _PER_SD + 0.5),
                    int(sqrt(provider) * _PER_SD + 0.5),
                    int(sqrt(model) * _PER_SD + 0.5),
                    int(sqrt(zone) * _PER_SD + 0.5),
                    int(sqrt(call) * _PER_SD + 0.5),
                )
            else:
                figures.append(int(sqrt(total) * _PER_SD + 0.5))
        return (created_ms, kind_id, *figures, *key)

    def settle(self) -> None:
        """The fresh kinds are in the database."""
        for name, kinds in self.fresh.items():
            known = self._known[name]
            if len(known) + len(kinds) > MOST_KNOWN:
                known.clear()
            for says, kept in kinds.items():
                known[says] = kept[0]  # type: ignore[assignment]  # the number
            kinds.clear()

    def forget(self) -> None:
        """Somebody took kinds out of the database."""
        for known in self._known.values():
            known.clear()

    def calls(self, rows: Sequence[Row]) -> list[Kept]:
        """Rows of `kept_calls` from rows in the order of CALLS, the last column left out where it is null."""
        packed: list[Kept] = []
        for row in rows:
            (call_id, started_ms, operation, path, alias, caller_id, tags, user_hash, key_id) = row[:9]
            (status, outcome, stream, complete, latency_s, first_s, overhead_s, policy, altered, retries, hashed) = row[9:20]
            says = (operation, path, alias, caller_id, key_id, status, outcome, stream, complete, policy, altered, retries)
            named: Any = _tags(tags) if isinstance(tags, str) else dict(tags or {})  # type: ignore[call-overload]  # a mapping
            asset = named.pop(ASSET, None)
            packed.append(
                (
                    started_ms,
                    self._number("call_kinds", says, says),
                    self._tag_set(tuple(named.items())),
                    round(latency_s * _US),  # type: ignore[operator]  # seconds
                    None if first_s is None else round(first_s * _US),  # type: ignore[operator]  # as above
                    round(overhead_s * _US),  # type: ignore[operator]  # as above
                    id_bytes(call_id),  # type: ignore[arg-type]  # ids are text
                    asset,
                    user_hash,
                    hashed,
                    _maybe_id(row[20]) if len(row) > 20 else None,
                )
            )
        return packed

    def attempts(self, rows: Sequence[Row]) -> tuple[list[Kept], list[Kept]]:
        """Rows of `kept_attempts` and `attempt_media`, from rows in the order of TEXT_ATTEMPTS, OBJECT_ATTEMPTS or ATTEMPTS."""
        packed: list[Kept] = []
        media: list[Kept] = []
        for row in rows:
            call_id = id_bytes(row[0])  # type: ignore[arg-type]  # ids are text
            attempt_id = OWN if row[1] == row[0] else id_bytes(row[1])  # type: ignore[arg-type]  # as above
            says = (*row[2:12], row[13], row[_USAGE_SOURCE], row[_USAGE_SOURCE + 1])
            object_id = None
            if len(row) > len(TEXT_ATTEMPTS):
                is_whole = len(row) > len(TEXT_ATTEMPTS) + 1
                object_id = row[_OBJECT_ID] if is_whole else row[len(TEXT_ATTEMPTS)]
                if is_whole and any(value is not None for value in (*row[_MEDIA:_OBJECT_ID], row[_CALLS_COUNTED])):
                    media.append((call_id, attempt_id, *row[_MEDIA:_OBJECT_ID], row[_CALLS_COUNTED]))
            packed.append(
                (
                    self._number("attempt_kinds", says, says),
                    row[14],
                    row[15],
                    round(row[16] * _US),  # type: ignore[operator]  # seconds
                    *[-1 if count is None else count or None for count in (*row[17:_USAGE_SOURCE], row[_USAGE_SOURCE + 2])],
                    call_id,
                    attempt_id,
                    _maybe_id(row[12]),
                    object_id,
                )
            )
        return packed, media

    def estimates(self, rows: Sequence[Row]) -> list[Kept]:
        """Rows of `kept_estimates` from rows in the order of ESTIMATES."""
        packed: list[Kept] = []
        for row in rows:
            attempt_id, estimate_id, call_id = row[:3]
            says = (row[-1], *row[4:_FIRST_FIGURE])
            packed.append(
                (
                    row[3],
                    self._number("estimate_kinds", says, says),
                    *_figures(row),
                    id_bytes(call_id),  # type: ignore[arg-type]  # ids are text
                    OWN if attempt_id == call_id else id_bytes(attempt_id),  # type: ignore[arg-type]  # as above
                    OWN if estimate_id == attempt_id else id_bytes(estimate_id),  # type: ignore[arg-type]  # as above
                )
            )
        return packed

    def _tag_set(self, pairs: tuple[tuple[str, str], ...]) -> int:
        known = self._known["tag_sets"].get(pairs)
        return known if known is not None else self._number("tag_sets", pairs, (_json(dict(pairs)).decode(),))

    def _number(self, table: str, says: Kept, values: Kept) -> int:
        """The number of a kind: made from what it says, whoever says it."""
        known = self._known[table].get(says)
        if known is not None:
            return known
        fresh = self.fresh[table].get(says)
        if fresh is None:
            fresh = self.fresh[table][says] = (number_of(values), *values)
        return fresh[0]  # type: ignore[return-value]  # the number


def number_of(values: Kept) -> int:
    """64 bits of a digest of the values: two kinds of a ledger have the same once in many million ledgers."""
    return int.from_bytes(blake2b(_encode(values), digest_size=8).digest(), "big", signed=True)


def kept_ln(p50: float, variance: float) -> int:
    """The expected value of a log-normal as it is kept."""
    if not p50:
        return LN_OF_ZERO
    found = round((log(p50) + variance / 2) * _PER_LN)
    return found if -_MOST <= found <= _MOST else max(-_MOST, min(found, _MOST))


def _unlike(variances: Sequence[float], base: Sequence[float]) -> list[int | None]:
    """Standard deviations of a line as they are kept, null where they are those of the base line."""
    method, provider, model, zone, call = variances
    as_method, as_provider, as_model, as_zone, as_call = base
    return [
        None if method == as_method else int(sqrt(method) * _PER_SD + 0.5),
        None if provider == as_provider else int(sqrt(provider) * _PER_SD + 0.5),
        None if model == as_model else int(sqrt(model) * _PER_SD + 0.5),
        None if zone == as_zone else int(sqrt(zone) * _PER_SD + 0.5),
        None if call == as_call else int(sqrt(call) * _PER_SD + 0.5),
    ]


def _figures(row: Row) -> list[object]:
    """The figures of a row of ESTIMATES."""
    found: list[object] = []
    base: Any = row[_BASE_VARIANCES]
    for at, is_scoped, is_like in _PLAN:
        mean: Any = row[at]
        p50: Any = row[at + 1]
        if mean is None:
            found += _NOTHING_KNOWN[is_scoped]
        elif is_scoped:
            variances: Any = row[at + 2 : at + 7]
            found.append(kept_ln(p50, sum(variances)))
            found += (
                _unlike(variances, base)
                if is_like and base[0] is not None
                else [int(sqrt(variance) * _PER_SD + 0.5) for variance in variances]
            )
        else:
            variance = 2 * log(mean / p50) if mean > p50 > 0 else 0.0
            found += (kept_ln(p50, variance), int(sqrt(variance) * _PER_SD + 0.5))
    return found


def _decision_values(decision: DecisionRecord) -> Row:
    """What a policy said of the call."""
    values: list[object] = [*_decision_facts(decision)]
    for side in SIDES:
        values += [getattr(decision, f"{side}_{name}") for name in WHO]
        values += _quantity_values(getattr(decision, f"{side}_gco2e"))
    return tuple(values)


def _quantity_values(quantity: Quantity | None) -> Row:
    if quantity is None:
        return (None,) * 7
    p50, variance = quantity
    return (p50 * exp(sum(variance) / 2), p50, *variance)


def _maybe_id(text: object) -> bytes | None:
    return None if text is None else id_bytes(text)  # type: ignore[arg-type]  # ids are text
