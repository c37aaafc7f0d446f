"""What one exchange with an endpoint is made of, for tests over the whole table. It must never use our own reader."""

import json
from dataclasses import dataclass, field
from typing import Any

from config.providers import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, the answer to it, and what the ledger must hold of it by column.

    text: of another kind than JSON, the answer's content type. events: the same answer as a stream, for `stream_ask`; streamed: what the
    ledger holds then, where it differs. tagged: the answer carries usage, where a footprint can stand. files: what is uploaded, by field,
    after the fields; the request is a form then. target: where it is sent, if not simply to `path`. dialect: whose API it is.
    """

    path: str
    operation: str
    ask: dict[str, Any]
    answer: bytes
    recorded: dict[str, Any]
    kind: str = "application/json"
    tagged: bool = True
    stream_ask: dict[str, Any] = field(default_factory=dict)
    events: tuple[bytes, ...] = ()
    streamed: dict[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, bytes], ...] = ()
    target: str = ""
    dialect: Dialect = "openai"

    @property
    def sent_to(self) -> str:
        """Path and query of the request."""
        return self.target or self.path

    @property
    def usage_key(self) -> str:
        """What the answer's usage is called."""
        return "usageMetadata" if self.dialect == "gemini" else "usage"

    def sent(self, **more: Any) -> bytes:
        """The request's body, with more in it."""
        asked = {**self.ask, **more}
        return form(asked, self.files) if self.files else json.dumps(asked).encode()

    @property
    def headers(self) -> dict[str, str]:
        """What says how to read it."""
        return {"content-type": f'multipart/form-data; boundary="{BOUNDARY}"' if self.files else "application/json"}


BOUNDARY = "frontier-7f3a"


def form(fields: dict[str, Any], files: tuple[tuple[str, bytes], ...] = (), *, files_first: bool = False) -> bytes:
    """A form as a client writes it; truth values as in JSON."""
    texts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{json.dumps(value) if isinstance(value, bool) else value}'.encode()
        for name, value in fields.items()
    ]
    uploads = [
        f'Content-Disposition: form-data; name="{name}"; filename="\u00e9t\u00e9.bin"\r\nContent-Type: image/png\r\n\r\n'.encode() + content
        for name, content in files
    ]
    parts = [*uploads, *texts] if files_first else [*texts, *uploads]
    return b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY.encode(), part) for part in parts) + b"--%b--\r\n" % BOUNDARY.encode()


def event(document: dict[str, Any], *, named: bool = True) -> bytes:
    """One server-sent event, with its name on a line of its own or not."""
    name = f"event: {document['type']}\n" if named else ""
    return f"{name}data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


def compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
