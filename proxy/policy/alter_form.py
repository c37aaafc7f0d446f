"""Writes a policy's caps into a multipart form. It must never touch a file of it, nor raise what the caller asks for."""

import msgspec

from config.policies import Apply
from proxy.endpoints.base import Ask
from proxy.endpoints.form import MULTIPART, with_field
from proxy.endpoints.parse import parse
from proxy.policy.alter import altered
from proxy.policy.candidates import Candidate

CAPPED: frozenset[str] = frozenset({"n", "size", "quality"})


def altered_form(ask: Ask, apply: Apply, candidate: Candidate, model: str) -> tuple[Ask, str]:
    """The request under the caps for pictures, and what was altered; the same one where it keeps within them.

    model: its name at the provider. A form that is too large to be held, or has a field twice, is left alone.
    """
    form = ask.form
    if form is None or not form.parts or not any(part.is_file for part in form.parts):
        return ask, ""
    capped, done = altered(ask.asked, apply, ask.endpoint.operation, candidate, model)
    names = [name for name in done.split(",") if name in CAPPED]
    if any(sum(part.name == name for part in form.parts) > 1 for name in names):
        return ask, ""
    fields = msgspec.json.decode(capped)
    kind = MULTIPART + b'; boundary="' + form.boundary + b'"'
    for name in names:
        body = with_field(ask.form or form, ask.body, name, str(fields[name]))
        ask = parse(ask.endpoint, body, kind)
    return ask, ",".join(names)
