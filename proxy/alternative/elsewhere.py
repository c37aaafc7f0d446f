"""A way outside of the proxy, which is only pointed to. It must never answer a call."""

from dataclasses import dataclass

from proxy.alternative.made import Cannot
from proxy.alternative.wanted import Wanted

ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class ElsewhereWay:
    """What it is, and where."""

    text: str
    url: str | None
    slow: bool = False

    def lacks(self, wanted: Wanted) -> Cannot | None:
        """Nothing: whether it serves is for people to say."""
        return None

    def make(self, wanted: Wanted) -> Cannot:
        """Nothing is made here."""
        return Cannot(ELSEWHERE)
