"""What an answer shows of work at a provider: whether it has ended, and what it took. It must never hold text of anybody's."""

from dataclasses import dataclass

from estimators.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Usage of one model. model: as the provider names it, None when it does not."""

    usage: Usage
    model: str | None = None
    weighed_as: str = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One object at one moment. operation: its word in records. identity: what its booking's id follows from.

    ended: nothing more is to come; then `parts` hold what it took, or `reason` says why nothing is weighed. at_once: the answer to the
    call that asked for it says all. batched: it ran through a batch API. follow: id of a file that will tell what it took.
    listed: it was shown among others, to somebody who did not ask after it.
    """

    operation: str
    object_id: str
    identity: str = ""
    ended: bool = False
    parts: tuple[Part, ...] = ()
    reason: str | None = None
    at_once: bool = False
    batched: bool = False
    created_s: int | None = None
    ended_s: int | None = None
    follow: str | None = None
    listed: bool = False

    @property
    def booking(self) -> str:
        """What its booking's id follows from."""
        return self.identity or self.object_id
