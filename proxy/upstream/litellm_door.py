"""The door to providers of another dialect than the caller's: LiteLLM translates, a call at a time. It must never keep state in there.

LiteLLM takes seconds to import and a hundred and more megabytes, so it is imported in a thread, and only where a deployment needs it.
"""

import asyncio
import gc
import json
import logging
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from config.deployment import Deployment
from proxy.errors import BadRequest, DoorClosed, NotFound, Unauthorized
from proxy.upstream.base import Headers, UpstreamReply, UpstreamRequest, WholeReply
from proxy.upstream.json_array import ArrayReply, wants_array
from proxy.upstream.litellm_calls import Arguments, Call, Library, call_for
from proxy.upstream.litellm_errors import JSON_TYPE, broken, kept_headers, reply_of
from proxy.upstream.litellm_fields import ALLOWED, fields_of
from proxy.upstream.litellm_form import form_fields
from proxy.upstream.litellm_stream import Hold, TranslatedStream, too_slow
from proxy.upstream.litellm_target import Target, target_of

_log = logging.getLogger("grammage.litellm")
SILENCE_S = 600.0
SETTINGS: dict[str, str] = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY": "False",
}
"""LiteLLM reads these once: nothing is fetched, no .env file is read, nothing is told to anyone."""

PER_CALL: Arguments = {"max_retries": 0, "num_retries": 0, "drop_params": True}
"""What every call says: we try again ourselves, and a parameter that the provider has not got is left out."""

ANTHROPIC_BETA = b"anthropic-beta"


class LiteLLMUpstream:
    """Translates through LiteLLM. It is imported once something `need`s it; calls wait for it."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[Library | None] | None = None
        self._hold = Hold()

    def need(self) -> None:
        """Begins to import LiteLLM, unless that was begun before."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(_loaded())

    @property
    def is_loading(self) -> bool:
        """True while it is being imported."""
        return self._loading is not None and not self._loading.done()

    @property
    def is_missing(self) -> bool:
        """True when it was wanted and cannot be imported."""
        task = self._loading
        return task is not None and task.done() and not task.cancelled() and task.result() is None

    async def close(self) -> None:
        """Returns when nothing is under way any more."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        await self._hold.settled()

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """The reply's head. Raises UpstreamUnreachable, UpstreamTimeout, DoorClosed, NotFound, Unauthorized or BadRequest."""
        call = call_for(request.path)
        if call is None or request.deployment is None:
            raise NotFound(f"{request.path} cannot be translated for this model's provider; use another model.", code="unknown_path")
        library = await self._library()
        target, arguments = await _arguments(request, request.deployment, call)
        provider = target.provider
        if call.only_for and provider not in call.only_for:
            raise NotFound(
                f"{request.path} cannot be translated for {request.deployment.provider}; use another model.", code="unknown_path"
            )
        silence_s = request.timeouts.silence_s if request.timeouts else SILENCE_S
        arguments["timeout"] = silence_s
        try:
            async with asyncio.timeout(silence_s):
                answer = await call.ask(library, arguments)
                if not hasattr(answer, "__anext__") and not hasattr(answer, "__aiter__"):
                    return _whole(answer, call, target)
                events: AsyncIterator[Any] = aiter(answer)
                first = await anext(events)
        except StopAsyncIteration as error:
            raise broken(error, provider) from error
        except TimeoutError as error:
            raise too_slow(provider) from error
        except Exception as error:  # noqa: BLE001  # a vendor's edge: whatever it raises is told in the caller's dialect
            return reply_of(error, provider=provider, dialect=call.dialect, secrets=target.secrets)
        stream = TranslatedStream(
            answer,
            events,
            first,
            write=call.event,
            last=call.last,
            model=target.model,
            provider=provider,
            headers=_told_headers(answer),
            silence_s=silence_s,
            hold=self._hold,
        )
        return ArrayReply(stream) if wants_array(request) else stream

    async def _library(self) -> Library:
        self.need()
        loading = self._loading
        library = None if loading is None else await asyncio.shield(loading)
        if library is None:
            raise DoorClosed(
                "this model's provider is reached through LiteLLM, which cannot be imported here; the log says why. Install it with "
                "`pip install litellm`, or configure a provider that speaks the caller's dialect."
            )
        return library


async def _loaded() -> Library | None:
    """LiteLLM, None when it cannot be imported."""
    try:
        return await asyncio.to_thread(_import)
    except Exception:  # noqa: BLE001  # a vendor's edge: whatever its import raises, the other providers are served
        _log.exception("LiteLLM cannot be imported; the models that need it are not served")
        return None


def _import() -> Library:
    """LiteLLM with what must be set once: quiet, no prompt in an error, no call home."""
    os.environ.update(SETTINGS)
    import litellm  # door of a heavy package: only here, in a thread, and only when a deployment needs it
    from litellm import google_genai
    from litellm.google_genai.adapters import GoogleGenAIAdapter
    from litellm.llms.anthropic.pass_through.adapters import handler as messages
    from litellm.responses.litellm_completion_transformation.streaming_iterator import LiteLLMCompletionStreamingIterator
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    litellm.telemetry = False
    litellm.user_url_validation = True  # a picture that a provider wants inlined is never fetched from our own network
    litellm.suppress_debug_info = True
    litellm.redact_messages_in_exceptions = True
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).disabled = True
    gc.freeze()
    return Library(
        calls=litellm,
        google=GoogleGenAIAdapter(),
        google_native=google_genai,
        messages=messages.LiteLLMMessagesToCompletionTransformationHandler,
        messages_writer=messages.ANTHROPIC_ADAPTER,
        responses=LiteLLMCompletionResponsesConfig,
        responses_writer=LiteLLMCompletionStreamingIterator,
    )


async def _arguments(request: UpstreamRequest, deployment: Deployment, call: Call) -> tuple[Target, Arguments]:
    """Whom to ask, and with which arguments. Raises BadRequest."""
    asked = await _asked(request)
    name = deployment.model or _name_in(request.path) or asked.get("model")
    if not isinstance(name, str) or "://" in name:
        raise BadRequest("the model's name cannot be that of a provider's model; check it.", code="missing_model", param="model")
    if call.needs is not None and not _holds(asked.get(call.needs[0]), call.needs[1]):
        raise BadRequest(f"{call.needs[0]} is missing or of a wrong type; the request needs it.", code="invalid_type", param=call.needs[0])
    if asked.get("previous_response_id"):
        message = "previous_response_id is known to the provider that made it; this model's provider keeps none: send the whole input."
        raise BadRequest(message, code="unsupported_parameter", param="previous_response_id")
    if asked.get("stream") and "stream" not in ALLOWED[call.fields] and call.fields != "generate_content":
        raise BadRequest(
            "this cannot be streamed from this model's provider; leave out `stream`.", code="unsupported_parameter", param="stream"
        )
    paid = deployment.has_credentials
    target = target_of(deployment, name, deployment.api_key if paid else request.api_key, call.fields)
    if not paid and "api_key" not in target.settings:
        raise Unauthorized(f"no API key was sent for {deployment.provider}, and none is configured; send one, or set api_key.")
    beta = next((value.decode("latin-1") for key, value in request.headers if key == ANTHROPIC_BETA), None)
    extra = {"extra_headers": {ANTHROPIC_BETA.decode(): beta}} if beta else {}
    return target, {**fields_of(call.fields, asked), **extra, **PER_CALL, **target.settings, "model": target.model}


def _holds(given: Any, kind: type | tuple[type, ...]) -> bool:
    """True for a value of the kind that is asked for; a list is one of objects or texts or numbers, not of nulls."""
    return isinstance(given, kind) and not (isinstance(given, list) and any(one is None for one in given))


async def _asked(request: UpstreamRequest) -> dict[str, Any]:
    """The request's fields. Raises BadRequest."""
    body = request.body
    if body is not None and not isinstance(body, bytes):
        body = b"".join([part async for part in body])
    content_type = next((value for key, value in request.headers if key == b"content-type"), b"")
    if fields := form_fields(content_type, body or b""):
        return fields
    try:
        asked = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the request body is not valid JSON: {error}; send a JSON object.", code="malformed_json") from error
    if not isinstance(asked, dict):
        raise BadRequest("the request body is JSON but not an object.", code="invalid_type")
    return asked


def _name_in(path: str) -> str | None:
    """The model's name in a path such as /v1beta/models/gemini-2.5-flash:generateContent."""
    _, found, rest = path.partition("/models/")
    return unquote(rest.rpartition(":")[0]) or None if found else None


def _whole(answer: Any, call: Call, target: Target) -> WholeReply:
    headers = _told_headers(answer)
    if isinstance(answer, str):
        return WholeReply(200, [(b"content-type", b"text/plain; charset=utf-8"), *headers], answer.encode())
    response = getattr(answer, "response", None)
    if call.fields == "audio" and response is not None:
        kind = str(response.headers.get("content-type", "audio/mpeg")).encode("latin-1", "replace")
        return WholeReply(200, [(b"content-type", kind), *kept_headers(dict(response.headers))], bytes(answer.content))
    return WholeReply(200, [JSON_TYPE, *headers], call.body(answer, target.model, 0))


def _told_headers(answer: Any) -> Headers:
    hidden = getattr(answer, "_hidden_params", None)
    told = hidden.get("additional_headers") if isinstance(hidden, dict) else None
    return kept_headers(told) if isinstance(told, dict) else []
