"""`grammage doctor`: looks for what stands in the way and says what to do. It must never change anything, nor call a provider."""

import os
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Annotated

import typer

from config.check import start_refusals
from config.load import ConfigError, config_path, load_settings
from config.settings import Settings
from proxy.cli.doctor_services import services, spool_room
from proxy.cli.finding import UNREACHABLE, Finding
from proxy.cli.output import Format, show_rows
from proxy.cli.probe import ask, port_fault, write_fault
from proxy.errors import StartError
from proxy.policy.expression import expression_faults

OURS = ("config", "estimators", "proxy")
OLDEST = (3, 11)
COLUMNS = ("state", "check", "detail", "remedy")


def doctor(
    file: Annotated[Path | None, typer.Option("--config", "-c", help="Configuration; default: GRAMMAGE_CONFIG, else the defaults.")] = None,
    live: Annotated[
        str | None, typer.Option("--live", metavar="URL", help="Also ask a running proxy, such as http://127.0.0.1:8080.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Find out what stands in the way: Python, packages, configuration, ledger, database, Redis, tracing, clock, port, tables, a proxy."""
    findings = [python_version(sys.version_info[:3]), packages(), configuration(file)]
    settings = _settings(file)
    if settings is not None:
        findings += [*ledger(settings), *services(settings), *([] if live else [port(settings)])]
    findings += [tables(), tokenizer(), *([running(live)] if live else [])]
    rows = [
        {"state": "problem" if each.remedy else "ok", "check": each.check, "detail": each.detail, "remedy": each.remedy}
        for each in findings
    ]
    show_rows(rows, COLUMNS if any(each.remedy for each in findings) else COLUMNS[:3], form)
    codes = [each.code for each in findings if each.remedy]
    if codes:
        raise typer.Exit(max(codes))


def python_version(version: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    text = ".".join(str(part) for part in version)
    if version[:2] >= OLDEST:
        return Finding("python", f"{text} at {sys.executable}")
    return Finding("python", f"{text} is too old", "install Python 3.11 or newer, and grammage with it")


def packages() -> Finding:
    """Whether config, estimators and proxy are ours: one place, our distribution, and nobody else's packages of these names."""
    homes = {name: _home(name) for name in OURS}
    if len(set(homes.values())) > 1:
        places = ", ".join(f"{name} from {home}" for name, home in homes.items())
        return Finding(
            "packages",
            places,
            "another package of that name stands first on the path: start `grammage` outside that folder, unset PYTHONPATH",
        )
    try:
        ours = distribution("grammage").metadata["Name"]
    except PackageNotFoundError:
        return Finding("packages", f"run from {homes['proxy']}, not installed", "install it: pipx install grammage, or make setup")
    owners = packages_distributions()
    foreign = sorted({owner for name in OURS for owner in owners.get(name, ()) if owner.lower() != ours.lower()})
    if foreign:
        names = ", ".join(foreign)
        return Finding(
            "packages",
            f"{names} also installs packages of our names",
            "install grammage in an environment of its own: pipx install grammage",
        )
    return Finding("packages", f"grammage {distribution('grammage').version} at {homes['proxy']}")


def _home(name: str) -> str:
    module = sys.modules.get(name)
    if module is None:
        module = __import__(name)
    origin = getattr(module, "__file__", None)
    return str(Path(origin).resolve().parent.parent) if origin else "a folder without __init__.py"


def configuration(file: Path | None) -> Finding:
    """Whether the configuration loads, and a proxy may start with it."""
    path = config_path(file, os.environ)
    name = str(path) if path else "built-in defaults"
    try:
        refusals = start_refusals(load_settings(path, os.environ, [expression_faults]))
    except ConfigError as error:
        return Finding("configuration", str(error), "correct these lines; `grammage check-config` shows them again")
    if refusals:
        return Finding("configuration", f"{name} is valid, but a proxy would not start", " ".join(refusals))
    return Finding("configuration", name)


def _settings(file: Path | None) -> Settings | None:
    try:
        return load_settings(file, os.environ)
    except ConfigError:  # `configuration` reports it; what depends on the settings is left out
        return None


def ledger(settings: Settings) -> list[Finding]:
    """Whether the ledger's file can be written, and the spool has room; a server is looked at with the other services."""
    from proxy.ledger.store import sqlite_path  # brings the database packages, which only this check needs

    try:
        path = sqlite_path(settings.ledger.url)
    except StartError as error:
        return [Finding("ledger", str(error), "correct ledger.url in the configuration")]
    if path is None:
        return [spool_room(settings, None)]
    fault = write_fault(path)
    if fault:
        return [Finding("ledger", f"{path.resolve()}: {fault}", "choose another ledger.url, or give yourself write access to that folder")]
    return [Finding("ledger", str(path.resolve())), spool_room(settings, path)]


def port(settings: Settings) -> Finding:
    """Whether the address to listen on is free."""
    fault = port_fault(settings.server.listen)
    if fault:
        return Finding(
            "port",
            f"{settings.server.listen}: {fault}",
            "stop what listens there (a proxy of yours? --live asks it), or change server.listen",
        )
    return Finding("port", f"{settings.server.listen} is free")


def tables() -> Finding:
    """Whether factors, models and places load."""
    from config.tables import load_tables  # half of the doctor's time; kept beside its use

    try:
        found = load_tables()
    except (ValueError, OSError) as error:
        return Finding("tables", str(error), "the installation is damaged: install grammage again")
    counts = f"{len(found.factors)} factors, {len(found.catalogue.cards())} models, {len(found.places.regions())} regions"
    return Finding("tables", f"{counts}; factor set {found.factors.version}, sha256 {found.factors.fingerprint[:12]}")


def tokenizer() -> Finding:
    """Whether tokens can be counted offline."""
    try:
        from proxy.meter.count import count_tokens  # loads tens of MB

        count = count_tokens("one two three", "gpt-4o-mini")
    except (ImportError, OSError, ValueError) as error:
        return Finding("tokenizer", str(error), "the installation is damaged: install grammage again")
    return Finding("tokenizer", f"counts offline ({count} tokens in a text of 3 words)")


def running(url: str) -> Finding:
    """Whether the proxy at `url` answers, and is ready."""
    alive = ask(url, "/livez")
    if alive is None:
        return Finding("running proxy", f"nothing answers at {url}", "start it with `grammage serve`, or correct the address", UNREACHABLE)
    ready = ask(url, "/readyz")
    if alive != 200 or ready != 200:
        return Finding("running proxy", f"{url}: /livez {alive}, /readyz {ready}", "look at its log; is it a grammage proxy?")
    return Finding("running proxy", f"{url} is live and ready")
