"""Which architecture a catalogue card stands for. It must never take a guessed size for a known architecture."""

import math
from dataclasses import replace

from config.catalogue import ModelCard
from config.diffusion import Task
from config.diffusion_names import DiffusionMatch
from config.read_diffusion import shipped_diffusion_models


def facts_of(card: ModelCard, task: Task) -> DiffusionMatch:
    """Architecture facts of the card's model for `task`; where they are assumed, the card's range of sizes is their doubt too."""
    match = shipped_diffusion_models().resolve(card.id, task=task, params_b=card.active_params_b.value)
    facts = match.facts
    if facts.task != task:
        match = shipped_diffusion_models().assumed(card.id, task=task, params_b=card.active_params_b.value)
        facts = match.facts
    if facts.size_basis != "assumed":
        return match
    span = math.sqrt(card.active_params_b.high / card.active_params_b.low)
    return replace(match, facts=replace(facts, doubt_factor=max(facts.doubt_factor, span)))


def is_billed_by_tokens(card: ModelCard) -> bool:
    """True for a model that writes its pictures as tokens."""
    known = shipped_diffusion_models().known(card.id) or shipped_diffusion_models().known(card.family)
    return known is not None and known.billing == "tokens"
