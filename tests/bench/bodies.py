"""What the mock answers and what the load asks: fixed bytes of realistic size. It must never depend on the run."""

import json

EVENTS = 104
UNARY_MODEL = "bench"
STREAM_MODEL = "bench-stream"
PACED_MODEL = "bench-paced"
PATH = "/v1/chat/completions"
_TEXT = "A merino jumper, knitted in one piece, warm at ten degrees and light enough for a rucksack. "


def unary_answer() -> bytes:
    """A chat completion of about 1 KB with usage."""
    message = {"role": "assistant", "content": (_TEXT * 8)[:620], "refusal": None}
    return json.dumps(
        {
            "id": "chatcmpl-0000000000000000000000000000",
            "object": "chat.completion",
            "created": 1790000000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 190,
                "completion_tokens": 130,
                "total_tokens": 320,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "system_fingerprint": "fp_0000000000",
        }
    ).encode()


def stream_events() -> list[bytes]:
    """104 events of about 235 B, the usage chunk and [DONE]."""
    head = {
        "id": "chatcmpl-0000000000000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "gpt-4o-mini-2024-07-18",
        "system_fingerprint": "fp_0000000000",
    }
    chunks = [
        {**head, "choices": [{"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None}], "usage": None}
        for number in range(EVENTS)
    ]
    usage = {"prompt_tokens": 190, "completion_tokens": EVENTS, "total_tokens": 190 + EVENTS}
    tail = {**head, "choices": [], "usage": usage}
    return [*(_event(chunk) for chunk in (*chunks, tail)), b"data: [DONE]\n\n"]


def ask(model: str, *, stream: bool = False, picture_bytes: int = 0) -> bytes:
    """A chat request of about 860 B, or with a picture of that many bytes inlined."""
    content: object = (_TEXT * 8)[:640]
    if picture_bytes:
        content = [
            {"type": "text", "text": content},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * picture_bytes}},
        ]
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "system", "content": "You write product sheets."}, {"role": "user", "content": content}],
        "temperature": 0.7,
        "max_tokens": 400,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def request(body: bytes, host: str) -> bytes:
    """The HTTP/1.1 request that carries `body`."""
    head = (
        f"POST {PATH} HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        "authorization: Bearer sk-bench",
        f"content-length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


def _event(chunk: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
