"""The command line's table of contents: each command is imported when it is called. It must never import a server, a vendor or a table."""

import errno
import importlib
import io
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

try:
    from config.problem import ConfigError
    from proxy.errors import StartError
except ImportError as error:  # a foreign `config` stands first on the path: say so instead of a traceback
    _foreign = getattr(sys.modules.get("config"), "__file__", None)
    sys.exit(f"grammage: {error}. {_foreign or 'A folder'} hides our package `config`: start `grammage` elsewhere, or unset PYTHONPATH.")

PROBLEM = 1


class Entry(NamedTuple):
    """Where a command lives, as module:name (a function or a typer app), and its line in the help."""

    target: str
    line: str


COMMANDS: Mapping[str, Entry] = {
    "serve": Entry("proxy.cli.serve:serve", "Start the proxy."),
    "demo": Entry("proxy.cli.demo:demo", "Send a small campaign through a proxy and show what it weighs."),
    "init": Entry("proxy.cli.init:init", "Write a commented configuration."),
    "check-config": Entry("proxy.cli.check_config:check_config", "Check a configuration and show what it leads to."),
    "config": Entry("proxy.cli.config:config", "The configuration's grammar, for editors."),
    "estimate": Entry("proxy.cli.estimate:estimate", "Weigh a call before it is made."),
    "simulate": Entry("proxy.cli.simulate:simulate", "Weigh a planned campaign, compare plans, or show the study of 2025."),
    "score": Entry("proxy.cli.score:score", "Judge estimators on measured energy."),
    "report": Entry("proxy.cli.report:report", "Sum the ledger by model, tag or day."),
    "reweigh": Entry("proxy.cli.reweigh:reweigh", "Weigh recorded calls anew, beside what was said of them."),
    "retag": Entry("proxy.cli.retag:retag", "Give recorded calls another tag, by rule."),
    "privacy": Entry("proxy.cli.privacy:privacy", "Export and erase what is kept of an end user or a key."),
    "import": Entry("proxy.cli.imports:imports", "Import usage exports, seats and invoices."),
    "export": Entry("proxy.cli.export:export", "Write a period into a file for somebody else."),
    "reconcile": Entry("proxy.cli.reconcile:reconcile", "Compare a period with a provider's usage export or invoice."),
    "models": Entry("proxy.cli.models:models", "List the models of the catalogue."),
    "regions": Entry("proxy.cli.regions:regions", "List the cloud regions and their grids."),
    "intensity": Entry("proxy.cli.intensity:intensity", "Ask the live sources of grid intensity once."),
    "factors": Entry("proxy.cli.factors:factors", "List, compare and check the numbers behind an estimate."),
    "budgets": Entry("proxy.cli.budgets:budgets", "Show what carbon budgets allow and what is used of them."),
    "keys": Entry("proxy.cli.keys:keys", "Issue, list, rotate and revoke the proxy's own keys."),
    "policy": Entry("proxy.cli.policy:policy", "What policies make of described calls and of those of the ledger."),
    "db": Entry("proxy.cli.db:db", "Look after the ledger's database."),
    "simulated-provider": Entry("proxy.cli.simulated_provider:simulated_provider", "Run the built-in simulated provider alone."),
    "doctor": Entry("proxy.cli.doctor:doctor", "Find out what stands in the way."),
}


class _LazyGroup(TyperGroup):
    """Shows the table in the help, and imports a command only to run it (or to complete its options)."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name=name, help=entry.line, callback=None) for name, entry in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name and command is not None else command, rest


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        lone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        lone.command(name)(found)
        return typer.main.get_command(lone)
    group = typer.main.get_group(found)
    group.name = name
    return group


app = typer.Typer(
    cls=_LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # slow, and needed for this option only

        typer.echo(f"grammage {version('grammage')}")
        raise typer.Exit()


@app.callback()
def grammage(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """An OpenAI-compatible proxy that weighs every call to a generative model in gCO2e.

    Data goes to standard output, messages to standard error. Exit codes: 0 ok, 1 problem found, 2 wrong usage, 3 unreachable.
    """


def main() -> None:
    """Runs the command line; a configuration or start problem becomes its text and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console without UTF-8 gets an escape instead of ending the command
    try:
        app(prog_name="grammage")
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        sys.exit(PROBLEM)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"grammage: {error.strerror}; free some, then run it again.", file=sys.stderr)
        sys.exit(PROBLEM)


if __name__ == "__main__":
    main()
