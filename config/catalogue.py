"""Which models exist and how large they are. It must never fail on a name, nor present an inferred size as a published one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from config.model_card import Match, ModelCard, ModelMatch, SizeBasis
from config.model_class import ModelClasses
from config.model_name import NAME_LIMIT, key_of, named_size, plain_name, prefixes, trimmed_keys, with_maker

__all__ = ["Catalogue", "Match", "ModelCard", "ModelMatch", "SizeBasis"]

REMEMBERED_NAMES = 4096
"""Most resolved names kept in memory; then the memory starts anew."""


class Catalogue:
    """All model cards, and the way from any name to one of them."""

    __slots__ = ("_by_id", "_by_key", "_cards", "_classes", "_lines", "_remembered")

    def __init__(
        self, cards: Iterable[ModelCard], aliases: Mapping[str, str], classes: ModelClasses, *, lines: Mapping[str, str] | None = None
    ) -> None:
        """aliases: other name -> card id. lines: bare name of a line of models -> id of its present member.

        Raises ValueError when a name points nowhere or has two meanings.
        """
        self._cards = tuple(cards)
        self._classes = classes
        self._by_id = {card.id: card for card in self._cards}
        self._by_key: dict[str, ModelCard] = {}
        for name, card_id in (*((card.id, card.id) for card in self._cards), *aliases.items()):
            card = self._pointed_at(name, card_id)
            if self._by_key.setdefault(key_of(name), card) is not card:
                raise ValueError(f"name {name!r} of {card_id!r} already means {self._by_key[key_of(name)].id!r}")
        self._lines = {key_of(name): self._pointed_at(name, card_id) for name, card_id in (lines or {}).items()}
        self._remembered: dict[str, ModelMatch] = {}

    def _pointed_at(self, name: str, card_id: str) -> ModelCard:
        card = self._by_id.get(card_id)
        if card is None:
            raise ValueError(f"alias {name!r} points to the unknown model {card_id!r}")
        return card

    def cards(self) -> tuple[ModelCard, ...]:
        """All cards, in the order of the table."""
        return self._cards

    def resolve(self, name: str) -> ModelMatch:
        """The card to weigh `name` with. Never raises; a name that says nothing gives a class card, tier E, warning `model-unknown`."""
        known = self._remembered.get(name)
        if known is None:
            known = self._find(name)
            if len(name) <= NAME_LIMIT:
                if len(self._remembered) >= REMEMBERED_NAMES:
                    self._remembered.clear()
                self._remembered[name] = known
        return known

    def _find(self, name: str) -> ModelMatch:
        card = self._by_id.get(name)
        if card is not None:
            return ModelMatch(card=card, match="exact")
        plain = plain_name(name)
        key = key_of(plain)
        return (
            self._known(key) or self._known(key_of(with_maker(name))) or self._member(key) or self._relative(key) or self._class(plain, key)
        )

    def _known(self, key: str) -> ModelMatch | None:
        """A card under this very name, or under it without date and packaging words."""
        card = self._by_key.get(key)
        if card is not None:
            return ModelMatch(card=card, match="alias")
        for shorter, dated in trimmed_keys(key):
            card = self._by_key.get(shorter)
            if card is not None:
                return ModelMatch(card=_undisclosed(card), match="dated" if dated else "alias")
        return None

    def _member(self, key: str) -> ModelMatch | None:
        """The present member of a line of models that is named barely."""
        shorter = (trimmed for trimmed, _ in trimmed_keys(key))
        card = next((self._lines[name] for name in (key, *shorter) if name in self._lines), None)
        return None if card is None else self._like(card)

    def _like(self, card: ModelCard) -> ModelMatch:
        return ModelMatch(card=self._classes.widened(card), match="family", warnings=("model-family-assumed",))

    def _relative(self, key: str) -> ModelMatch | None:
        """The card of the longest known prefix, unless the rest of the name speaks of another size."""
        for prefix, rest in prefixes(key):
            card = self._by_key.get(prefix)
            if card is not None:
                if self._classes.is_hinted(rest) or named_size(rest):
                    return None
                return self._like(card)
        return None

    def _class(self, plain: str, key: str) -> ModelMatch:
        return ModelMatch(card=self._classes.card_for(plain, key), match="class", warnings=("model-unknown",))


def _undisclosed(card: ModelCard) -> ModelCard:
    """The card for a name that no row spells: the size holds, a disclosure is of its own version alone."""
    return card if card.disclosure is None else replace(card, disclosure=None)
