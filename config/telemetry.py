"""What the proxy tells of its work as it goes: traces and log lines. It must never hold a default that sends anything anywhere."""

from typing import Literal

from pydantic import Field

from config.section import Section

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Tracing(Section):
    """Where spans of calls go, and of which."""

    endpoint: str = Field(description="Base URL of an OTLP/HTTP receiver, such as http://collector:4318; /v1/traces is added.")
    headers: dict[str, str] = Field(default={}, repr=False, description="Headers that the receiver asks for; values are usually ${VAR}.")
    sample_ratio: float = Field(
        default=1, ge=0, le=1, description="Share of calls told of, of those whose caller sends no traceparent; else the caller decides."
    )
    service_name: str = Field(default="grammage", min_length=1, max_length=128, description="What the spans call this proxy.")


class Log(Section):
    """How the proxy writes what it has to say."""

    format: LogFormat = Field(
        default="auto", description="json: a line an event, for machines; console: for people; auto: console on a terminal."
    )
    level: LogLevel = Field(
        default="info", description="From which level on the proxy's own messages are written; --log-level goes before it."
    )
