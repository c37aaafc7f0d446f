"""How many texts, pictures and calls a scenario asks for, and how long they are. It must never know what a call weighs."""

from dataclasses import dataclass

from config.factors import FactorSet
from config.ranges import Range
from config.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Counts of one year. texts and pictures are those kept; calls contain drafts and retries."""

    texts: float
    pictures: float
    text_calls: float
    picture_calls: float
    products: int
    campaigns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of one text call; length: both over their central values, 1 where tokens are stated; assumed: sides nobody stated."""

    input_tokens: int
    output_tokens: int
    length: Range
    assumed: tuple[str, ...]


def volume_of(scenario: Scenario) -> Volume:
    """The counts of a year; every number of the scenario multiplies."""
    versions = scenario.products * scenario.variants * scenario.audiences * scenario.campaigns_per_year
    per_kept = scenario.iterations * (1 + scenario.retries)
    texts = versions * scenario.languages * scenario.texts_per_product
    pictures = versions * scenario.images.per_product if scenario.images is not None else 0.0
    return Volume(
        texts=texts,
        pictures=pictures,
        text_calls=texts * per_kept,
        picture_calls=pictures * per_kept,
        products=scenario.products,
        campaigns=scenario.campaigns_per_year,
    )


def lengths_of(scenario: Scenario, factors: FactorSet) -> Lengths:
    """Tokens of a call: as stated, or from words, or usual ones; the range is that of the answer, which weighs most."""
    per_word = factors["scenario.tokens_per_word"].range
    usual = {"input": factors["scenario.input_tokens"].range, "output": factors["forecast.usual_output_tokens"].range}
    found: dict[str, Range] = {}
    assumed = []
    for side, span in usual.items():
        tokens, words = getattr(scenario, f"{side}_tokens"), getattr(scenario, f"{side}_words")
        if tokens is not None:
            found[side] = Range.exact(tokens)
        elif words is not None:
            found[side] = per_word.scaled(words)
        else:
            found[side] = span
            assumed.append(side)
    answer = found["output"]
    length = Range(1, answer.low / answer.value, answer.high / answer.value) if answer.value > 0 else Range.exact(1)
    return Lengths(input_tokens=round(found["input"].value), output_tokens=round(answer.value), length=length, assumed=tuple(assumed))
