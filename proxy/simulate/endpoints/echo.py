"""Speaks any method on /v1/simulate/echo: gives the body back unchanged, to prove that a way in between changes nothing.

It must never parse the body.
"""

import hashlib

from proxy.simulate.exchange import Ask, Draft


def echo(ask: Ask) -> Draft:
    """The request's own bytes and content type; method, length and hash in headers."""
    asked = ask.asked
    headers = (
        ("x-simulate-method", asked.method),
        ("x-simulate-length", str(len(asked.body))),
        ("x-simulate-sha256", hashlib.sha256(asked.body).hexdigest()),
    )
    return Draft(plain=asked.body, content_type=asked.headers.get("content-type", "application/octet-stream"), headers=headers)
