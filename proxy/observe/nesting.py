"""Which spans stand around other spans of calls. It must never let a call count once for itself and once for the span around it."""

from collections import OrderedDict
from typing import Final, TypeVar

from proxy.observe.span import Span

REMEMBERED: Final = 50_000
Key = tuple[str, str]
V = TypeVar("V")


class Nesting:
    """What is known of the spans of late: those that hold a call below them, and those that were counted. Belongs to one thread at a time.

    A span ends after those within it, and so comes later or in the same request; where it comes first it is the one that counts.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._most = remembered
        self._around: OrderedDict[Key, None] = OrderedDict()
        self._counted: OrderedDict[Key, None] = OrderedDict()
        self._parents: OrderedDict[Key, Key] = OrderedDict()

    def pass_by(self, span: Span) -> None:
        """Takes note of a span that is no call: what holds it holds what it holds."""
        own, parent = _keys(span)
        if parent is None:
            return
        self._keep(self._parents, own, parent)
        if own in self._around:
            self._mark(parent)

    def counts(self, span: Span) -> bool:
        """Whether this span of a call is the one to count: none within it was counted, and none around it."""
        own, parent = _keys(span)
        if own in self._around or self._is_within(parent):
            if own in self._around and parent is not None:
                self._mark(parent)
            return False
        if parent is not None:
            self._mark(parent)
        self._keep(self._counted, own, None)
        return True

    def _is_within(self, parent: Key | None) -> bool:
        seen = 0
        while parent is not None and seen < 32:
            if parent in self._counted:
                return True
            parent, seen = self._parents.get(parent), seen + 1
        return False

    def _mark(self, key: Key | None) -> None:
        seen = 0
        while key is not None and key not in self._around and seen < 32:
            self._keep(self._around, key, None)
            key, seen = self._parents.get(key), seen + 1

    def _keep(self, memory: "OrderedDict[Key, V]", key: Key, value: V) -> None:
        memory[key] = value
        if len(memory) > self._most:
            memory.popitem(last=False)


def _keys(span: Span) -> tuple[Key, Key | None]:
    own = (span.trace_id, span.span_id)
    has_parent = bool(span.parent_id) and span.parent_id != span.span_id and span.parent_id.strip("0") != ""
    return own, (span.trace_id, span.parent_id) if has_parent else None
