"""What a scenario weighs in a year, by kind of call and line. It must never hide a kind that could not be weighed."""

from dataclasses import dataclass

from config.catalogue import ModelCard, ModelMatch
from config.place import Place
from config.scenario import Scenario, ScenarioImages
from config.tables import Tables
from estimators import Estimate, Usage, prepare
from estimators.choose import NOT_COVERED
from estimators.physics_lines import average
from estimators.quantity import Quantity, ScopeKeys, exact, multiply, scale
from estimators.usage import Media
from proxy.scenario.sums import Keyed, repeated, summed
from proxy.scenario.volume import Lengths, Volume, lengths_of, volume_of

LINES = ("gco2e", "operational_gco2e", "embodied_gco2e", "facility_energy_wh", "water_ml")
TEXTS, PICTURES = "texts", "pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of call of a scenario: how many a year, and what one of them weighs. spread: doubt of the length, a factor around 1."""

    kind: str
    calls: float
    estimate: Estimate
    spread: Quantity
    match: ModelMatch
    place: Place

    def year(self, line: str) -> Keyed:
        """The line summed over a year, with the keys of what these calls share with others."""
        one: Quantity = getattr(self.estimate, line)
        keys = ScopeKeys(
            f"{self.estimate.method}@{self.estimate.method_version}", self.place.provider, self.match.card.id, self.estimate.zone
        )
        return Keyed(repeated(multiply(one, self.spread), self.calls), keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A scenario and its year. left_out: kinds of calls that no method weighs; they are in no figure."""

    name: str
    scenario: Scenario
    volume: Volume
    lengths: Lengths
    parts: tuple[Part, ...]
    left_out: tuple[str, ...]

    def year(self, line: str, kind: str | None = None) -> Quantity:
        """The line over a year, of all calls or of one kind."""
        return summed([part.year(line) for part in self.parts if kind in (None, part.kind)])

    def per_unit(self, line: str) -> dict[str, Quantity]:
        """The line per functional unit: text, picture, product and campaign, campaign, year; units of which there are none are missing."""
        volume, whole = self.volume, self.year(line)
        found = {}
        if any(part.kind == TEXTS for part in self.parts):
            found["text"] = scale(self.year(line, TEXTS), 1 / volume.texts)
        if any(part.kind == PICTURES for part in self.parts):
            found["picture"] = scale(self.year(line, PICTURES), 1 / volume.pictures)
        if self.parts:
            found["product"] = scale(whole, 1 / (volume.products * volume.campaigns))
            found["campaign"] = scale(whole, 1 / volume.campaigns)
            found["year"] = whole
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warning codes of all parts, each once."""
        return tuple(dict.fromkeys(code for part in self.parts for code in part.estimate.warnings))


def weigh(scenario: Scenario, tables: Tables, *, name: str | None = None) -> Weighed:
    """The scenario's year under the shipped factors."""
    volume, lengths = volume_of(scenario), lengths_of(scenario, tables.factors)
    parts = []
    if volume.text_calls:
        parts.append(_texts(scenario, volume, lengths, tables))
    if volume.picture_calls and scenario.images is not None:
        parts.append(_pictures(scenario, scenario.images, volume, tables))
    left_out = tuple(part.kind for part in parts if NOT_COVERED in part.estimate.warnings)
    return Weighed(
        name=name or scenario.name or scenario.model,
        scenario=scenario,
        volume=volume,
        lengths=lengths,
        parts=tuple(part for part in parts if part.kind not in left_out),
        left_out=left_out,
    )


def place_of(card: ModelCard, provider: str | None, region: str | None, zone: str | None, tables: Tables) -> Place:
    """Where a model is served: the stated provider, else the model's vendor, and whatever is stated of the place."""
    places = tables.places
    return places.resolve(provider or places.provider_of_vendor(card.vendor), region=region, zone=zone)


def _texts(scenario: Scenario, volume: Volume, lengths: Lengths, tables: Tables) -> Part:
    match = tables.catalogue.resolve(scenario.model)
    place = place_of(match.card, scenario.provider, scenario.region, scenario.zone, tables)
    usage = Usage(
        input_tokens=lengths.input_tokens,
        cached_input_tokens=min(scenario.cached_input_tokens, lengths.input_tokens),
        output_tokens=lengths.output_tokens,
    )
    return Part(
        kind=TEXTS,
        calls=volume.text_calls,
        estimate=prepare(match.card, place, tables.factors, operation="chat", match_warnings=match.warnings).estimate(usage),
        spread=average(lengths.length, "method"),
        match=match,
        place=place,
    )


def _pictures(scenario: Scenario, images: ScenarioImages, volume: Volume, tables: Tables) -> Part:
    match = tables.catalogue.resolve(images.model)
    place = place_of(match.card, images.provider or scenario.provider, scenario.region, scenario.zone, tables)
    media = Media(images=1, width=images.width, height=images.height, quality=images.quality)
    usage = Usage(input_tokens=images.prompt_tokens, media=media)
    return Part(
        kind=PICTURES,
        calls=volume.picture_calls,
        estimate=prepare(match.card, place, tables.factors, operation="images", match_warnings=match.warnings).estimate(usage),
        spread=exact(1.0),
        match=match,
        place=place,
    )
