"""Which ledger a command reads: that of `--ledger`, else the configuration's. It must never open it."""

import os
from pathlib import Path

from config.load import load_settings
from proxy.errors import StartError


def ledger_url(ledger: str | None, config: Path | None) -> str:
    """The ledger's URL. Raises ConfigError, and StartError when --ledger is no URL."""
    if ledger is None:
        return load_settings(config, os.environ).ledger.url
    if "://" not in ledger:
        raise StartError(
            f"--ledger {ledger!r} is not a URL; a file is written sqlite:///{ledger or 'grammage.db'}, a server postgresql://user@host/name"
        )
    return ledger
