"""The `serve` command: settings from file and options, then the server. It must never start on settings that were refused."""

import os
import ssl
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from config.settings import Settings
from proxy.errors import StartError


class LogLevel(StrEnum):
    """From which level on our own messages are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogForm(StrEnum):
    """How our messages and the calls' lines are written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def serve(
    config: Annotated[Path | None, typer.Option(help="Configuration file; else GRAMMAGE_CONFIG, else built-in defaults.")] = None,
    upstream: Annotated[str | None, typer.Option(help="Send every model to this OpenAI-compatible base URL.")] = None,
    upstream_provider: Annotated[str | None, typer.Option(help="Who runs --upstream, for its grid and data centres.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    ledger: Annotated[str | None, typer.Option(help="URL of the ledger, such as sqlite:///calls.db.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that serve the address together.")] = None,
    ssl_certfile: Annotated[str | None, typer.Option(help="Certificate chain, PEM.")] = None,
    ssl_keyfile: Annotated[str | None, typer.Option(help="Private key, PEM.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(case_sensitive=False, help="Least level of what is logged.")] = None,
    log_format: Annotated[LogForm | None, typer.Option(case_sensitive=False, help="Log lines for machines or for people.")] = None,
) -> None:
    """Start the proxy; Ctrl-C or SIGTERM drains open calls and ends it."""
    from config.load import config_path  # the server's imports wait until a server is wanted

    file = config_path(config, os.environ)

    def load() -> Settings:
        settings = settings_from(
            file, upstream=upstream, upstream_provider=upstream_provider, host=host, port=port, ledger=ledger, workers=workers
        )
        log = {name: choice.value for name, choice in (("level", log_level), ("format", log_format)) if choice is not None}
        return settings.model_copy(update={"log": settings.log.model_copy(update=log)}) if log else settings

    settings, tls = load(), _tls(ssl_certfile, ssl_keyfile)
    if settings.server.workers > 1:
        from proxy.workers.opening import run_workers  # a proxy that works alone has no use for it

        run_workers(settings, version=version("grammage"), tls=tls, config_file=file, load=load, announce=_announce)
    else:
        open_serving(settings, tls=tls, config_file=file, load=load).run(announce=_announce)


def _announce(base_url: str) -> None:
    typer.echo(f"grammage listens on {base_url}", err=True)


def settings_from(
    file: Path | None,
    *,
    upstream: str | None,
    upstream_provider: str | None,
    host: str | None,
    port: int | None,
    ledger: str | None,
    workers: int | None = None,
) -> Settings:
    """The file's settings with the command line's on top. Raises ConfigError, StartError."""
    from config.check import start_refusals
    from config.listen import parse_listen
    from config.load import load_settings
    from proxy.policy.expression import expression_faults

    settings = load_settings(file, os.environ, [expression_faults])
    was_host, was_port = parse_listen(settings.server.listen)
    new_host = host or was_host
    listen = f"{f'[{new_host}]' if ':' in new_host else new_host}:{was_port if port is None else port}"
    server = {"listen": listen} | ({} if workers is None else {"workers": workers})
    changes: dict[str, Any] = {"server": settings.server.model_copy(update=server)}
    if upstream is not None:
        changes["upstream"] = upstream
    if upstream_provider is not None:
        changes["upstream_provider"] = upstream_provider
    if ledger is not None:
        changes["ledger"] = settings.ledger.model_copy(update={"url": ledger})
    changed = Settings.model_validate(settings.model_copy(update=changes).model_dump())
    refusals = start_refusals(changed)
    if refusals:
        raise StartError(" ".join(refusals))
    return changed


def open_serving(settings: Settings, *, tls: tuple[str, str] | None, config_file: Path | None, load: Callable[[], Settings]) -> Any:
    """A server bound to its address, not yet running. Raises StartError."""
    from proxy.serve import Serving

    return Serving(settings, version=version("grammage"), tls=tls, config_file=config_file, load=load)


def _tls(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("TLS needs both --ssl-certfile and --ssl-keyfile")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        raise StartError(
            f"TLS cannot be set up from {certificate} and {key}: {error.strerror or error}. Name a PEM chain and its own private key."
        ) from error
    return certificate, key
