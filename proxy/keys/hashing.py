"""Keyed hashes of what clients call their users, and the name of the secret behind them. It must never show a secret."""

import hashlib
import hmac

HASH_DIGITS = 32
ID_DIGITS = 8


def keyed_hash(secret: bytes, text: str) -> str:
    """A keyed hash of a client's identifier, hex, 32 digits."""
    return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def secret_id(secret: bytes) -> str:
    """Which secret hashes were made with; tells nothing of the secret itself."""
    return hashlib.sha256(b"secret-id:" + secret).hexdigest()[:ID_DIGITS]
