"""What a method and a path mean: the metered endpoint, the path as its dialect has it, the model in it. It must never read a request.

Clients are told different base URLs: with `/v1` or without, as an Azure resource, as Anthropic's or Google's own address. All of these lead
to the same rows. Only known first words count without `/v1`, so that our own pages stay ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from config.providers import Dialect
from proxy.endpoints import COUNTERS, ENDPOINTS
from proxy.endpoints.base import Endpoint

MODEL = "{model}"
ADDRESS = "grammage.address"
"""Where a request's scope keeps its address, when its path is not simply an endpoint's."""

V1 = "/v1/"
OPENAI_WORDS = frozenset(
    (
        "agents", "assistants", "audio", "batches", "chat", "chatkit", "completions", "containers", "content_provenance_checks",
        "conversations", "decisions", "embeddings", "evals", "files", "fine_tuning", "images", "live", "models", "moderations",
        "organization", "projects", "realtime", "rerank", "responses", "safety", "skills", "threads", "uploads", "vaults", "vector_stores",
        "videos", "webhook_endpoints", "webhook_event_types",
    )
)  # fmt: skip
"""First words of OpenAI's paths, for clients whose base URL lacks `/v1`."""

ANTHROPIC_WORDS = frozenset(("messages", "complete"))
GEMINI_VERSIONS = frozenset(("v1beta", "v1alpha"))
GEMINI_UPLOAD = "upload"
AZURE = "openai"
AZURE_DEPLOYMENTS = "deployments"
LONGEST_PATH = 2048
DOTS = frozenset((".", ".."))
"""Words that climb: a model's name with one of them would lead to another model's address."""

_VERB = re.compile(r"(/(?:v1|v1beta|v1alpha)/(?:models|tunedModels)/)(.+)(:([A-Za-z]{1,64}))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a request leads. endpoint: the row that meters it, or counts its tokens; None: it is metered by none.

    path: as the dialect has it, less what the client's base URL put before it. model: the one that stands in the path, {model} in `path`.
    cut: words of the caller's path that fall away before; `added` comes in their place. azure: the address is one of Azure's.
    """

    path: str
    dialect: Dialect = "openai"
    endpoint: Endpoint | None = None
    model: str | None = None
    cut: int = 0
    added: str = ""
    azure: bool = False

    def raw(self, raw_path: bytes) -> bytes:
        """The caller's own bytes of the path, cut as the path was."""
        if not self.cut and not self.added:
            return raw_path
        words = [word for word in raw_path.split(b"?", 1)[0].split(b"/") if word]
        return self.added.encode() + b"".join(b"/" + word for word in words[self.cut :])


_POSTED: Mapping[str, Endpoint] = {row.path: row for row in (*ENDPOINTS, *COUNTERS) if MODEL not in row.path}
_BY_VERB: Mapping[str, Endpoint] = {row.path.rpartition(":")[2]: row for row in (*ENDPOINTS, *COUNTERS) if MODEL in row.path}


def address_of(method: str, path: str) -> Address | None:
    """The address of a request to a provider's API, None for every other page. Doubled or trailing slashes are no way round the scales."""
    words = tuple(word for word in path.split("/") if word)
    if not words or len(path) > LONGEST_PATH or not DOTS.isdisjoint(words):
        return None
    if words[0] == AZURE:
        return _azure(method, words)
    if words[0] == "anthropic":
        rest = words[1:] if words[1:2] == ("v1",) else ("v1", *words[1:])
        return _placed(method, rest, "anthropic", cut=len(words) - len(rest) + 1, added="/v1") if rest[1:] else None
    if words[0] in GEMINI_VERSIONS or (words[0] == GEMINI_UPLOAD and words[1:2] != () and words[1] in {*GEMINI_VERSIONS, "v1"}):
        return _gemini(method, path, words)
    if words[0] == "v1":
        return _v1(method, path, words)
    if words[0] in OPENAI_WORDS or words[0] in ANTHROPIC_WORDS:
        called = _gemini_call(method, ("v1beta", *words)) if words[0] == "models" else None
        return replace(called, added="/v1beta") if called else _placed(method, ("v1", *words), _dialect_of(words[0]), cut=0, added="/v1")
    return None


def _v1(method: str, path: str, words: tuple[str, ...]) -> Address | None:
    """A path that begins as OpenAI's do; Anthropic's and Google's newest clients begin the same way."""
    if len(words) == 1:
        return None
    if words[1] == "v1" and words[2:3]:  # a base URL with /v1, of a client that adds its own
        return _placed(method, words[1:], _dialect_of(words[2]), cut=2, added="/v1")
    return _gemini_call(method, words) or _placed(method, words, _dialect_of(words[1]), plain=path)


def _dialect_of(word: str) -> Dialect:
    return "anthropic" if word in ANTHROPIC_WORDS else "openai"


def _placed(method: str, words: tuple[str, ...], dialect: Dialect, *, cut: int = 0, added: str = "", plain: str | None = None) -> Address:
    """The address of the path that `words` make. plain: the path as it was, to be kept where nothing meters it."""
    path = "/" + "/".join(words)
    endpoint = _POSTED.get(path) if method == "POST" else None
    return Address(path=path if endpoint or plain is None else plain, dialect=dialect, endpoint=endpoint, cut=cut, added=added)


def _azure(method: str, words: tuple[str, ...]) -> Address | None:
    """Azure's addresses: /openai/deployments/{model}/..., /openai/v1/..., /openai/responses and the like."""
    rest, model, cut = words[1:], None, 1
    if rest[:1] == (AZURE_DEPLOYMENTS,) and len(rest) > 2:
        model, rest, cut = rest[1], rest[2:], 3
    elif rest[:1] == ("v1",):
        rest, cut = rest[1:], 2
    if not rest or rest[0] not in OPENAI_WORDS:
        return None
    found = _placed(method, ("v1", *rest), "openai")
    return Address(path=found.path, endpoint=found.endpoint, model=model, cut=cut, added="/v1", azure=True)


def _gemini(method: str, path: str, words: tuple[str, ...]) -> Address | None:
    """Google's addresses that no other dialect shares."""
    return _gemini_call(method, words) or (Address(path=path, dialect="gemini") if len(words) > 1 else None)


def _gemini_call(method: str, words: tuple[str, ...]) -> Address | None:
    """A verb on a model, told by its suffix: /v1/models/M:generateContent stands under a prefix of OpenAI's."""
    path = "/" + "/".join(words)
    found = _VERB.fullmatch(path)
    if found is None or method != "POST":
        return None
    endpoint = _BY_VERB.get(found[4])
    if endpoint is None:
        return Address(path=path, dialect="gemini")
    return Address(path=found[1] + MODEL + found[3], dialect="gemini", endpoint=endpoint, model=found[2])
