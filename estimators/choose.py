"""The table of methods and the choice among them. It must never know what a method does inside."""

from typing import Protocol

from config.catalogue import ModelCard
from config.factors import FactorSet
from config.places import Place
from estimators.assemble import Request
from estimators.hardware import UNKNOWN_HARDWARE, Hardware, recognised
from estimators.metered import METHOD as METERED
from estimators.methods.audio import AudioMethod
from estimators.methods.disclosed import DisclosedMethod
from estimators.methods.ecologits_adapter import EcologitsMethod
from estimators.methods.embeddings import EmbeddingsMethod
from estimators.methods.image_tokens import ImageTokensMethod
from estimators.methods.images import ImagesMethod
from estimators.methods.moderation import ModerationMethod
from estimators.methods.study import StudyMethod
from estimators.methods.tokens import TokensMethod
from estimators.methods.training import TrainingMethod
from estimators.methods.video import VideoMethod
from estimators.prepared import Prepared
from estimators.profiles import DEFAULT_PROFILE, PROFILES


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


METHODS: tuple[Method, ...] = (
    DisclosedMethod(),
    EmbeddingsMethod(),
    ModerationMethod(),
    ImageTokensMethod(),
    ImagesMethod(),
    VideoMethod(),
    AudioMethod(),
    TrainingMethod(),
    TokensMethod(),
)
"""In order of precedence: the first that covers a request weighs it."""

ON_REQUEST: tuple[Method, ...] = (EcologitsMethod(), StudyMethod())
"""Weigh only when they are named, as the method asked for or as a shadow beside it."""

_BY_ID = {method.id: method for method in (*METHODS, *ON_REQUEST)}

FALLBACK: Method = METHODS[-1]
"""Weighs operations that no method covers, with a warning: a rough figure stands, a silent zero does not."""

NOT_COVERED = "operation-not-covered"
"""Warning on what the fallback weighs."""

OPERATING_PRIORS = ("saturated", "at_scale", "typical", "low_traffic")
"""How busy machines may be assumed to be. `typical` at a vendor's own mass service means `at_scale`."""


def prepare(
    card: ModelCard,
    place: Place,
    factors: FactorSet,
    *,
    operation: str = "chat",
    operating_prior: str = "typical",
    profile: str = DEFAULT_PROFILE,
    match_warnings: tuple[str, ...] = (),
    method: str | None = None,
    hardware: Hardware = UNKNOWN_HARDWARE,
    methods: tuple[str, ...] = (),
    batched: bool = False,
) -> Prepared:
    """What weighs calls to `card` at `place`, on `hardware` as far as that is known; the named method, else the first that covers.

    methods: ids in the order in which they may weigh, `metered` among them where a call's own meter is to go before those after it;
    empty: the usual order, meters first. An operation that none covers is weighed by tokens with the warning `operation-not-covered`.
    batched: the work went through the vendor's batch API.
    Raises ValueError for a method, prior or profile that does not exist.
    """
    _refuse_unknown("operating prior", operating_prior, OPERATING_PRIORS)
    _refuse_unknown("profile", profile, tuple(PROFILES))
    if operating_prior == "typical" and place.serves_at_scale and hardware == UNKNOWN_HARDWARE:
        operating_prior = "at_scale"
    chosen = _choose(operation, card, method, methods)
    machines, unknown_words = recognised(hardware, factors)
    warnings = (*match_warnings, *unknown_words, *(() if chosen.covers(operation, card) else (NOT_COVERED,)))
    return chosen.prepare(
        Request(
            card=card,
            place=place,
            factors=factors,
            operation=operation,
            operating_prior=operating_prior,
            profile=profile,
            match_warnings=warnings,
            hardware=machines,
            meters_count=method is None and _meters_go_first(chosen, methods),
            batched=batched,
        )
    )


def known_methods() -> tuple[str, ...]:
    """Ids of the methods that can be named."""
    return tuple(_BY_ID)


def named(method: str) -> Method:
    """The method of this id. Raises ValueError for one that does not exist."""
    _refuse_unknown("method", method, known_methods())
    return _BY_ID[method]


def _choose(operation: str, card: ModelCard, method: str | None, methods: tuple[str, ...]) -> Method:
    if method is not None:
        return named(method)
    for name in methods:
        _refuse_unknown("method", name, (METERED, *_BY_ID))
    order = tuple(_BY_ID[name] for name in methods if name != METERED) if methods else METHODS
    return next((known for known in order if known.covers(operation, card)), FALLBACK)


def _meters_go_first(chosen: Method, methods: tuple[str, ...]) -> bool:
    """True when a call's own meter comes before the chosen method; a fallback that is not listed comes last."""
    if not methods:
        return True
    place = {name: at for at, name in enumerate(methods)}
    return METERED in place and place[METERED] < place.get(chosen.id, len(methods))


def _refuse_unknown(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"{what} {name!r} does not exist; known: {', '.join(known)}")
