"""LiteLLM callback: tells grammage of every call that LiteLLM made, in the background. It must never fail, slow or change a call.

One file on its own: it needs the standard library and LiteLLM. It sends counts, names and times as OpenTelemetry spans (OTLP in JSON);
prompts and answers it never reads. LiteLLM's proxy: put it beside config.yaml and write

    litellm_settings:
      callbacks: ["grammage_litellm.footprint"]

with GRAMMAGE_URL (http://grammage:8080) and GRAMMAGE_KEY (a key with role observer) in the environment. In a program:

    litellm.callbacks = [GrammageFootprint(url="http://grammage:8080", key="...")]
"""

import atexit
import gzip
import hashlib
import json
import logging
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from litellm.integrations.custom_logger import CustomLogger

log = logging.getLogger("grammage_litellm")

USUAL_TAGS = ("brand", "campaign", "tool", "asset", "stage", "audience", "market", "purpose")
OPERATIONS = {
    "completion": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "image_generation": "image_generation",
    "image_edit": "image_generation",
    "responses": "responses",
    "anthropic_messages": "messages",
    "generate_content": "generate_content",
    "generate_content_stream": "generate_content",
    "speech": "speech",
    "transcription": "transcription",
    "moderation": "moderation",
}
METADATA = ("requester_metadata", "spend_logs_metadata", "user_api_key_auth_metadata")
OUR_CALL = "llm_provider-x-grammage-call-id"
AGAIN = frozenset((408, 429, 500, 502, 503, 504))
TRIES = 5
QUIET_S = 60.0


class GrammageFootprint(CustomLogger):
    """The callback. `taken`: calls it was told of. `dropped`: calls not handed in, for too many waited or grammage did not take them.

    tags: names looked up in request tags (`name:value`) and metadata. most_waiting: calls in memory. every_s: longest wait of a call.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        path: str = "/v1/traces",
        tags: tuple[str, ...] = USUAL_TAGS,
        most_waiting: int = 10_000,
        batch: int = 200,
        every_s: float = 2.0,
        timeout_s: float = 5.0,
    ) -> None:
        super().__init__()
        base = url or os.environ.get("GRAMMAGE_URL", "http://127.0.0.1:8080")
        self._url = base.rstrip("/") + path
        self._key = key or os.environ.get("GRAMMAGE_KEY", "")
        self._tags = tags
        self._most_waiting = most_waiting
        self._batch = batch
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._starting = threading.Lock()
        self._pid = 0
        self._told_at = -QUIET_S
        self.taken = 0
        self.dropped = 0

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM's word for a call that ended well."""
        self._take(kwargs)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM's word for a call that failed."""
        self._take(kwargs)

    async def async_log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """The same, of an asynchronous call."""
        self._take(kwargs)

    async def async_log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """The same, of an asynchronous call."""
        self._take(kwargs)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until all calls so far are handed in or dropped; False: they were not in time."""
        if self._pid != os.getpid():
            return True
        waiting = self._queue
        with waiting.all_tasks_done:
            return waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, timeout_s)

    def _take(self, kwargs: dict[str, Any]) -> None:
        try:
            told = span_of(kwargs, self._tags)
            if told is not None:
                self._start()
                self._queue.put_nowait(told)
                self.taken += 1
        except queue.Full:
            self._drop(1, "too many wait already")
        except Exception as error:  # noqa: BLE001  # the edge: whatever is wrong with what LiteLLM tells, its call goes on
            self._drop(1, f"not understood ({type(error).__name__})")

    def _start(self) -> None:
        """The thread of this process, at its first call: a fork has none."""
        if self._pid == os.getpid():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._queue: queue.Queue[dict[str, Any]] = queue.Queue(self._most_waiting)
                threading.Thread(target=self._run, args=(self._queue,), name="grammage-litellm", daemon=True).start()
                atexit.register(self.flush, 2.0)
                self._pid = os.getpid()

    def _run(self, waiting: "queue.Queue[dict[str, Any]]") -> None:
        while True:
            spans = [waiting.get()]
            until = time.monotonic() + self._every_s
            while len(spans) < self._batch and (left := until - time.monotonic()) > 0:
                try:
                    spans.append(waiting.get(timeout=left))
                except queue.Empty:
                    break
            try:
                self._hand_in(spans)
            except Exception as error:  # noqa: BLE001  # the thread may not die: later calls have no other
                self._drop(len(spans), type(error).__name__)
            for _ in spans:
                waiting.task_done()

    def _hand_in(self, spans: list[dict[str, Any]]) -> None:
        body = gzip.compress(json.dumps(request_of(spans)).encode())
        headers = {"content-type": "application/json", "content-encoding": "gzip", "user-agent": "grammage-litellm"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        pause = threading.Event()
        why = ""
        for attempt in range(TRIES):
            if attempt:
                pause.wait(min(0.5 * 2**attempt, 10.0))
            request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")  # the owner's own URL
            try:
                with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                    self._hear(answer.read(1 << 20))
                return
            except urllib.error.HTTPError as error:
                why = f"grammage answered {error.code}"
                error.close()
                if error.code not in AGAIN:
                    break
            except OSError as error:
                why = f"grammage cannot be reached ({type(error).__name__})"
        self._drop(len(spans), why)

    def _hear(self, answer: bytes) -> None:
        partial = (json.loads(answer or b"{}") or {}).get("partialSuccess") or {}
        refused = int(partial.get("rejectedSpans") or 0)
        if refused:
            self._drop(refused, str(partial.get("errorMessage", ""))[:300])

    def _drop(self, calls: int, why: str) -> None:
        """Counts what is lost, and says so once a minute."""
        self.dropped += calls
        now = time.monotonic()
        if now - self._told_at >= QUIET_S:
            self._told_at = now
            log.warning("%d calls are lost to grammage so far: %s", self.dropped, why)


def span_of(kwargs: dict[str, Any], tags: tuple[str, ...]) -> dict[str, Any] | None:
    """The span of one call; None where nothing was generated by it, or LiteLLM tells nothing of it."""
    told = kwargs.get("standard_logging_object")
    if not isinstance(told, dict) or told.get("cache_hit") is True:
        return None
    failed = told.get("status") != "success"
    named = f"{told.get('litellm_call_id') or kwargs.get('litellm_call_id')}:{told.get('status')}:{told.get('id')}"
    digest = hashlib.sha256(named.encode()).hexdigest()
    span: dict[str, Any] = {
        "traceId": digest[:32],
        "spanId": digest[32:48],
        "name": str(told.get("call_type") or "call"),
        "kind": 3,
        "startTimeUnixNano": str(int(float(told["startTime"]) * 1e9)),
        "endTimeUnixNano": str(int(float(told["endTime"]) * 1e9)),
        "attributes": [
            {"key": name, "value": _value(value)}
            for name, value in {**_facts(told, kwargs, failed), **_tags(told, kwargs, tags)}.items()
            if value not in (None, "")
        ],
    }
    if failed:
        span["status"] = {"code": 2}
    return span


def request_of(spans: list[dict[str, Any]]) -> dict[str, Any]:
    """An export of the spans."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "litellm"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "grammage_litellm"}, "spans": spans}]}]}


def _facts(told: dict[str, Any], kwargs: dict[str, Any], failed: bool) -> dict[str, Any]:
    hidden = _object(told.get("hidden_params"))
    parameters = _object(kwargs.get("litellm_params"))
    word = str(told.get("call_type") or "").lower()
    plain = word if word in OPERATIONS else word.removeprefix("a")
    model = told.get("model") or kwargs.get("model")
    region = parameters.get("aws_region_name") or parameters.get("vertex_location") or parameters.get("region_name")
    facts = {
        "gen_ai.operation.name": OPERATIONS.get(plain, word),
        "gen_ai.provider.name": told.get("custom_llm_provider"),
        "gen_ai.request.model": told.get("model_group") or model,
        "gen_ai.response.model": model,
        "gen_ai.response.id": None if failed else told.get("id"),
        "gen_ai.request.stream": told.get("stream") is True,
        "gen_ai.request.choice.count": _object(told.get("model_parameters")).get("n"),
        "gen_ai.response.time_to_first_chunk": _first_s(told),
        "grammage.region": region if isinstance(region, str) else None,
        "grammage.call_id": _object(hidden.get("additional_headers")).get(OUR_CALL),
        **_address(told.get("api_base") or hidden.get("api_base")),
        **_usage(told),
    }
    if failed:
        fault = _object(told.get("error_information"))
        facts["error.type"] = str(fault.get("error_code") or fault.get("error_class") or "error")
    return facts


def _usage(told: dict[str, Any]) -> dict[str, Any]:
    """Tokens as LiteLLM counted them; none where it knows none."""
    read, written = told.get("prompt_tokens") or 0, told.get("completion_tokens") or 0
    usage = _object(_object(told.get("metadata")).get("usage_object"))
    read, written = read or usage.get("prompt_tokens") or 0, written or usage.get("completion_tokens") or 0
    if not read and not written:
        return {}
    inside, outside = _object(usage.get("prompt_tokens_details")), _object(usage.get("completion_tokens_details"))
    return {
        "gen_ai.usage.input_tokens": read,
        "gen_ai.usage.output_tokens": written,
        "gen_ai.usage.cache_read.input_tokens": inside.get("cached_tokens") or usage.get("cache_read_input_tokens"),
        "gen_ai.usage.cache_creation.input_tokens": usage.get("cache_creation_input_tokens"),
        "gen_ai.usage.reasoning.output_tokens": outside.get("reasoning_tokens"),
        "gen_ai.usage.image.input_tokens": inside.get("image_tokens"),
        "gen_ai.usage.audio.input_tokens": inside.get("audio_tokens"),
        "gen_ai.usage.audio.output_tokens": outside.get("audio_tokens"),
    }


def _address(base: Any) -> dict[str, Any]:
    """Where the call went."""
    if not isinstance(base, str) or not base:
        return {}
    try:
        parts = urlsplit(base if "://" in base else f"//{base}")
        return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else None)}
    except ValueError:
        return {}


def _first_s(told: dict[str, Any]) -> float | None:
    began, first = told.get("startTime"), told.get("completionStartTime")
    is_told = told.get("stream") is True and isinstance(began, int | float) and isinstance(first, int | float)
    return max(0.0, float(first) - float(began)) if is_told and first is not None and began is not None else None


def _tags(told: dict[str, Any], kwargs: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Declared names alone, from request tags and metadata; whatever else stands there stays there."""
    metadata = _object(told.get("metadata"))
    places = [_object(_object(kwargs.get("litellm_params")).get("metadata")), *(_object(metadata.get(name)) for name in METADATA)]
    listed = told.get("request_tags")
    texts = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    places.insert(0, {each.partition(":")[0]: each.partition(":")[2] for each in texts})
    found: dict[str, str] = {}
    for place in places:
        for name in names:
            value = place.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                found.setdefault(f"grammage.tag.{name}", str(value)[:256])
    return found


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _value(value: Any) -> dict[str, Any]:
    """A value as OTLP writes it in JSON."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


footprint = GrammageFootprint()
"""For LiteLLM's configuration, with what the environment says."""
