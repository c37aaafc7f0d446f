"""`grammage export --template`: a sheet for a framework. It must never print a figure without its basis, nor bytes into a terminal."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from config.load import load_settings
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import message
from proxy.cli.report_full import Lang, tag_pairs
from proxy.cli.report_pages import hand_over
from proxy.clock import Clock

if TYPE_CHECKING:
    from proxy.exports.gather import Gathered


class TemplateName(StrEnum):
    """Frameworks that there is a sheet for."""

    SCI = "sci"
    IMPACT_FRAMEWORK = "impact-framework"
    GHGP_SCOPE3 = "ghgp-scope3"
    ESRS_E1 = "esrs-e1"
    BEGES = "beges"
    MEDIA_CREATION = "media-creation"


class ExportFormat(StrEnum):
    """Forms of a sheet; not every framework has each."""

    JSON = "json"
    MARKDOWN = "md"
    HTML = "html"
    XLSX = "xlsx"
    YAML = "yaml"


def write_template(
    name: TemplateName,
    words: Mapping[str, str],
    tags: Sequence[str],
    form: ExportFormat | None,
    lang: Lang,
    out: Path | None,
    with_simulated: bool,
    config: Path | None,
    ledger: str | None,
) -> None:
    """Writes the sheet. words: what is asked for, as the API has it. Raises typer.BadParameter, StartError."""
    from proxy.exports.forms import FORMS  # slow; not for the help
    from proxy.exports.templates import TEMPLATES, export_of

    template = TEMPLATES[name.value]
    wanted = template.forms[0] if form is None else form.value
    if wanted not in template.forms:
        raise typer.BadParameter(f"--format {wanted} is not one of {name.value}'s; it has {', '.join(template.forms)}")
    if out is None and not FORMS[wanted].is_text and sys.stdout.isatty():
        raise typer.BadParameter(f"--format {wanted} is not for a terminal; add --output {name.value}.{FORMS[wanted].extension}")
    with _working():
        gathered = _gathered(words, tags, with_simulated, config, ledger)
    _warn(gathered)
    hand_over(FORMS[wanted].write(export_of(name.value, gathered, lang.value)), out)


def _gathered(words: Mapping[str, str], tags: Sequence[str], with_simulated: bool, config: Path | None, ledger: str | None) -> "Gathered":
    from config.tables import load_tables  # slow; not for the help
    from proxy.exports.gather import gather
    from proxy.reports.asked import asked_for

    settings = load_settings(config, os.environ)
    try:
        request = asked_for({**words, "equivalences": "false"}, tag_pairs(tags), Clock().now_ms())
        return gather(ledger_url(ledger, config), request, settings, load_tables(), with_simulated=with_simulated)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _working() -> Iterator[None]:
    """A sign of life on standard error where that is a terminal: a large ledger takes minutes."""
    from rich.console import Console  # slow to import

    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status("reading the ledger, call by call"):
        yield


def _warn(gathered: "Gathered") -> None:
    """What a sheet's figures leave out, on standard error."""
    from proxy.exports.strata import counted

    if not gathered.report.total.calls:
        message("the ledger holds no call of this period")
    elif not counted(gathered) and gathered.cells:
        message("no call of this period counts: simulated and imported ones stand apart; --with-simulated counts the former, for a trial")
