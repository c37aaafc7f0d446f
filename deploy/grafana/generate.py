"""Writes the dashboards as JSON, one folder a language: `python -m deploy.grafana.generate [FOLDER]`. It must never ask a server."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.boards import BOARDS
from deploy.grafana.draw import SOURCE, drawn, uid_of
from deploy.grafana.phrases import LANGUAGES, Phrases
from deploy.grafana.spec import Board
from deploy.grafana.variables import ALL, DATASOURCE, QUERIES

FOLDER = Path(__file__).parent / "dashboards"
EVERYTHING = model.VariableOption(selected=True, text="All", value="$__all")


def files() -> Iterator[tuple[str, str]]:
    """Path below the folder, and content, of every dashboard in every language."""
    for language in LANGUAGES:
        for board in BOARDS:
            document = json.dumps(dashboard(board, Phrases(language=language)), cls=JSONEncoder, indent=1, ensure_ascii=False)
            yield f"{language}/{board.key}.json", f"{document}\n"


def dashboard(board: Board, phrases: Phrases) -> model.Dashboard:
    """One dashboard in one language, its panels numbered and laid out."""
    title, description = phrases.titled("boards", board.key)
    made = build.Dashboard(f"grammage: {title}").uid(uid_of(board.key, phrases.language)).description(description)
    made.tags(["grammage", phrases.language]).time("now-24h", "now").refresh("1m").timezone("browser").editable()
    made.tooltip(model.DashboardCursorSync.CROSSHAIR)
    made.link(_others(phrases))
    for variable in _variables(board, phrases):
        made.with_variable(variable)
    number = 0
    for row in board.rows:
        number += 1
        made.with_row(build.Row(phrases.phrase("rows", row.key)).id(number))
        for panel in row.panels:
            number += 1
            made.with_panel(drawn(panel, phrases).id(number))
    return made.build()


def _others(phrases: Phrases) -> build.DashboardLink:
    link = build.DashboardLink(phrases.word("other_boards")).type(model.DashboardLinkType.DASHBOARDS)
    return link.tags(["grammage", phrases.language]).as_dropdown(True).include_vars(True).keep_time(True)


def _variables(board: Board, phrases: Phrases) -> Iterator[build.DatasourceVariable | build.QueryVariable]:
    yield build.DatasourceVariable(DATASOURCE).label(phrases.phrase("variables", DATASOURCE)).type("prometheus")
    for name in board.variables:
        asked = build.QueryVariable(name).label(phrases.phrase("variables", name)).datasource(SOURCE).definition(QUERIES[name])
        asked.query({"query": QUERIES[name], "refId": f"variable-{name}"}).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        yield asked.multi(True).include_all(True).all_value(ALL).current(EVERYTHING).sort(model.VariableSort.ALPHABETICAL_ASC)


def main(folder: Path = FOLDER) -> None:
    """Writes every file."""
    for name, content in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
