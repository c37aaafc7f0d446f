"""Tells in the caller's dialect what LiteLLM raised: the provider's status, words and headers. It must never show a secret or a prompt."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from config.providers import Dialect
from proxy.errors import ANTHROPIC_TYPES, GEMINI_STATUSES, UpstreamTimeout, UpstreamUnreachable
from proxy.upstream.base import Headers, WholeReply

JSON_TYPE = (b"content-type", b"application/json")
LONGEST_MESSAGE = 2000
DEEPEST_CHAIN = 12
BAD_GATEWAY = 502
NOT_REACHED = frozenset(
    ("ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError", "ConnectionRefusedError", "gaierror")
)
TOO_SLOW = frozenset(("Timeout", "ReadTimeout", "APITimeoutError", "SocketTimeoutError", "ServerTimeoutError", "TimeoutError"))
BROKE = frozenset(
    (
        "ReadError", "RemoteProtocolError", "WriteError", "ServerDisconnectedError", "ClientOSError", "ClientPayloadError",
        "ConnectionResetError", "IncompleteRead",
    )
)  # fmt: skip
CODES: Mapping[str, str] = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
    "UnsupportedParamsError": "unsupported_parameter",
    "ImageFetchError": "invalid_image_url",
    "SSRFError": "invalid_image_url",
}
CODE_BY_STATUS: Mapping[int, str] = {
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_denied",
    404: "model_not_found",
    429: "rate_limit_exceeded",
}
TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
KEPT_HEADERS = re.compile(
    r"retry-after(-ms)?|x-should-retry|(x-|anthropic-)?ratelimit-.*|x-ratelimit-.*|anthropic-ratelimit-.*|request-id|x-amzn-[a-z-]*"
    r"|openai-processing-ms|x-trial-.*"
)
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-goog-request-id")
_WRITES_THE_REQUEST = re.compile(
    r"transform_request|transform_messages|messages_pt|convert_messages|map_openai_params|transform_responses_api_request"
    r"|translate_generate_content_to_completion|_prepare_completion_kwargs"
)
"""LiteLLM's functions that make a provider's request out of the caller's."""

_PREFIX = re.compile(r"^(?:litellm\.\w+: |\w*(?:Exception|Error) - )+")
_PROVIDER_HEADER = "llm_provider-"


def kept_headers(told: Mapping[str, Any]) -> Headers:
    """What a provider's headers say to a caller: limits, when to try again, and its request id as x-request-id."""
    known = {str(name).lower().removeprefix(_PROVIDER_HEADER): str(value) for name, value in told.items()}
    kept = {name: value for name, value in known.items() if KEPT_HEADERS.fullmatch(name)}
    request_id = next((known[name] for name in REQUEST_IDS if name in known), None)
    if request_id:
        kept["x-request-id"] = request_id
    return [(name.encode("latin-1", "replace"), _one_line(value)) for name, value in kept.items()]


def reply_of(error: BaseException, *, provider: str, dialect: Dialect, secrets: tuple[str, ...]) -> WholeReply:
    """The answer that `error` stands for. Raises UpstreamUnreachable or UpstreamTimeout when the provider gave none."""
    chain = list(_chain(error))
    told = next((one for one in chain if _has_answer(one)), None)
    if told is None and not _is_of_the_request(error):
        _raise_unanswered(chain, provider)
    status, headers, text = _answer_of(told) if told is not None else _own_words(error)
    found = _json_of(text)
    message = _without(_message_in(found) or _cleaned(text) or f"{provider} refused the call", secrets)[:LONGEST_MESSAGE]
    code = _code(error, found, status)
    return WholeReply(status, [JSON_TYPE, *headers], envelope(dialect, status, message, code, _param_in(found)))


def broken(error: BaseException, provider: str) -> UpstreamUnreachable | UpstreamTimeout:
    """What a stream that began and broke ends with."""
    names = {type(one).__name__ for one in _chain(error)}
    if names & TOO_SLOW and not names & BROKE:
        return UpstreamTimeout(f"{provider} stayed silent longer than the read timeout; try again or raise it.")
    return UpstreamUnreachable(f"{provider} cut the answer ({_root_name(error)}); the call can be tried again.", code="upstream_broke")


def envelope(dialect: Dialect, status: int, message: str, code: str | None, param: str | None = None) -> bytes:
    """An error body as the dialect's clients expect it."""
    server = status >= 500
    if dialect == "anthropic":
        kind = ANTHROPIC_TYPES.get(status, "api_error" if server else "invalid_request_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": message}}, ensure_ascii=False).encode()
    if dialect == "gemini":
        word = GEMINI_STATUSES.get(status, "INTERNAL" if server else "INVALID_ARGUMENT")
        return json.dumps({"error": {"code": status, "message": message, "status": word}}, ensure_ascii=False).encode()
    kind = TYPES.get(status, "server_error" if server else "invalid_request_error")
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}, ensure_ascii=False).encode()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of, outermost first."""
    one: BaseException | None = error
    for _ in range(DEEPEST_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__


def _has_answer(error: BaseException) -> bool:
    """True for the exception that still holds what the provider answered, before LiteLLM gave it a class of its own."""
    name = type(error)
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or not 400 <= status < 600 or name.__module__ == "litellm.exceptions":
        return False
    return _body_of(error) != "" and not any(type(one).__name__ in NOT_REACHED | BROKE | TOO_SLOW for one in _chain(error))


def _body_of(error: BaseException) -> str:
    """The provider's body as text. LiteLLM keeps a stream's as the text of a bytes literal."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        return json.dumps({"error": body})
    text = str(getattr(error, "message", None) or getattr(error, "text", None) or error)
    if text[:2] in ("b'", 'b"'):
        try:
            literal = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
        return literal.decode("utf-8", "replace") if isinstance(literal, bytes) else text
    return text


def _answer_of(error: BaseException) -> tuple[int, Headers, str]:
    status = int(getattr(error, "status_code", BAD_GATEWAY))
    return status, kept_headers(_headers_of(error)), _body_of(error)


def _headers_of(error: BaseException) -> dict[str, Any]:
    """The provider's headers: some of LiteLLM's classes drop them, and only what they came of has them."""
    for one in _chain(error):
        for found in (getattr(one, "headers", None), getattr(getattr(one, "response", None), "headers", None)):
            if found:
                return dict(found)
    return {}


def _own_words(error: BaseException) -> tuple[int, Headers, str]:
    """What LiteLLM itself found wrong before anything was sent, or could not read in the answer."""
    if any(type(one).__name__ == "SSRFError" for one in _chain(error)):
        return 400, [], "the picture's address leads nowhere that may be asked from here; send the picture itself, as a data: URL."
    for one in _chain(error):
        status = getattr(one, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500 and type(one).__module__ == "litellm.exceptions":
            return (
                status,
                kept_headers(dict(getattr(one, "litellm_response_headers", None) or {})),
                _cleaned(str(getattr(one, "message", one))),
            )
    if _is_of_the_request(error):
        return 400, [], f"the request could not be translated ({_root_name(error)}); check its messages, pictures, files and tools."
    return BAD_GATEWAY, [], f"the call could not be translated ({_root_name(error)}); check `params` and the model's name."


def _is_of_the_request(error: BaseException) -> bool:
    """True when LiteLLM failed on what the caller wrote, before anything was sent: no fault of the deployment's, nor to be tried again."""
    trace = list(_chain(error))[-1].__traceback__
    while trace is not None:
        if _WRITES_THE_REQUEST.search(trace.tb_frame.f_code.co_name):
            return True
        trace = trace.tb_next
    return False


def _raise_unanswered(chain: list[BaseException], provider: str) -> None:
    names = {type(one).__name__ for one in chain}
    if names & NOT_REACHED:
        raise UpstreamUnreachable(
            f"{provider} could not be reached ({_root_name(chain[0])}); check api_base, the network and HTTPS_PROXY."
        ) from chain[0]
    if names & BROKE:
        raise broken(chain[0], provider) from chain[0]
    if names & TOO_SLOW:
        raise UpstreamTimeout(f"{provider} stayed silent longer than the read timeout; try again or raise it.") from chain[0]


def _root_name(error: BaseException) -> str:
    """The class of what began it; its words may hold a prompt."""
    return type(list(_chain(error))[-1]).__name__


def _json_of(text: str) -> Any:
    """The first JSON value in a body; some providers stream their errors as an event, some in a list."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    return found[0] if isinstance(found, list) and found else found


def _message_in(found: Any) -> str | None:
    if not isinstance(found, dict):
        return None
    error = found.get("error", found.get("errors"))
    for one in (error, found):
        if isinstance(one, str) and one:
            return one
        if isinstance(one, dict):
            text = next((one[name] for name in ("message", "Message", "detail", "msg") if isinstance(one.get(name), str)), None)
            if text:
                return str(text)
    return None


def _param_in(found: Any) -> str | None:
    error = found.get("error") if isinstance(found, dict) else None
    param = error.get("param") if isinstance(error, dict) else None
    return param if isinstance(param, str) else None


def _code(error: BaseException, found: Any, status: int) -> str | None:
    """A code that clients know: LiteLLM's own finding, the provider's word where it is one, else the status's."""
    named = next((CODES[type(one).__name__] for one in _chain(error) if type(one).__name__ in CODES), None)
    inner = found.get("error") if isinstance(found, dict) else None
    theirs = inner.get("code") if isinstance(inner, dict) else None
    if named is None and isinstance(theirs, str) and re.fullmatch(r"[a-z][a-z_]{2,60}", theirs):
        return theirs
    return named or CODE_BY_STATUS.get(status)


def _cleaned(text: str) -> str:
    """A message less the names of LiteLLM's classes before it and the debugging notes after it."""
    return _PREFIX.sub("", text).split("\n", 1)[0].strip()


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _one_line(value: str) -> bytes:
    return " ".join(value.split())[:1024].encode("latin-1", "replace")
