"""Erases what leads to a person, in the ledger and in what this process keeps besides. It must never log or keep whom it is about."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.clock import Clock
from proxy.keys.hashing import keyed_hash, secret_id
from proxy.ledger.personal import Scope, Whom
from proxy.objects.origins import Origin, Origins
from proxy.reuse.identity import Namer
from proxy.reuse.room import Reuse

if TYPE_CHECKING:
    from proxy.ledger.personal_erase import Erasure, Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What became of it. number: when the ledger recorded it, in ms since 1970 UTC, None where it held nothing."""

    number: int | None
    ledger: "Erasure"
    answers: int
    unsearched: dict[str, int]


def whom_of(scope: Scope, name: str, secrets: Sequence[bytes]) -> Whom:
    """Of whom: an end user as each of the secrets hashes it, or a caller by its name."""
    if scope == "user":
        return Whom(scope=scope, hashes=tuple((secret_id(secret), keyed_hash(secret, name)) for secret in secrets))
    return Whom(scope=scope, caller_id=name)


class Eraser:
    """What a running proxy erases when it is asked to: answers it keeps, its memory, and the ledger. Belongs to one event loop."""

    def __init__(self, url: str, secret: bytes, reuse: Callable[[], Reuse | None], origins: Origins, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._reuse = reuse
        self._origins = origins
        self._clock = clock

    async def erase(self, scope: Scope, name: str) -> Erased:
        """Erases. Raises LiveKey, StartError where the ledger cannot be changed, ConnectionError where kept answers cannot be reached."""
        whom = whom_of(scope, name, [self._secret])
        found = await asyncio.to_thread(_found, self._url, whom)
        reuse = self._reuse()
        answers = 0 if reuse is None else sum([await reuse.erase(caller) for caller in found.callers])
        self._origins.forget(lambda origin: _began(origin, whom))
        number, erasure = await asyncio.to_thread(_erase, self._url, whom, self._clock.now_ms())
        return Erased(number=number, ledger=erasure, answers=answers, unsearched=found.unsearched)


def erase_shared_answers(redis: str, secrets: Sequence[bytes], callers: Sequence[str]) -> int:
    """Forgets what Redis keeps for callers to be reused, from outside a proxy; how many answers. Raises ConnectionError."""
    return asyncio.run(_erase_shared(redis, secrets, callers))


async def _erase_shared(redis: str, secrets: Sequence[bytes], callers: Sequence[str]) -> int:
    from proxy.redis_door import RedisDoor  # needed only where Redis is configured
    from proxy.reuse.shared import InRedis

    store = InRedis(RedisDoor(redis), Clock().perf)
    try:
        return sum([await store.erase(Namer(secret).owner(caller)) for secret in secrets for caller in callers])
    finally:
        await store.close()


def _began(origin: Origin, whom: Whom) -> bool:
    if whom.scope == "user":
        return (origin.user_hash_key_id, origin.user_hash) in whom.hashes
    return origin.caller_id == whom.caller_id


def _found(url: str, whom: Whom) -> "Found":
    from proxy.ledger.changing import opened_to_change  # slow (SQLAlchemy), needed on request only
    from proxy.ledger.personal_erase import found

    with opened_to_change(url) as hands:
        return found(hands, whom)


def _erase(url: str, whom: Whom, now_ms: int) -> "tuple[int | None, Erasure]":
    from proxy.ledger.changing import opened_to_change  # as above
    from proxy.ledger.personal_erase import erase

    with opened_to_change(url) as hands:
        return erase(hands, whom, now_ms)
