"""The table of methods and the choice among them. It must never know what a method does inside."""

from typing import Protocol

from config.catalogue import ModelCard
from config.factors import FactorSet
from config.places import Place
from estimators.assemble import Request
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from estimators.methods.embeddings import EmbeddingsMethod
from estimators.methods.tokens import TokensMethod
from estimators.prepared import Prepared


class Method(Protocol):
    """One way to weigh a call; `id@version` is stamped on every estimate."""

    @property
    def id(self) -> str:
        """Short name, such as `tokens`."""

    @property
    def version(self) -> str:
        """Semantic version; any change that moves a figure changes it."""

    def covers(self, operation: str, card: ModelCard) -> bool:
        """Whether the method can weigh `operation` of this model."""

    def prepare(self, request: Request) -> Prepared:
        """The method's coefficients for one model at one place."""


METHODS: tuple[Method, ...] = (EmbeddingsMethod(), TokensMethod())
"""In order of precedence: the first that covers a request weighs it."""

FALLBACK: Method = METHODS[-1]
"""Weighs operations that no method covers, with a warning: a rough figure stands, a silent zero does not."""

PROFILES = ("sci-consumer",)
OPERATING_PRIORS = ("saturated", "typical", "low_traffic")


def prepare(
    card: ModelCard,
    place: Place,
    factors: FactorSet,
    *,
    operation: str = "chat",
    operating_prior: str = "typical",
    profile: str = "sci-consumer",
    match_warnings: tuple[str, ...] = (),
    method: str | None = None,
    hardware: Hardware = UNKNOWN_HARDWARE,
) -> Prepared:
    """What weighs calls to `card` at `place`, on `hardware` as far as that is known; the named method, else the first that covers.

    An operation that none covers is weighed by tokens with the warning `operation-not-covered`. Raises ValueError for a method,
    prior or profile that does not exist.
    """
    _refuse_unknown("operating prior", operating_prior, OPERATING_PRIORS)
    _refuse_unknown("profile", profile, PROFILES)
    chosen = _choose(operation, card, method)
    warnings = match_warnings if chosen.covers(operation, card) else (*match_warnings, "operation-not-covered")
    return chosen.prepare(
        Request(
            card=card,
            place=place,
            factors=factors,
            operation=operation,
            operating_prior=operating_prior,
            profile=profile,
            match_warnings=warnings,
            hardware=hardware,
        )
    )


def _choose(operation: str, card: ModelCard, method: str | None) -> Method:
    if method is not None:
        by_id = {known.id: known for known in METHODS}
        _refuse_unknown("method", method, tuple(by_id))
        return by_id[method]
    return next((known for known in METHODS if known.covers(operation, card)), FALLBACK)


def _refuse_unknown(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"{what} {name!r} does not exist; known: {', '.join(known)}")
