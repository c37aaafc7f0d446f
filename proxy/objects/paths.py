"""What the paths mean that no endpoint meters: which begin work, which show it, which only read or store. It must never read a body."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

UNMETERED: Final = "unmetered"
ANY = "*"

# fmt: off
NOT_GENERATIVE = frozenset((
    "models", "files", "uploads", "vector_stores", "conversations", "assistants", "containers", "skills", "vaults", "organization",
    "projects", "safety", "webhook_endpoints", "webhooks", "chatkit", "content_provenance_checks", "cachedContents", "corpora",
    "fileSearchStores", "operations",
))
"""First words after the version of what stores or lists, and generates nothing; a verb posted on one of Gemini's `models` may."""

_FREE_POSTS = (
    "responses/input_tokens", "responses/*/cancel", "chat/completions/*", "batches/*/cancel", "messages/count_tokens",
    "messages/batches/*/cancel", "fine_tuning/jobs/*/cancel", "fine_tuning/jobs/*/pause", "fine_tuning/jobs/*/resume",
    "fine_tuning/checkpoints/*/permissions", "fine_tuning/alpha/graders/validate", "threads", "threads/*", "threads/*/messages",
    "threads/*/messages/*", "threads/*/runs/*", "threads/*/runs/*/cancel", "threads/*/runs/*/submit_tool_outputs", "evals", "evals/*",
    "evals/*/runs/*", "audio/voices", "audio/voice_consents", "videos/characters",
)
"""Posts that store, change, count or end something, and begin nothing."""

_SHOWING: tuple[tuple[str, str], ...] = (
    ("GET", "responses/*"), ("POST", "responses/*/cancel"),
    ("GET", "batches"), ("GET", "batches/*"), ("POST", "batches/*/cancel"),
    ("GET", "messages/batches"), ("GET", "messages/batches/*"), ("POST", "messages/batches/*/cancel"),
    ("GET", "fine_tuning/jobs"), ("GET", "fine_tuning/jobs/*"), ("POST", "fine_tuning/jobs/*/cancel"),
    ("GET", "threads/*/runs"), ("GET", "threads/*/runs/*"), ("POST", "threads/*/runs/*/submit_tool_outputs"),
    ("POST", "threads/*/runs/*/cancel"),
    ("GET", "evals/*/runs"), ("GET", "evals/*/runs/*"), ("POST", "evals/*/runs/*"),
)
# fmt: on
"""Answers that show how far work has come."""

_FILES: tuple[tuple[str, int], ...] = (("files/*/content", 1), ("messages/batches/*/results", 2))
"""Answers whose lines may be those of a batch's output, and where in the path its id stands."""

READING = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """A path whose call begins work. refers: request fields that name what the provider keeps. names_model: it says itself what works."""

    operation: str
    refers: tuple[str, ...] = ()
    names_model: bool = False


_MAKINGS: tuple[tuple[str, Making], ...] = (
    ("batches", Making(operation="batches", refers=("input_file_id",))),
    ("messages/batches", Making(operation="batches")),
    ("fine_tuning/jobs", Making(operation="fine_tuning", refers=("training_file", "validation_file"), names_model=True)),
    ("fine_tuning/alpha/graders/run", Making(operation="graders")),
    ("evals/*/runs", Making(operation="evals")),
    ("threads/runs", Making(operation="runs", refers=("assistant_id",), names_model=True)),
    ("threads/*/runs", Making(operation="runs", refers=("assistant_id",), names_model=True)),
    ("videos/*/remix", Making(operation="videos")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What a method and a path mean. kind: the first word of what is only read or stored, `polling`, `unmetered`, or `making`.

    shows: the answer may show work that has ended. file_id: the answer is the content of this
    file, or the results of this batch.
    """

    kind: str
    making: Making | None = None
    shows: bool = False
    file_id: str | None = None


def passing(method: str, path: str) -> Passing:
    """What a call of a path under /v1 means."""
    words = tuple(word for word in path.removeprefix("/upload").split("/") if word)[1:]
    if method == "POST":
        making = next((made for pattern, made in _MAKINGS if _matches(pattern, words)), None)
        if making is not None:
            return Passing(kind="making", making=making, shows=True)
    shows = any(method == wanted and _matches(pattern, words) for wanted, pattern in _SHOWING)
    file_id = next((words[at] for pattern, at in _FILES if method == "GET" and _matches(pattern, words)), None)
    first = words[0] if words else ""
    if first in NOT_GENERATIVE and not (first == "models" and method == "POST"):
        return Passing(kind=first, file_id=file_id)
    free = method in READING or (method == "POST" and _is_any(_FREE_POSTS, words))
    return Passing(kind="polling" if free else UNMETERED, shows=shows, file_id=file_id)


def object_ids(path: str) -> tuple[str, ...]:
    """The words of a path that may be ids of objects, the innermost first."""
    words = [word for word in path.split("/") if word][2:]
    return tuple(word for word in reversed(words) if len(word) <= LONGEST_ID and any(c.isdigit() for c in word) and _has_prefix(word))


LONGEST_ID = 128


def _has_prefix(word: str) -> bool:
    """Ids begin with the kind of the object, set off by a hyphen or an underscore."""
    return "_" in word or "-" in word


def _is_any(patterns: Iterable[str], words: tuple[str, ...]) -> bool:
    return any(_matches(pattern, words) for pattern in patterns)


def _matches(pattern: str, words: tuple[str, ...]) -> bool:
    wanted = pattern.split("/")
    return len(wanted) == len(words) and all(want in (ANY, word) for want, word in zip(wanted, words, strict=True))
