"""What a deployment costs its owner, as the contract says. It must never be looked up: prices change, and only the owner knows theirs."""

from pydantic import Field

from config.section import Section


class Price(Section):
    """Prices in one currency for all deployments. What is not stated is not known; no deployment without prices is called cheap."""

    input_per_million: float | None = Field(default=None, ge=0, description="Per million input tokens.")
    cached_input_per_million: float | None = Field(
        default=None, ge=0, description="Per million cached input tokens; null: as the other input."
    )
    output_per_million: float | None = Field(default=None, ge=0, description="Per million output tokens, reasoning among them.")
    per_image: float | None = Field(default=None, ge=0, description="Per generated picture.")
    per_second: float | None = Field(default=None, ge=0, description="Per second of generated or heard sound, or of generated video.")
    per_call: float | None = Field(default=None, ge=0, description="Per call, beside all the rest.")
