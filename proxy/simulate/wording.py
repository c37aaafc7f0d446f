"""Words what the simulated provider answers: product sheets in French, English and German from the attributes in a prompt, else a general
answer.

It must never be random.

The same prompt, model and seed give the same text.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeVar

from proxy.simulate.exchange import JsonObject

LANGUAGES = ("en", "fr", "de")
_READ_CHARACTERS = 20_000
_LEAST_ATTRIBUTES = 2
_ATTRIBUTE = re.compile(
    r"""^[ \t]*[-*•]?[ \t]*"?([^\W\d_][\w '\u2019-]{1,40}?)"?[ \t]*:[ \t]*"?([^"\n{\[]{1,300}?)"?,?[ \t]*$""", re.MULTILINE
)
_WORD = re.compile(r"[^\W\d_]{2,}")
# how many attributes a model of each size dwells on
_DWELLS = {"sim-small": 4, "sim-medium": 6}
_DWELLS_DEFAULT = 12

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One product sheet in its parts."""

    headline: str
    description: str
    bullets: tuple[str, ...]

    def as_text(self) -> str:
        """The sheet as Markdown."""
        return "\n\n".join(("# " + self.headline, self.description, "\n".join(f"- {bullet}" for bullet in self.bullets)))


@cache
def _templates() -> JsonObject:
    loaded: JsonObject = json.loads(files("proxy.simulate").joinpath("data/sheets.json").read_text(encoding="utf-8"))
    return loaded


@cache
def _kinds() -> dict[str, str]:
    """Label in any language -> kind of attribute; `name` is the product's own name."""
    kinds: dict[str, str] = {}
    for language in LANGUAGES:
        part = _templates()[language]
        kinds.update({label: kind for kind, labels in part["labels"].items() for label in labels})
        kinds.update(dict.fromkeys(part["name_labels"], "name"))
    return kinds


def seed_of(*parts: object) -> str:
    """A seed for `pick`: the hash of what the answer depends on."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def pick(options: Sequence[_T], seed: str, salt: str) -> _T:
    """One of the options, always the same for the same seed and salt."""
    digest = hashlib.sha256(f"{seed}:{salt}".encode()).digest()
    return options[int.from_bytes(digest[:4], "big") % len(options)]


def language_of(prompt: str) -> str:
    """fr, en or de: the one a prompt names last, else the one whose small words it uses most."""
    words = [word.lower() for word in _WORD.findall(prompt[:_READ_CHARACTERS])]
    named = {name: language for language in LANGUAGES for name in _templates()[language]["language_names"]}
    for word in reversed(words):
        if word in named:
            return named[word]
    seen = set(words)
    return max(LANGUAGES, key=lambda language: len(seen.intersection(_templates()[language]["stop_words"])))


def attributes_of(prompt: str) -> list[tuple[str, str, str]]:
    """The known attributes in a prompt as (kind, label, value), in their order."""
    found = []
    for label, value in _ATTRIBUTE.findall(prompt[:_READ_CHARACTERS]):
        kind = _kinds().get(label.strip().lower())
        if kind is not None:
            found.append((kind, label.strip(), value.strip()))
    return found


def sheet_of(prompt: str, model: str, seed: str) -> Sheet | None:
    """A product sheet from the attributes in the prompt; None when it holds fewer than two."""
    found = attributes_of(prompt)
    facts = [item for item in found if item[0] != "name"]
    if len(facts) < _LEAST_ATTRIBUTES:
        return None
    language = language_of(prompt)
    words = _templates()[language]
    name = next((value for kind, _, value in found if kind == "name"), facts[0][2])
    told = facts[: _DWELLS.get(model, _DWELLS_DEFAULT)]
    short_name = name.split(",")[0]
    sentences = [pick(words["intros"], seed, "intro").replace("{name}", short_name)]
    sentences += [pick(words["sentences"][kind], seed, label).replace("{value}", value) for kind, label, value in told]
    sentences.append(pick(words["closings"], seed, "closing"))
    colon = " : " if language == "fr" else ": "
    return Sheet(
        headline=pick(words["headlines"], seed, "headline").replace("{name}", name),
        description=" ".join(sentences),
        bullets=tuple(f"{label[:1].upper()}{label[1:]}{colon}{value}" for _, label, value in facts),
    )


def answer_of(prompt: str, model: str, seed: str) -> str:
    """The text the provider answers to a prompt."""
    sheet = sheet_of(prompt, model, seed)
    if sheet is not None:
        return sheet.as_text()
    words = _templates()[language_of(prompt)]
    bodies = list(words["bodies"])
    first = pick(range(len(bodies)), seed, "first")
    chosen = [bodies[(first + step) % len(bodies)] for step in range(min(3 + (model not in _DWELLS), len(bodies)))]
    opener = pick(words["openers"], seed, "opener").replace("{topic}", _topic_of(prompt))
    return " ".join((opener, *chosen, pick(words["endings"], seed, "ending")))


def sentences(language: str, seed: str, words: int) -> list[str]:
    """That many words of running text in whole sentences; the last sentence may break off."""
    bodies = list(_templates()[language]["bodies"])
    at = pick(range(len(bodies)), seed, "first")
    written: list[str] = []
    while words > 0:
        said = bodies[at % len(bodies)].split()[:words]
        written.append(" ".join(said))
        words -= len(said)
        at += 1
    return written


def _topic_of(prompt: str) -> str:
    """The longest word of the prompt's end stands for its topic."""
    words = _WORD.findall(prompt[-400:])
    return f"“{max(words, key=len)[:40]}”" if words else "…"
