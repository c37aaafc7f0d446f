"""What a body that does not fit its form is refused with. It must never repeat a value that was sent."""

from typing import NamedTuple

from pydantic import ValidationError

from proxy.errors import BadRequest

LONGEST_FIELD = 128


class Fault(NamedTuple):
    """The first thing wrong with a body: pydantic's kind, the field's dotted path (None: the whole body), and why."""

    kind: str
    field: str | None
    message: str


def first_fault(error: ValidationError) -> Fault:
    """The first fault, without the value that is at fault."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])[:LONGEST_FIELD]
    return Fault(first["type"], field or None, first["msg"])


def refusal(fault: Fault, advice: str) -> BadRequest:
    """The answer to such a body: malformed_json, or invalid_type with the field; it ends with `advice`."""
    if fault.kind == "json_invalid":
        return BadRequest(f"the request body is not valid JSON: {fault.message}; send a JSON object.", code="malformed_json")
    message = f"{fault.field or 'the request body'} is not right: {fault.message}; {advice}"
    return BadRequest(message, code="invalid_type", param=fault.field)
