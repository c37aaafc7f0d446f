"""Finished things: how many, how many were accepted, and what one came to. It must never net a benefit against grams.

The grams of rejected and undecided assets are part of what an accepted one came to: they were made on the way.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from config.factor import Factor
from proxy.ledger.deliveries import Made, Word
from proxy.ledger.details import Detail
from proxy.ledger.queries import UNASSIGNED
from proxy.reports.document import Deliverable, Unit
from proxy.reports.line import Spread
from proxy.reports.sums import keyed, spread_of, times

ACCEPTED, REJECTED = "accepted", "rejected"
WORDS_FACTOR: Final = "scenario.tokens_per_word"
PER: Final = 1000
TEXT: Final = "text"
IMAGE: Final = "image"


class LastWords:
    """The last word on each asset, by its name and by brand and campaign where the word names them."""

    def __init__(self, words: Iterable[Word]) -> None:
        self._said: dict[str, list[Word]] = {}
        for word in words:
            self._said.setdefault(word.asset, []).append(word)

    def of(self, brand: str, campaign: str, asset: str) -> Word | None:
        """The last word that is about this asset, None when nobody said one."""
        said = reversed(self._said.get(asset, ()))
        return next((word for word in said if word.brand in (None, brand) and word.campaign in (None, campaign)), None)


def told(kind: str, made: Made, cells: Iterable[Detail], words: LastWords) -> Deliverable:
    """The line of a kind. cells: those of its assets' calls."""
    said = [word for each in made.judged if (word := words.of(*each.asset)) is not None]
    verdicts = Counter(word.verdict for word in said)
    minutes = [word.minutes_saved for word in said if word.minutes_saved is not None]
    accepted = verdicts[ACCEPTED]
    gco2e = spread_of(keyed((cell.opinions for cell in cells if cell.is_for_asset), "gco2e"))
    return Deliverable(
        kind=kind,
        assets=made.assets,
        accepted=accepted,
        rejected=verdicts[REJECTED],
        undecided=made.assets - accepted - verdicts[REJECTED],
        calls=made.calls,
        gco2e=gco2e,
        calls_per_accepted=made.calls / accepted if accepted else None,
        gco2e_per_accepted=times(gco2e, 1 / accepted) if accepted and gco2e is not None else None,
        minutes_saved=sum(minutes) if minutes else None,
    )


def deliverables(made: Mapping[str, Made], cells: Iterable[Detail], words: LastWords, tag: int) -> tuple[Deliverable, ...]:
    """A line for each kind, heaviest first, those without a kind last. tag: where the kind stands among the tags of cells."""
    own: dict[str, list[Detail]] = {}
    for cell in cells:
        own.setdefault(cell.tags[tag], []).append(cell)
    lines = [told(kind, found, own.get(kind, ()), words) for kind, found in made.items()]
    return tuple(sorted(lines, key=lambda line: (line.kind == UNASSIGNED, -line.gco2e.mean if line.gco2e else 0.0, line.kind)))


def units(cells: Iterable[Detail], factors: Mapping[str, Factor]) -> tuple[Unit, ...]:
    """Grams per 1,000 words and per picture, of the calls that made them and nothing else."""
    made: dict[str, list[Detail]] = {TEXT: [], IMAGE: []}
    for cell in cells:
        usage = cell.usage
        if usage["images"] > 0:
            made[IMAGE].append(cell)
        elif usage["output_tokens"] > 0 and not usage["seconds"] and not usage["audio_output_tokens"]:
            made[TEXT].append(cell)
    found = []
    for name, own in made.items():
        spread = spread_of(keyed((cell.opinions for cell in own), "gco2e"))
        quantity = sum(cell.usage["images" if name == IMAGE else "output_tokens"] for cell in own)
        if spread is not None and quantity > 0:
            found.append(_unit(name, sum(cell.opinions.attempts for cell in own), spread, quantity, factors))
    return tuple(found)


def _unit(name: str, calls: int, spread: Spread, quantity: float, factors: Mapping[str, Factor]) -> Unit:
    if name == IMAGE:
        return Unit(name=IMAGE, quantity=quantity, calls=calls, gco2e_per_unit=times(spread, 1 / quantity))
    factor = factors.get(WORDS_FACTOR)
    made = quantity / PER / (factor.value if factor is not None else 1.0)
    return Unit(
        name="1000_output_tokens" if factor is None else "1000_words",
        quantity=made,
        calls=calls,
        gco2e_per_unit=times(spread, 1 / made),
        assumption=None if factor is None else WORDS_FACTOR,
    )
