"""The secret behind keyed hashes: configured, or made once and kept beside the ledger. It must never be shown."""

import os
import secrets
from pathlib import Path

from config.settings import Settings
from proxy.errors import StartError

SECRET_BYTES = 32


def hashing_secret(settings: Settings, ledger_file: Path | None) -> bytes:
    """The configured secret, else the one kept in `<ledger>.secret` (made at the first start, mode 0600). Raises StartError."""
    if settings.user_hash_secret is not None:
        return settings.user_hash_secret.encode()
    path = _path(ledger_file)
    try:
        return _kept(path) or _made(path)
    except OSError as error:
        raise StartError(
            f"cannot keep the hashing secret in {path}: {error.strerror}; make the folder writable or set user_hash_secret."
        ) from error


def known_secret(settings: Settings, ledger_file: Path | None) -> bytes | None:
    """The same, for who only looks: None where none was made yet. Raises StartError."""
    if settings.user_hash_secret is not None:
        return settings.user_hash_secret.encode()
    path = _path(ledger_file)
    try:
        return _kept(path)
    except OSError as error:
        raise StartError(f"cannot read the hashing secret in {path}: {error.strerror}; run this as the user of the proxy") from error


def _path(ledger_file: Path | None) -> Path:
    return Path("grammage.secret") if ledger_file is None else ledger_file.with_name(f"{ledger_file.name}.secret")


def _kept(path: Path) -> bytes | None:
    return (path.read_bytes() or None) if path.exists() else None


def _made(path: Path) -> bytes:
    secret = secrets.token_bytes(SECRET_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes() or secret
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    return secret
