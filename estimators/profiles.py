"""Boundaries: which lines a total holds, by name. It must never put a line into a total without the boundary's name beside it."""

from dataclasses import dataclass
from typing import Literal

GramsLine = Literal["operational_gco2e", "embodied_gco2e", "training_gco2e", "network_gco2e"]
DEFAULT_PROFILE = "sci-consumer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named set of lines; `gco2e` is their sum. excludes: what the boundary's own text would hold and we do not weigh.

    reporting: whether records and reports may use it.
    """

    id: str
    lines: tuple[GramsLine, ...]
    excludes: tuple[str, ...]
    reporting: bool
    meaning: str

    @property
    def has_training(self) -> bool:
        """True when the total holds a share of the model's training."""
        return "training_gco2e" in self.lines

    @property
    def has_network(self) -> bool:
        """True when the total holds the network between caller and data centre."""
        return "network_gco2e" in self.lines


_SERVING: tuple[GramsLine, ...] = ("operational_gco2e", "embodied_gco2e")
_WHOLE: tuple[GramsLine, ...] = (*_SERVING, "training_gco2e", "network_gco2e")

PROFILES: dict[str, Profile] = {
    profile.id: profile
    for profile in (
        Profile(
            id="sci-consumer",
            lines=_SERVING,
            excludes=("clients", "storage"),
            reporting=True,
            meaning="Serving the call: electricity, and the making of the machines; gateways' processors are in the constant per call, "
            "the proxy's own weight is a line beside.",
        ),
        Profile(
            id="ghgp-cat1",
            lines=_WHOLE,
            excludes=("buildings", "staff and other overhead of the provider"),
            reporting=True,
            meaning="A purchased service, cradle to gate: serving, a share of the training, and the network.",
        ),
        Profile(
            id="afnor-2314",
            lines=_WHOLE,
            excludes=("terminals", "data collection and storage"),
            reporting=True,
            meaning="Server and network over the life cycle, training included; to be read with water, primary energy and minerals.",
        ),
        Profile(
            id="study",
            lines=(*_SERVING, "training_gco2e"),
            excludes=("clients", "storage", "network"),
            reporting=False,
            meaning="As the reconstruction of the study of May 2025 counts; to compare with, never to report.",
        ),
    )
}
