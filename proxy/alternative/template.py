"""Fills a text with the fields that a call brings. It must never run anything, nor fill a field that the call does not bring."""

from dataclasses import dataclass

from config.template_text import TemplateText
from proxy.alternative.fits import misshapen, unfit
from proxy.alternative.made import Cannot, Text
from proxy.alternative.wanted import Wanted

MISSING = "fields_missing"


@dataclass(frozen=True, slots=True)
class TemplateWay:
    """A text with places to fill."""

    template: TemplateText
    slow: bool = False

    def lacks(self, wanted: Wanted) -> Cannot | None:
        """Fields that the call does not bring, among others."""
        found = self.make(wanted)
        return found if isinstance(found, Cannot) else None

    def make(self, wanted: Wanted) -> Text | Cannot:
        """The text, all its places filled."""
        cannot = unfit("template", wanted)
        if cannot is not None:
            return cannot
        fields = wanted.fields()
        missing = tuple(name for name in self.template.fields if name not in fields)
        if missing:
            return Cannot(MISSING, missing)
        made = Text(self.template.filled(fields))
        return misshapen(wanted, made) or made
