"""Rules of the tracing section: where spans go, and with which headers. It must never change a setting."""

from collections.abc import Iterator

from config.listen import url_fault
from config.problem import Finding
from config.settings import Settings


def tracing_faults(settings: Settings) -> Iterator[Finding]:
    """What cannot work of where the spans go."""
    tracing = settings.tracing
    if tracing is None:
        return
    if fault := url_fault(tracing.endpoint):
        message = fault if "api_key" not in fault else "a base URL holds no user name, query or fragment; put a token in tracing.headers"
        yield Finding(path=("tracing", "endpoint"), message=message)
    for name, text in tracing.headers.items():
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            yield Finding(path=("tracing", "headers", name), message="is no name of an HTTP header", at_key=True)
        elif not text.isprintable():
            yield Finding(path=("tracing", "headers", name), message="holds a character that no HTTP header may have, such as a line break")
