"""Packs a period so that a stranger can check it without this program. It must never pack a secret, a prompt or an answer."""
