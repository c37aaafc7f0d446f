"""What a command reads beside its own options: which ledger, and what is said of campaigns. It must never open a ledger."""

import os
from pathlib import Path

from config.load import load_settings
from config.settings import Campaign
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


def declared_campaigns(config: Path | None) -> dict[str, Campaign]:
    """What owners say of their campaigns, by name. Raises ConfigError."""
    return load_settings(config, os.environ).campaigns
