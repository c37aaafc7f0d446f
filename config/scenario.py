"""What somebody plans to make with generative models, as a file or flags state it. It must never hold a footprint."""

from collections.abc import Iterator

from pydantic import Field

from config.problem import Finding
from config.section import Section


class ScenarioImages(Section):
    """Pictures that belong to each product; made as often as the texts' variants, audiences and campaigns ask."""

    per_product: float = Field(default=1, ge=0, description="Pictures kept per product, variant and audience.")
    model: str = Field(default="gpt-image-1", min_length=1, description="Model that makes them.")
    provider: str | None = Field(default=None, description="Who serves it; null: the provider of the texts.")
    width: int = Field(default=1024, ge=64, le=16_384, description="Pixels across.")
    height: int = Field(default=1024, ge=64, le=16_384, description="Pixels down.")
    quality: str | None = Field(default=None, description="The provider's word, such as low, medium, high, hd.")
    prompt_tokens: int = Field(default=100, ge=0, description="Tokens of the prompt of one picture.")


class Scenario(Section):
    """One plan: how much is made, how often, how long, and with what. Counts multiply; what is left out counts once."""

    name: str | None = Field(default=None, max_length=80, description="What tables call it; null: the file's or the model's name.")
    model: str = Field(min_length=1, description="Model that writes the texts.")
    provider: str | None = Field(default=None, description="Who serves it; null: the model's vendor.")
    region: str | None = Field(default=None, description="Cloud region, such as swedencentral.")
    zone: str | None = Field(default=None, description="Grid zone, such as FR, when the region is unknown.")
    products: int = Field(default=1, ge=1, description="Products, or other subjects that get a text.")
    texts_per_product: float = Field(
        default=1, ge=0, description="Texts kept per product, language, variant and audience; 0: pictures only."
    )
    languages: int = Field(default=1, ge=1, description="Languages of each text.")
    variants: int = Field(default=1, ge=1, description="Versions of each text and picture.")
    audiences: int = Field(default=1, ge=1, description="Audiences that get their own versions.")
    campaigns_per_year: float = Field(default=1, gt=0, description="How often a year all of that is made.")
    iterations: float = Field(default=1, ge=1, description="Drafts made for each text or picture that is kept.")
    retries: float = Field(default=0, ge=0, description="Calls sent again, per call: 0.1 is one in ten.")
    input_tokens: int | None = Field(default=None, ge=0, description="Length of a prompt in tokens, cached ones included.")
    input_words: float | None = Field(default=None, ge=0, description="Length of a prompt in words, instead of tokens.")
    cached_input_tokens: int = Field(default=0, ge=0, description="Prompt tokens that the provider reads from its cache.")
    output_tokens: int | None = Field(default=None, ge=0, description="Length of an answer in tokens, reasoning included.")
    output_words: float | None = Field(default=None, ge=0, description="Length of an answer in words, instead of tokens.")
    images: ScenarioImages | None = Field(default=None, description="Pictures, if any are made.")


def scenario_faults(scenario: Scenario) -> Iterator[Finding]:
    """What each field allows alone but not together."""
    for side in ("input", "output"):
        if getattr(scenario, f"{side}_tokens") is not None and getattr(scenario, f"{side}_words") is not None:
            yield Finding(path=(f"{side}_words",), message=f"says the same thing as {side}_tokens; keep one of them", at_key=True)
    if scenario.input_tokens is not None and scenario.cached_input_tokens > scenario.input_tokens:
        yield Finding(path=("cached_input_tokens",), message="is a part of input_tokens and cannot be more")
    if not scenario.texts_per_product and (scenario.images is None or not scenario.images.per_product):
        message = "is 0 and no pictures are made either; give `texts_per_product` or `images:`"
        yield Finding(path=("texts_per_product",), message=message)
