"""Remembers which call began what the providers keep, for a while and in memory. It must never keep what was asked or answered."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from proxy.policy.candidates import Candidate

MOST_REMEMBERED = 8192
Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The call that began an object, as far as what follows needs it. candidate: the deployment that keeps the object,
    None where the configuration has it no more.

    call_id None: nobody knows it. pending: its work was not weighed when it was recorded.
    """

    call_id: str | None
    started_ms: int
    alias: str
    caller_id: str
    tags: Tags
    candidate: Candidate | None
    pending: bool = False
    user_hash: str | None = None
    user_hash_key_id: str | None = None


class Origins:
    """Origins by object id, and the objects whose work this process has booked; the oldest make room."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._origins: OrderedDict[str, Origin] = OrderedDict()
        self._booked: OrderedDict[str, None] = OrderedDict()

    def remember(self, object_id: str, origin: Origin) -> None:
        """Keeps where an object comes from."""
        self._origins[object_id] = origin
        if len(self._origins) > self._most:
            self._origins.popitem(last=False)

    def recall(self, object_id: str) -> Origin | None:
        """Where it comes from, None when it is not remembered."""
        return self._origins.get(object_id)

    def forget(self, is_of: Callable[[Origin], bool]) -> int:
        """Forgets the origins of somebody, which the ledger knows as far as it may; how many they were."""
        names = [name for name, origin in self._origins.items() if is_of(origin)]
        for name in names:
            del self._origins[name]
        return len(names)

    def is_booked(self, booking: str) -> bool:
        """Whether this process has booked it, or knows that another has."""
        return booking in self._booked

    def note_booked(self, booking: str) -> None:
        """Notes that it is booked."""
        self._booked[booking] = None
        if len(self._booked) > self._most:
            self._booked.popitem(last=False)

    def forget_booked(self, booking: str) -> None:
        """Takes that back."""
        self._booked.pop(booking, None)
