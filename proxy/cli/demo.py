"""Runs the demonstration: starts a proxy, sends a small campaign through it, product sheets and an ad visual, shows what each call weighs.

It must never weigh anything itself.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.output import message

if TYPE_CHECKING:
    from proxy.campaign.run import Piece, WeighedCall
    from proxy.campaign.totals import Totals

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_LEDGER = "grammage.db"
UNREACHABLE = 3
LOG_SETTLES_S = 0.5
"""The proxy writes log lines a moment after the calls; the campaign's own are shown above already."""


class Provider(StrEnum):
    """Who writes and draws."""

    SIMULATED = "simulated"
    OPENAI = "openai"


# provider -> the large and the small model
MODELS = {Provider.SIMULATED: ("sim-large", "sim-small"), Provider.OPENAI: ("gpt-4o", "gpt-4o-mini")}
# provider -> the models of final and of draft visuals, and how many visuals without being told
VISUAL_MODELS = {Provider.SIMULATED: ("sim-image-tokens", "sim-image"), Provider.OPENAI: ("gpt-image-1", "gpt-image-1-mini")}
VISUALS = {Provider.SIMULATED: 20, Provider.OPENAI: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. base_url: a proxy that already runs, without /v1; None starts one."""

    provider: Provider
    products: int
    languages: tuple[str, ...]
    visuals: int
    campaign: str
    api_key: str
    base_url: str | None
    port: int | None
    ledger: str | None
    keep_serving: bool
    pace: bool


def demo(
    provider: Annotated[
        Provider, typer.Option(help="simulated needs nothing; openai needs OPENAI_API_KEY and costs money.")
    ] = Provider.SIMULATED,
    products: Annotated[int, typer.Option(min=1, help="How many of the products that ship with grammage to write about.")] = 12,
    languages: Annotated[str, typer.Option(help="Languages of the sheets, of fr, en, de.")] = "fr,en,de",
    visuals: Annotated[
        int | None, typer.Option(min=0, help="How many variants of an ad visual to make; 20, or none where it costs money.")
    ] = None,
    campaign: Annotated[str, typer.Option(help="Value of the campaign tag.")] = "product-sheets-demo",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the proxy; 8080 if it keeps serving, else a free one.")
    ] = None,
    ledger: Annotated[str | None, typer.Option(help="SQLite file or URL; grammage.db if it keeps serving, else a temporary one.")] = None,
    keep_serving: Annotated[bool, typer.Option("--keep-serving", help="Keep the proxy running after the tables.")] = False,
    pace: Annotated[bool, typer.Option("--pace/--no-pace", help="Let simulated models write as fast as real ones, or at once.")] = True,
    base_url: Annotated[str | None, typer.Option(help="Use a proxy that already runs, such as http://127.0.0.1:8080.")] = None,
) -> None:
    """Send a small campaign through a proxy and show what it weighs."""
    from proxy.campaign.run import Unreachable  # a campaign is this command's alone

    plan = Plan(
        provider=provider,
        products=products,
        languages=_languages_of(languages),
        visuals=VISUALS[provider] if visuals is None else visuals,
        campaign=campaign,
        api_key=_key_of(provider),
        base_url=_base_url_of(base_url),
        port=port,
        ledger=ledger,
        keep_serving=keep_serving,
        pace=pace and provider is Provider.SIMULATED,
    )
    try:
        code = asyncio.run(run_demo(plan))
    except Unreachable as problem:
        message(str(problem))
        raise typer.Exit(UNREACHABLE) from problem
    except (KeyboardInterrupt, asyncio.CancelledError):
        message("drained and ended")
        return
    if code:
        raise typer.Exit(code)


def _languages_of(text: str) -> tuple[str, ...]:
    from proxy.campaign.products import LANGUAGES  # as above

    wanted = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [part for part in wanted if part not in LANGUAGES]
    if unknown or not wanted:
        raise typer.BadParameter(
            f"unknown language {', '.join(unknown) or '(none)'}; known: {', '.join(LANGUAGES)}.", param_hint="--languages"
        )
    return wanted


def _base_url_of(text: str | None) -> str | None:
    from config.listen import url_fault  # as above

    if text is not None and (fault := url_fault(text)):
        raise typer.BadParameter(f"{text!r}: {fault}", param_hint="--base-url")
    return None if text is None else text.rstrip("/").removesuffix("/v1")


def _key_of(provider: Provider) -> str:
    key = os.environ.get("OPENAI_API_KEY", "")
    if provider is Provider.OPENAI and not key:
        raise typer.BadParameter("openai needs the environment variable OPENAI_API_KEY; set it, or use simulated.", param_hint="--provider")
    return key if provider is Provider.OPENAI else os.environ.get("GRAMMAGE_API_KEY") or "demo-no-key-needed"


async def run_demo(plan: Plan) -> int:
    """The whole demonstration; returns the exit code. Raises Unreachable, and StartError when the proxy does not start."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # no signal handlers in loops on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if plan.base_url is not None:
        return await _show_campaign(plan, plan.base_url, None)
    async with _ledger_of(plan) as ledger_url:
        from proxy.campaign.served import serve_child  # this branch alone starts a proxy

        port = plan.port or (DEFAULT_PORT if plan.keep_serving else _free_port())
        message(f"starting grammage on http://{HOST}:{port} with the ledger {_shown(ledger_url)} ...")
        async with serve_child(host=HOST, port=port, ledger_url=ledger_url, environ=os.environ) as served:
            code = await _show_campaign(plan, served.url, ledger_url)
            if not plan.keep_serving:
                return code
            _show_hints(plan, served.url, ledger_url)
            await asyncio.sleep(LOG_SETTLES_S)
            served.forward = True
            return 1 if await served.process.wait() else 0


@contextlib.asynccontextmanager
async def _ledger_of(plan: Plan) -> AsyncIterator[str]:
    """The ledger's URL; a temporary one goes when the block is left."""
    if plan.ledger is not None or plan.keep_serving:
        ledger = plan.ledger or DEFAULT_LEDGER
        yield ledger if "://" in ledger else f"sqlite:///{Path(ledger).absolute()}"
        return
    with tempfile.TemporaryDirectory(prefix="grammage-demo-") as folder:
        yield f"sqlite:///{folder}/{DEFAULT_LEDGER}"


def _shown(ledger_url: str) -> str:
    """The ledger for people: a file's name, or a server without user and password."""
    scheme, _, rest = ledger_url.partition("://")
    return rest.removeprefix("/") if scheme == "sqlite" else f"{scheme}://{rest.rpartition('@')[2]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _show_campaign(plan: Plan, url: str, ledger_url: str | None) -> int:
    """Runs the campaign and shows it; 1 when any call failed or was not weighed."""
    from proxy.campaign.run import run_campaign  # as above
    from proxy.cli import demo_show as show
    from proxy.clock import Clock

    started_ms = Clock().now_ms()
    pieces = _pieces_of(plan)
    console = show.open_console()
    show.show_head(console)
    calls = []
    running = run_campaign(pieces, base_url=url + "/v1", api_key=plan.api_key, campaign=plan.campaign, pace=plan.pace)
    async with contextlib.aclosing(running) as weighed:
        async for call in weighed:
            show.show_call(console, call)
            calls.append(call)
    if any(call.problem is None for call in calls):
        for title, totals in _totals_of(calls, ledger_url, started_ms):
            show.show_totals(console, title, totals)
        show.show_meaning(console, simulated=plan.provider is Provider.SIMULATED, coherent=ledger_url is not None)
    failed = sum(call.gco2e is None for call in calls)
    if failed:
        message(f"{failed} of {len(calls)} calls failed or were not weighed.")
    return 1 if failed else 0


def _pieces_of(plan: Plan) -> "tuple[Piece, ...]":
    """All that is to be sent, and a word on it."""
    from proxy.campaign.products import load_products  # as above
    from proxy.campaign.run import plan_campaign, plan_visuals

    products = load_products()[: plan.products]
    large, small = MODELS[plan.provider]
    sheets = plan_campaign(products, plan.languages, large=large, small=small)
    final, draft = VISUAL_MODELS[plan.provider]
    visuals = plan_visuals(products[0], plan.languages, plan.visuals, final=final, draft=draft)
    drawn = f", {len(visuals)} variants of an ad visual to {draft} and {final}" if visuals else ""
    message(f"sending {len(sheets)} product sheets to {large} and {small}{drawn} ({plan.provider.value}) with the openai SDK ...")
    return (*sheets, *visuals)


def _totals_of(calls: "Sequence[WeighedCall]", ledger_url: str | None, started_ms: int) -> "Iterator[tuple[str, Sequence[Totals]]]":
    """The closing tables by title: from the ledger when it is at hand, else summed from what the answers told."""
    from proxy.campaign.products import MARKETS  # as above
    from proxy.campaign.totals import sum_outer, sums_of_ledger

    if ledger_url is None:
        answered = [call for call in calls if call.problem is None]
        yield "By model", sum_outer(answered, lambda call: call.piece.model)
        yield "By market", sum_outer(answered, lambda call: MARKETS[call.piece.language])
        yield "In all", sum_outer(answered, lambda call: "all")
        return
    from proxy.ledger.queries import Selection  # SQLAlchemy is slow to import

    yield "By model", sums_of_ledger(ledger_url, Selection(by="model", since_ms=started_ms))
    yield "By market", sums_of_ledger(ledger_url, Selection(by="tag", tag_name="market", since_ms=started_ms))
    yield "By operation", sums_of_ledger(ledger_url, Selection(by="operation", since_ms=started_ms))


def _show_hints(plan: Plan, url: str, ledger_url: str) -> None:
    from proxy.cli import demo_show as show  # as above

    command = "grammage" if shutil.which("grammage") else os.path.relpath(Path(sys.executable).with_name("grammage"))
    named = "<the same URL>" if "@" in ledger_url else shlex.quote(ledger_url)
    report = f"{command} report --by model" + (f" --ledger {named}" if plan.ledger else "")
    show.show_next(show.open_console(), url=url, model=MODELS[plan.provider][1], report=report)
