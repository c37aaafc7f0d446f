"""Weighs pictures and clips of one deployment, each shape once. It must never let a missing size pass without doubt and warning."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from config.diffusion import DiffusionFacts
from config.factors import FactorSet
from estimators.energy import PerUnit
from estimators.physics_diffusion import Shape
from estimators.physics_diffusion_fleet import DiffusionFleet
from estimators.quantity import Quantity
from estimators.usage import NO_MEDIA, Media, Usage, UsageSource

COUNT_ASSUMED = "media-count-assumed"
SIZE_ASSUMED = "media-size-assumed"
STEPS_ASSUMED = "diffusion-steps-assumed"
LENGTH_ASSUMED = "clip-length-assumed"
REMEMBERED_SHAPES = 512
"""Most shapes kept in memory; then the memory starts anew."""

_DOUBT_ROWS = {
    COUNT_ASSUMED: "diffusion.sd_count_assumed",
    SIZE_ASSUMED: "diffusion.sd_size_assumed",
    STEPS_ASSUMED: "diffusion.sd_steps_assumed",
    LENGTH_ASSUMED: "diffusion.sd_length_assumed",
}


class _Made(NamedTuple):
    """What a call made: outputs of one shape, and what of it had to be assumed."""

    outputs: float
    shape: Shape
    assumed: tuple[str, ...]


class DiffusionEnergy:
    """GPU energy of calls by what they made."""

    __slots__ = ("_call_variance", "_doubts", "_fleet", "_remembered", "per_unit_j")

    def __init__(self, fleet: DiffusionFleet, call_variance: Mapping[tuple[UsageSource, bool], float], factors: FactorSet) -> None:
        """call_variance: variance of the logarithm by who counted and whether the answer was cut."""
        self._fleet = fleet
        self._call_variance = call_variance
        self._doubts = {code: factors[row].value ** 2 for code, row in _DOUBT_ROWS.items()}
        self._remembered: dict[Shape, Quantity] = {}
        self.per_unit_j = self._per_unit()

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of all pictures or clips of the call; what had to be assumed widens scope `call`."""
        made = self._made(usage)
        p50, variance = self._per_output(made.shape)
        call = self._call_variance[usage.source, usage.partial] + math.fsum(self._doubts[code] for code in made.assumed)
        return Quantity(p50 * made.outputs, variance._replace(call=variance.call + call))

    def warnings_of(self, usage: Usage) -> tuple[str, ...]:
        """What had to be assumed for this very call."""
        return self._made(usage).assumed

    def _per_output(self, shape: Shape) -> Quantity:
        known = self._remembered.get(shape)
        if known is None:
            if len(self._remembered) >= REMEMBERED_SHAPES:
                self._remembered.clear()
            known = self._remembered[shape] = self._fleet.gpu_j_per_output(shape)
        return known

    def _made(self, usage: Usage) -> _Made:
        facts, media = self._fleet.facts, usage.media or NO_MEDIA
        assumed = []
        said = media.images if facts.task == "image" else media.clips
        count = float(said or 1)
        if not said:
            assumed.append(COUNT_ASSUMED)
        width, height = media.width or facts.default_width, media.height or facts.default_height
        if media.width is None or media.height is None:
            assumed.append(SIZE_ASSUMED)
        frames = _frames_per_clip(facts, media, count)
        if frames is None:
            assumed.append(LENGTH_ASSUMED)
            frames = float(facts.default_frames)
        if media.steps is None and facts.size_basis != "class":
            assumed.append(STEPS_ASSUMED)
        steps = (media.steps or facts.steps) * facts.qualities.get((media.quality or "").lower(), 1.0)
        return _Made(count, Shape(width, height, frames, steps, float(usage.input_images)), tuple(assumed))

    def _per_unit(self) -> PerUnit:
        facts = self._fleet.facts
        shape = Shape(facts.default_width, facts.default_height, facts.default_frames, facts.steps)
        whole = self._per_output(shape).p50
        if facts.task == "image":
            return PerUnit(image=whole)
        return PerUnit(video_second=whole * (facts.default_fps or DEFAULT_FPS) / facts.default_frames)


DEFAULT_FPS = 24.0
"""Frames per second where neither call nor model say; the cinema's (definition)."""


def _frames_per_clip(facts: DiffusionFacts, media: Media, clips: float) -> float | None:
    """Frames of one clip; 1 for a picture, None when neither frames nor seconds are known."""
    if facts.task == "image":
        return 1.0
    if media.frames:
        return media.frames / clips
    if media.video_seconds:
        return max(media.video_seconds * (media.fps or facts.default_fps or DEFAULT_FPS) / clips, 1.0)
    return None
