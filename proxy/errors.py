"""Every error of ours, drawn once and mapped once.

GrammageError
├── InternalError         500  internal_error
├── BadRequest            400  malformed_json, malformed_form, invalid_type, missing_model, missing_input, too_many_rows, invalid_tag,
│                          invalid_header
├── Unauthorized          401  invalid_api_key
├── Forbidden             403  not_allowed, admin_only, model_not_allowed
├── NotFound              404  unknown_model, unknown_call, unknown_path
├── MethodNotAllowed      405  method_not_allowed
├── TooLarge              413  body_too_large
├── UnsupportedMediaType  415  unsupported_content_encoding, unsupported_content_type
├── CarbonLimitExceeded   422  carbon_limit_exceeded
├── HeadersTooLarge       431  headers_too_large
├── UpstreamUnreachable   502  upstream_unreachable, upstream_broke
├── LedgerDown            503  ledger_unavailable
├── Ending                503  ending
├── UpstreamTimeout       504  upstream_timeout
└── LoopDetected          508  loop_detected

To a client an error is always the OpenAI envelope; a message says what happened, with which value, what to do.
"""

import json


class GrammageError(Exception):
    """Base: one status, a stable code, the parameter at fault."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    def envelope(self) -> bytes:
        """The JSON body in OpenAI's error shape."""
        error = {"message": self.message, "type": "grammage_error", "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()


class InternalError(GrammageError):
    status = 500
    code = "internal_error"


class BadRequest(GrammageError):
    status = 400
    code = "bad_request"


class Unauthorized(GrammageError):
    status = 401
    code = "invalid_api_key"


class Forbidden(GrammageError):
    status = 403
    code = "not_allowed"


class NotFound(GrammageError):
    status = 404
    code = "not_found"


class MethodNotAllowed(GrammageError):
    status = 405
    code = "method_not_allowed"


class TooLarge(GrammageError):
    status = 413
    code = "body_too_large"


class UnsupportedMediaType(GrammageError):
    status = 415
    code = "unsupported_content_encoding"


class CarbonLimitExceeded(GrammageError):
    status = 422
    code = "carbon_limit_exceeded"


class HeadersTooLarge(GrammageError):
    status = 431
    code = "headers_too_large"


class UpstreamUnreachable(GrammageError):
    status = 502
    code = "upstream_unreachable"


class LedgerDown(GrammageError):
    status = 503
    code = "ledger_unavailable"


class Ending(GrammageError):
    status = 503
    code = "ending"


class UpstreamTimeout(GrammageError):
    status = 504
    code = "upstream_timeout"


class LoopDetected(GrammageError):
    status = 508
    code = "loop_detected"


class StartError(Exception):
    """The proxy cannot start; the message says why and what to do. Command-line exit code 1."""
