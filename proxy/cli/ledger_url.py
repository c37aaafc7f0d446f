"""What a command reads beside its own options: which ledger, and what campaigns are for. It must never open a ledger."""

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


def declared_purposes(config: Path | None) -> dict[str, str]:
    """What campaigns are for, by name, as the configuration declares it. Raises ConfigError."""
    campaigns = load_settings(config, os.environ).campaigns
    return {name: campaign.purpose for name, campaign in campaigns.items() if campaign.purpose}
