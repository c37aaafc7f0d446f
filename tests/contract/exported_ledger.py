"""A ledger of all that an export must cope with, made by the real proxy and importer. It must never write a figure itself."""

from pathlib import Path

from config.tables import load_tables
from tests.contract.proxy_harness import proxy
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.contract.test_import import sample, take_in
from tests.contract.test_reweigh import POLICY, all_operations, deployments, known_deployments

EVER = ("--since", "2025", "--until", "2040")
"""A period that holds whatever a test records."""

TEMPLATE = {"greetings": {"kind": "template", "text": "Hello {name}"}}


def fill(url: str, folder: Path, upstream: ScriptedUpstream) -> None:
    """Every endpoint by both boundary profiles; stated, metered, disclosed and own deployments; a template; imported usage and seats."""
    for profile in ("sci-consumer", "ghgp-cat1"):
        made_in = folder / profile
        made_in.mkdir()
        with proxy(made_in, upstream.url, ledger={"url": url}, weighing={"profile": profile}) as made:
            all_operations(made, upstream)
    policies = [{**POLICY, "when": {"alias": "regional"}}]
    with proxy(folder, None, ledger={"url": url}, models=deployments(upstream.url), alternatives=TEMPLATE, policies=policies) as made:
        known_deployments(made, upstream)
    tables = load_tables()
    for kind in ("litellm", "seats"):
        take_in(url, sample(kind), kind, tables)


def fill_simulated(url: str, folder: Path) -> None:
    """Calls that the built-in simulated provider answered."""
    folder.mkdir()
    with proxy(folder, None, ledger={"url": url}) as made:
        for _ in range(3):
            assert made.chat(b'{"model": "sim-small", "messages": [{"role": "user", "content": "A sheet"}]}').status == 200
