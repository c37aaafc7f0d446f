"""The many spellings of a model's name, brought to one key. It must never know which models exist."""

import re
from collections.abc import Iterator
from typing import NamedTuple

NAME_LIMIT = 256
"""Characters of a name that are looked at; no known name is longer."""

_BEDROCK_PLACES = r"(?:us|eu|apac|jp|au|ca|in|us-gov|global)\."
_PLACE_PREFIX = re.compile(r"^(us|eu|apac|jp|au|us-gov|global)\.[a-z]")
_PLACE_SEGMENT = re.compile(r"^(?:bedrock|bedrock_converse|azure)/([a-z]{2}(?:-gov)?-[a-z]+-\d|us|eu|global|global-standard)/")
_BEDROCK_VENDORS = (
    r"(?:ai21|amazon|anthropic|cohere|google|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|stability|twelvelabs|writer|xai|zai)"
    r"\."
)
_HOST_MARKS = r"(?:fw|zai|cohere|nvidia|databricks|meta(?=-llama))-"
_VENDOR_PREFIX = re.compile(rf"^(?:{_BEDROCK_PLACES})?(?:{_BEDROCK_VENDORS})?(?:{_HOST_MARKS})?")
_THROUGHPUT = re.compile(r"-\d:0$")
_WORD_THEN_DIGIT = re.compile(r"(?<=[a-z]{3})(?=\d)")
_DIGIT_POINT_DIGIT = re.compile(r"(?<=\d)p(?=\d)")
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_DATE = re.compile(
    r"-(?:20\d\d-\d\d-\d\d|20\d{6}|2[3-9][01]\d[0-3]\d|\d\d-\d\d-20\d\d|\d\d-20\d\d|\d\d-\d\d|\d{4}|0\d\d|v\d+(?:-\d+(?:-\d+k)?)?)$"
)
_PACKAGING = re.compile(
    r"-(?:instruct|chat|it|hf|maas|latest|preview|exp|experimental|beta|default|free|nitro|online|thinking|reasoning|non-reasoning|turbo-instruct|instruct-turbo"
    r"|base|pt|think|paddle|deduped|quantized|bnb|w\d+a\d+|fp-?\d+|bf-?16|int-?\d+|\d+-?bit|awq|gptq|gguf|mlx|mxfp-?4|nvfp-?4|dynamic|q\d(?:-[k01])?(?:-[sml])?|128e|16e|vision)$"
)
_SIZE = re.compile(r"(?<![a-z0-9.])(?:(\d{1,2})x)?(\d{1,4}(?:\.\d{1,2})?)b(?![a-z0-9])")
_SMALL_SIZE = re.compile(r"(?<![a-z0-9.])(\d{2,3})m(?![a-z0-9])")
_ACTIVE = re.compile(r"(?<![a-z0-9])a(\d{1,3}(?:\.\d{1,2})?)b(?![a-z0-9])")


_TASK_SEGMENTS = frozenset(
    ("text-to-image", "image-to-image", "text-to-video", "image-to-video", "reference-to-video", "text-to-speech", "edit", "generate")
)
"""Last parts of a path that say what to do, not with which model."""


class NamedSize(NamedTuple):
    """Parameters in billions that a name states: in memory, and active where it says so; `experts` of the 8x7b form."""

    total_b: float
    active_b: float | None
    experts: int | None


def plain_name(name: str) -> str:
    """The model's own part of a name, lower case, without provider path, fine-tune suffix, Bedrock or Vertex decoration."""
    text = name[:NAME_LIMIT].strip().lower()
    if text.startswith("ft:"):
        text = text[3:].partition(":")[0]
    text = _segments(text)[-1].partition("@")[0]
    return _DIGIT_POINT_DIGIT.sub(".", _THROUGHPUT.sub("", _VENDOR_PREFIX.sub("", text, count=1)))


def with_maker(name: str) -> str:
    """The last two parts of a path as one name (`deepgram/nova-2`, `flux/dev`), empty where there is but one."""
    segments = _segments(name[:NAME_LIMIT].strip().lower())
    return "-".join(segments[-2:]) if len(segments) > 1 else ""


def _segments(path: str) -> list[str]:
    """The parts of a path, without those at its end that name a task."""
    parts = path.rstrip("/").split("/")
    while len(parts) > 1 and parts[-1] in _TASK_SEGMENTS:
        parts.pop()
    return parts


def place_in_name(name: str) -> str | None:
    """The region or group of regions that a Bedrock or Azure name states (`eu.anthropic.…`, `bedrock/eu-north-1/…`), else None."""
    text = name[:NAME_LIMIT].strip().lower()
    found = _PLACE_SEGMENT.match(text) or _PLACE_PREFIX.match(text.rpartition("/")[2])
    return found[1] if found else None


def key_of(plain: str) -> str:
    """One spelling for all: words and numbers joined by `-` (`llama3.1:8b`, `Llama-3.1-8B` and `llama-v3.1-8b` share one key)."""
    text = plain.lower().replace("llama-v", "llama-")
    return _SEPARATORS.sub("-", _WORD_THEN_DIGIT.sub("-", text)).strip("-")


def trimmed_keys(key: str) -> Iterator[tuple[str, bool]]:
    """Shorter keys without release date and packaging words, nearest first, with True once a date was dropped."""
    dated = False
    while True:
        shorter = _DATE.sub("", key)
        if shorter != key:
            dated = True
        else:
            shorter = _PACKAGING.sub("", key)
            if shorter == key:
                return
        key = shorter
        yield key, dated


def prefixes(key: str) -> Iterator[tuple[str, str]]:
    """Every (prefix, rest) of a key cut at a `-`, longest prefix first."""
    end = key.rfind("-")
    while end > 0:
        yield key[:end], key[end:]
        end = key.rfind("-", 0, end)


def named_size(plain: str) -> NamedSize | None:
    """The size that a name states (`-70b`, `30b-a3b`, `8x7b`, `110m`), None when it states none."""
    found = _SIZE.search(plain)
    if found is None:
        small = _SMALL_SIZE.search(plain)
        return NamedSize(int(small[1]) / 1000, None, None) if small and int(small[1]) else None
    size_b = float(found[2])
    if not size_b:
        return None
    experts = int(found[1]) if found[1] else None
    active = _ACTIVE.search(plain)
    active_b = float(active[1]) if active else None
    if active_b is not None and not 0 < active_b <= size_b:
        active_b = None
    return NamedSize(size_b * (experts or 1), active_b, experts if experts and experts > 1 else None)
