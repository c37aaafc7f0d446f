"""curl, the client that decides nothing by itself. It must never be asked to retry."""

import json
import subprocess
from typing import Any

from tests.clients.drivers.checks import BASE, KEY, ORIGIN, TEXT, THROUGH, check, fault, last_seen, weighed

ASK: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": TEXT}]}


def curl(path: str, *options: str, body: Any = None, base: str = BASE) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body."""
    sent = () if body is None else ("-H", "content-type: application/json", "-d", json.dumps(body))
    command = ["curl", "-sS", "-i", "--max-time", "20", "-H", f"authorization: Bearer {KEY}", *sent, *options, base + path]
    done = subprocess.run(command, capture_output=True, check=True)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, rest


def ordered(name: str) -> tuple[str, str]:
    """The option that orders a fault."""
    ((header, value),) = fault(name).items()
    return "-H", f"{header}: {value}"


@check
def chat() -> Any:
    status, headers, body = curl("/chat/completions", body=ASK)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert "content-encoding" not in headers
    assert ("x-grammage-gco2e" in headers) == THROUGH
    weighed(json.loads(body)["usage"])


@check
def a_stream_as_it_came() -> Any:
    status, headers, body = curl("/chat/completions", "-N", body={**ASK, "stream": True})
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    events = body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    for event in events[:-2]:
        part = json.loads(event.removeprefix("data: "))
        assert part["choices"]
        assert "usage" not in part
    return len(events)


@check("401", "404", "429=4", "500")
def errors(name: str) -> Any:
    status, headers, body = curl("/chat/completions", *ordered(name), body=ASK)
    assert status == int(name[:3])
    assert headers["x-request-id"].startswith("req_")
    assert headers.get("retry-after") == ("4" if name == "429=4" else None)
    return json.loads(body)


@check("not json", "no body", "wrong method", "wrong path")
def bad_requests_get_the_envelope(kind: str) -> Any:
    if not THROUGH:
        return
    calls: dict[str, Any] = {
        "not json": lambda: curl("/chat/completions", "-H", "content-type: application/json", "-d", "{nope"),
        "no body": lambda: curl("/chat/completions", "-X", "POST"),
        "wrong method": lambda: curl("/chat/completions/x/y/z", "-X", "PUT", base=f"{ORIGIN}/v2"),
        "wrong path": lambda: curl("/nothing", base=ORIGIN),
    }
    status, _, body = calls[kind]()
    assert 400 <= status < 500
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@check
def a_form_goes_through_byte_for_byte() -> Any:
    status, _, body = curl("/audio/transcriptions", "-F", "file=@-;filename=a.wav", "-F", "model=whisper-1", "-F", "response_format=srt")
    assert status in (200, 400)
    return status, len(body), "multipart/form-data" in last_seen()["headers"]["content-type"]


@check
def expect_continue() -> Any:
    status, _, _ = curl("/chat/completions", "-H", "expect: 100-continue", body=ASK)
    assert status == 200


@check
def compressed_only_when_asked() -> Any:
    status, headers, body = curl("/chat/completions", *ordered("gzip"), body=ASK)
    assert status == 200
    if THROUGH:
        assert "content-encoding" not in headers
        assert json.loads(body)["choices"]
    status, _, body = curl("/chat/completions", *ordered("gzip"), "--compressed", body=ASK)
    assert json.loads(body)["choices"]


@check
def a_dry_run_spends_nothing() -> Any:
    if THROUGH:
        status, _, body = curl("/chat/completions", "-H", "x-grammage-dry-run: true", body=ASK)
        assert status == 200
        assert not json.loads(body).get("choices")
