"""Speaks POST /v1/embeddings: unit vectors that depend on the text alone, as floats or base64. It must never open a socket."""

import base64
import hashlib
import math
import struct
from collections.abc import Sequence

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused

_DEFAULT_DIMENSIONS = 1536
_MOST_DIMENSIONS = 4096
_MOST_INPUTS = 2048


def embeddings(ask: Ask) -> Draft:
    """The vectors of one embeddings request."""
    body = ask.body
    model = sampling.model_of(body)
    inputs = _inputs_of(body)
    dimensions = _dimensions_of(body)
    as_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector) if as_base64 else list(vector)}
        for index, vector in enumerate(unit_vector(key, dimensions) for key, _ in inputs)
    ]
    total = sum(count for _, count in inputs)
    document: JsonObject = {"object": "list", "data": data, "model": model}
    if ask.usage_place != "nowhere":
        document["usage"] = {"prompt_tokens": total, "total_tokens": total}
    return Draft(document=document, model=model)


def unit_vector(text: str, dimensions: int) -> Sequence[float]:
    """A vector of length 1 made of the text's hash, in the precision of float32."""
    blocks = -(-dimensions * 2 // 64)
    material = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=64, salt=block.to_bytes(8, "big")).digest()
        for block in range(blocks)
    )
    raw = [(value - 32767.5) for value in struct.unpack(f">{dimensions}H", material[: dimensions * 2])]
    length = math.sqrt(math.fsum(value * value for value in raw))
    return struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(value / length for value in raw)))


def _encoded(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _dimensions_of(body: JsonObject) -> int:
    wanted = body.get("dimensions") or _DEFAULT_DIMENSIONS
    if not isinstance(wanted, int) or not 1 <= wanted <= _MOST_DIMENSIONS:
        raise Refused(400, f"Simulated: 'dimensions' must be a whole number from 1 to {_MOST_DIMENSIONS}.", param="dimensions")
    return wanted


def _inputs_of(body: JsonObject) -> list[tuple[str, int]]:
    """Every input as a key for its vector and its tokens."""
    given = body.get("input")
    if isinstance(given, str) and given:
        return [(given, tokens.count(given))]
    if isinstance(given, list) and 0 < len(given) <= _MOST_INPUTS:
        if all(isinstance(item, str) and item for item in given):
            return [(item, tokens.count(item)) for item in given]
        if all(isinstance(item, int) for item in given):
            return [(repr(given), len(given))]
        if all(isinstance(item, list) and item for item in given):
            return [(repr(item), len(item)) for item in given]
    raise Refused(400, "Simulated: 'input' must be a text, token ids, or a list of up to 2048 of these, none empty.", param="input")
