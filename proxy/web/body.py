"""Request bodies of our own API, whole and bounded. It must never know what they mean."""

from starlette.requests import Request

from proxy.errors import TooLarge

LARGEST_BODY = 8 * 1024 * 1024


async def read_body(request: Request) -> bytes:
    """The whole body. Raises TooLarge."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLarge(f"the request body is larger than {LARGEST_BODY} bytes; send counts instead of messages, or fewer rows.")
    return body
