"""Finds the call that began an object, and the deployment that keeps it: in memory, else in the ledger. It must never send anything."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from proxy.call import PENDING, Caller
from proxy.endpoints.base import Ask
from proxy.endpoints.reading import decoded
from proxy.errors import NotFound
from proxy.ledger.base import LedgerUnavailable
from proxy.objects.ids import is_simulated
from proxy.objects.origins import Origin
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.rooms import Rooms

_log = logging.getLogger("grammage.late")
STORED = (b'"file_id"', b'"conversation"')
"""What a request names that is stored by a call which no endpoint meters."""

WAITING = (PENDING, "unfinished")
"""Reasons of attempts that were not weighed because their work went on."""


async def recollect(rooms: Rooms, object_ids: Iterable[str]) -> None:
    """Brings to memory the origins that it does not hold and the ledger knows; read off the event loop, all at once."""
    missing = [each for each in object_ids if rooms.origins.recall(each) is None]
    if not missing:
        return
    try:
        rows = await asyncio.to_thread(rooms.archive.find_objects, missing)
    except LedgerUnavailable as error:
        _log.warning("the ledger cannot say who began an object (%s): it is taken as unknown", type(error).__name__)
        return
    for row in rows:
        rooms.origins.remember(str(row["upstream_object_id"]), _origin(rooms, row))


async def holder_of(rooms: Rooms, object_ids: Iterable[str], *, in_ledger: bool = True) -> tuple[Origin | None, Candidate | None]:
    """The origin of an object, and who keeps it; None where neither memory, ledger nor the id tells. in_ledger: it may be there."""
    ids = tuple(object_ids)
    origin = _first(rooms, ids)
    if origin is None and in_ledger:
        await recollect(rooms, ids)
        origin = _first(rooms, ids)
    if origin is not None and origin.candidate is not None:
        return origin, _of_today(rooms, origin.candidate)
    return origin, _simulated(rooms) if any(is_simulated(each) for each in ids) else None


def _first(rooms: Rooms, ids: Iterable[str]) -> Origin | None:
    return next((found for each in ids if (found := rooms.origins.recall(each)) is not None), None)


def refuse_stranger(caller: Caller, origin: Origin | None) -> None:
    """Raises NotFound for an object of another caller; where a caller's own key goes along, the provider sees to that."""
    if origin is None or caller.role == "admin" or caller.id == origin.caller_id:
        return
    if caller.forwards_own_key and (origin.candidate is None or origin.candidate.api_key is None):
        return
    raise NotFound(f"there is no such object of key {caller.id!r}; use the key that made it.", code="unknown_object")


async def held(rooms: Rooms, caller: Caller, ask: Ask, decision: Decision) -> Decision:
    """The decision, bound to the deployment that keeps what the request refers to, where that is one of those decided on.

    Files and conversations that nobody knows are where such calls go: at the deployment of unmatched models.
    Raises NotFound (unknown_object) when another key of ours made it.
    """
    refers = any(f'"{name}"'.encode() in ask.asked for name in ask.endpoint.refers)
    stored = len(decision.attempts) > 1 and any(mark in ask.asked for mark in STORED)
    if not refers and not stored:
        return decision
    if len(decision.attempts) < 2 and caller.forwards_own_key and decision.attempts[0].api_key is None:
        return decision
    request = decoded(ask.asked) if refers else None
    ids = named_ids(request, ask.endpoint.refers) if isinstance(request, dict) else ()
    origin, keeper = await holder_of(rooms, ids)
    refuse_stranger(caller, origin)
    if keeper is None and stored:
        keeper = rooms.unmatched
    pinned = () if keeper is None else tuple(each for each in decision.attempts if is_same_account(each, keeper))
    return replace(decision, attempts=pinned, reasons=(*decision.reasons, "keeps_the_object")) if pinned else decision


def named_ids(request: Mapping[str, Any], fields: Iterable[str]) -> tuple[str, ...]:
    """Ids in these fields of a request: a string, or the `id` of an object."""
    values = (request.get(name) for name in fields)
    plain = (value.get("id") if isinstance(value, dict) else value for value in values)
    return tuple(value for value in plain if isinstance(value, str) and value)


def _of_today(rooms: Rooms, candidate: Candidate) -> Candidate:
    """The deployment as the configuration has it now: its key may have changed."""
    now = [*(() if rooms.unmatched is None else (rooms.unmatched,)), *_all(rooms)]
    same = (each for each in now if (each.pattern, each.provider, each.base_url, each.model) == _which(candidate))
    return next((each for each in same if each.deployment.region == candidate.deployment.region), candidate)


def _which(candidate: Candidate) -> tuple[str, str, str, str | None]:
    return candidate.pattern, candidate.provider, candidate.base_url, candidate.model


def is_same_account(one: Candidate, other: Candidate) -> bool:
    """Whether two deployments keep their objects at one place: the same address, asked with the same key."""
    return (one.provider, one.base_url, one.api_key) == (other.provider, other.base_url, other.api_key)


def _simulated(rooms: Rooms) -> Candidate | None:
    return next((each for each in _all(rooms) if each.is_simulated), None)


def _all(rooms: Rooms) -> list[Candidate]:
    candidates = rooms.candidates
    rows = (*candidates.exact.values(), *(row for _, row in candidates.patterns))
    return [each for row in rows for each in row]


def _origin(rooms: Rooms, row: Mapping[str, Any]) -> Origin:
    """The origin that a row of the ledger describes."""
    return Origin(
        call_id=row["call_id"],
        started_ms=row["started_ms"],
        alias=row["alias"],
        caller_id=row["caller_id"],
        tags=tuple(sorted(row["tags"].items())),
        candidate=_candidate(rooms, row),
        pending=row["unweighed_reason"] in WAITING,
        user_hash=row["user_hash"],
        user_hash_key_id=row["user_hash_key_id"],
    )


def _candidate(rooms: Rooms, row: Mapping[str, Any]) -> Candidate | None:
    """The deployment that served the call, as far as today's configuration still has it."""
    named = [*rooms.candidates.of(row["alias"]), *(() if rooms.unmatched is None else (rooms.unmatched,)), *_all(rooms)]
    same = [each for each in named if each.provider == row["provider"]]
    of_model = [each for each in same if (each.model or row["alias"]) == row["model"]]
    there = [each for each in of_model if (each.place.region, each.place.zone) == (row["region"], row["zone"])]
    return next(iter(there or of_model or same), None)
