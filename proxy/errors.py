"""Every error of ours, drawn once and mapped once.

GrammageError
├── InternalError         500  internal_error
├── BadRequest            400  malformed_json, malformed_form, malformed_encoding, malformed_otlp, invalid_type, missing_model,
│                          missing_input, too_many_rows, too_many_values, invalid_tag, invalid_header, invalid_key_terms, key_is_live,
│                          invalid_report, unknown_parameter, unknown_format, unsupported_parameter
├── Unauthorized          401  invalid_api_key
├── BudgetExceeded        402  carbon_budget_exceeded
├── Forbidden             403  not_allowed, admin_only, observer_only, model_not_allowed, foreign_brand
├── NotFound              404  unknown_model, unknown_call, unknown_path, unknown_object, unknown_key, unknown_asset
├── MethodNotAllowed      405  method_not_allowed
├── CallsPruned           409  calls_pruned
├── AlternativeOffered    409  alternative_offered
├── IterationsExceeded    409  iterations_exceeded
├── TooLarge              413  body_too_large
├── UnsupportedMediaType  415  unsupported_content_encoding, unsupported_content_type
├── CarbonLimitExceeded   422  carbon_limit_exceeded
├── PolicyRefused         422  policy_refused
├── PurposeMissing        422  purpose_missing
├── RateLimited           429  rate_limit_exceeded
├── HeadersTooLarge       431  headers_too_large
├── FormatUnavailable     501  format_unavailable
├── UpstreamUnreachable   502  upstream_unreachable, upstream_broke, upload_gone
├── LedgerDown            503  ledger_unavailable
├── BudgetUnavailable     503  budget_unavailable
├── ReportsBusy           503  reports_busy
├── Ending                503  ending
├── DoorClosed            503  litellm_unavailable
├── UpstreamTimeout       504  upstream_timeout
└── LoopDetected          508  loop_detected

To a client an error is always the envelope of the dialect it speaks; a message says what happened, with which value, what to do.
"""

import json
from collections.abc import Mapping, Sequence

from config.providers import Dialect

ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Error types of the Messages API by status; other 4xx are invalid_request_error, other 5xx api_error."""

GEMINI_STATUSES: Mapping[int, str] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    508: "FAILED_PRECONDITION",
}
"""Status words of Google's APIs by status; other 4xx are INVALID_ARGUMENT, other 5xx INTERNAL."""


def anthropic_type(status: int) -> str:
    """The Messages API's word for an error of this status."""
    return ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def gemini_status(status: int) -> str:
    """The word of Google's APIs for an error of this status."""
    return GEMINI_STATUSES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")


class GrammageError(Exception):
    """Base: one status, a stable code, the parameter at fault."""

    status = 500
    code = "internal_error"
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Headers that go out with it."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    def envelope(self, dialect: Dialect = "openai", request_id: str | None = None) -> bytes:
        """The JSON body in the dialect's error shape; where that has no place for our code, it stands before the message."""
        if dialect == "anthropic":
            told: dict[str, object] = {"type": anthropic_type(self.status), "message": f"{self.code}: {self.message}"}
            return json.dumps({"type": "error", "error": told, "request_id": request_id}).encode()
        if dialect == "gemini":
            found = {"code": self.status, "message": f"{self.code}: {self.message}", "status": gemini_status(self.status)}
            return json.dumps({"error": found}).encode()
        error = {"message": self.message, "type": "grammage_error", "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()


FAULT = "the proxy failed on this call; its log holds the reason."


class InternalError(GrammageError):
    status = 500
    code = "internal_error"


class BadRequest(GrammageError):
    status = 400
    code = "bad_request"


class Unauthorized(GrammageError):
    status = 401
    code = "invalid_api_key"


class BudgetExceeded(GrammageError):
    status = 402
    code = "carbon_budget_exceeded"
    headers: Sequence[tuple[bytes, bytes]] = ((b"x-should-retry", b"false"),)


class Forbidden(GrammageError):
    status = 403
    code = "not_allowed"


class NotFound(GrammageError):
    status = 404
    code = "not_found"


class MethodNotAllowed(GrammageError):
    status = 405
    code = "method_not_allowed"


class CallsPruned(GrammageError):
    status = 409
    code = "calls_pruned"


class AlternativeOffered(GrammageError):
    status = 409
    code = "alternative_offered"

    def __init__(self, message: str, *, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(message)
        self.headers = headers


class IterationsExceeded(GrammageError):
    status = 409
    code = "iterations_exceeded"

    def __init__(self, message: str, *, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(message)
        self.headers = headers


class TooLarge(GrammageError):
    status = 413
    code = "body_too_large"


class UnsupportedMediaType(GrammageError):
    status = 415
    code = "unsupported_content_encoding"


class CarbonLimitExceeded(GrammageError):
    status = 422
    code = "carbon_limit_exceeded"


class PolicyRefused(GrammageError):
    status = 422
    code = "policy_refused"


class PurposeMissing(GrammageError):
    status = 422
    code = "purpose_missing"


class RateLimited(GrammageError):
    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(message)
        self.headers = headers


class HeadersTooLarge(GrammageError):
    status = 431
    code = "headers_too_large"


class FormatUnavailable(GrammageError):
    status = 501
    code = "format_unavailable"
    headers: Sequence[tuple[bytes, bytes]] = ((b"x-should-retry", b"false"),)


class UpstreamUnreachable(GrammageError):
    status = 502
    code = "upstream_unreachable"


class LedgerDown(GrammageError):
    status = 503
    code = "ledger_unavailable"


class BudgetUnavailable(GrammageError):
    status = 503
    code = "budget_unavailable"


class ReportsBusy(GrammageError):
    status = 503
    code = "reports_busy"
    headers: Sequence[tuple[bytes, bytes]] = ((b"retry-after", b"5"),)


class Ending(GrammageError):
    status = 503
    code = "ending"


class DoorClosed(GrammageError):
    status = 503
    code = "litellm_unavailable"


class UpstreamTimeout(GrammageError):
    status = 504
    code = "upstream_timeout"


class LoopDetected(GrammageError):
    status = 508
    code = "loop_detected"


class StartError(Exception):
    """The proxy cannot start; the message says why and what to do. Command-line exit code 1."""


class CallsGone(StartError):
    """What was asked for needs single calls that were deleted by retention."""
