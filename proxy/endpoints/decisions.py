"""The decisions endpoint: questions are answered by a choice or a score; usage as in Responses. It must never see a provider."""

from dataclasses import replace

from proxy.endpoints.reading import no_event_text, no_text
from proxy.endpoints.responses import RESPONSES, UNNAMED

DECISIONS = replace(
    RESPONSES,
    path="/v1/decisions",
    operation="decisions",
    writes=False,
    reply_text=no_text,
    event_text=no_event_text,
    usage_of=None,
    terminal_events=(),
    unfinished=None,
    default_alias=UNNAMED,
    kept_as=None,
    goes_on=None,
    refers=(),
)
