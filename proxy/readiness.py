"""Says whether calls should come here, and if not, which part of the proxy is not ready. It must never ask anybody for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

DRAINING = "draining"
LEDGER_UNAVAILABLE = "ledger_unavailable"
LOADING_LITELLM = "loading_litellm"
LEDGER_SPOOLING = "ledger_spooling"
RELOAD_FAILED = "config_reload_failed"
LITELLM_UNAVAILABLE = "litellm_unavailable"


class LedgerState(Protocol):
    """The ledger's writer, as far as readiness goes."""

    @property
    def held(self) -> int:
        """Calls that only memory holds: database and spool took none of them."""

    def is_denying(self) -> bool:
        """True when new calls are refused for the ledger's sake."""

    def is_aside(self) -> bool:
        """True while calls wait in spool or memory for the database."""


@dataclass(slots=True, kw_only=True)
class Readiness:
    """draining: whether the proxy ends. loads, lacks: whether LiteLLM, which some model needs, is being loaded, or cannot be.

    reload_failed: whether the configuration changed since to one that cannot be taken over.
    """

    ledger: LedgerState
    draining: Callable[[], bool]
    loads: Callable[[], bool]
    lacks: Callable[[], bool]
    reload_failed: Callable[[], bool]

    def unready(self) -> tuple[str, ...]:
        """Why calls should go elsewhere; empty: they may come."""
        parts = (
            (DRAINING, self.draining()),
            (LEDGER_UNAVAILABLE, self.ledger.held > 0 or self.ledger.is_denying()),
            (LOADING_LITELLM, self.loads()),
        )
        return tuple(name for name, is_so in parts if is_so)

    def noted(self) -> tuple[str, ...]:
        """What is not as it should be, though calls may come."""
        parts = (
            (LEDGER_SPOOLING, self.ledger.held == 0 and self.ledger.is_aside()),
            (RELOAD_FAILED, self.reload_failed()),
            (LITELLM_UNAVAILABLE, self.lacks()),
        )
        return tuple(name for name, is_so in parts if is_so)
