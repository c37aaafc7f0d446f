"""Writes pictures of some panels' data, asked of a real Prometheus that watches a real proxy: `python -m tests.deploy.pictures [SECONDS]`.

It must never show what no query gave.
"""

import json
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from deploy.grafana.generate import FOLDER, files
from tests.contract.proxy_harness import Proxy, ask
from tests.deploy.plot import Picture, svg
from tests.deploy.watched import SALES, XMAS, Prometheus, house, prometheus, words

INTO = FOLDER.parent / "pictures"
WINDOW = "15s"
SHOWN = (
    ("footprint", "Emissions per hour", "band", ".*"),
    ("campaigns", "Emissions per hour by campaign", "stacked", ".*"),
    ("models", "Baseline and choice per hour", "line", "drafts-small|only-watched"),
    ("operations", "Time spent in the proxy", "line", ".*"),
)
"""Dashboard, panel, how it is drawn, and the policies that are shown."""


def main(seconds: int = 120) -> None:
    """Drives traffic for so long, asks, writes."""
    with tempfile.TemporaryDirectory() as folder, house(Path(folder)) as made:
        inner = Path(folder) / "prometheus"
        inner.mkdir()
        with prometheus(inner, made.url.removeprefix("http://")) as watching:
            _drive(made, seconds)
            INTO.mkdir(exist_ok=True)
            for board, title, kind, policies in SHOWN:
                drawn = svg(_picture(watching, board, title, kind, policies, seconds - 20))
                (INTO / f"{board}.svg").write_text(drawn, encoding="utf-8")


def _drive(made: Proxy, seconds: int) -> None:
    """Chats of every kind, and more of one campaign, then of the other."""
    pause = threading.Event()
    for tick in range(seconds):
        words(made)
        for _ in range(6 if tick % 40 < 20 else 1):
            made.chat(ask(model="large"), x_grammage_tag_stage="draft", **XMAS)
        for _ in range(1 if tick % 60 < 30 else 4):
            made.chat(ask(model="large"), **SALES)
        pause.wait(0.5)


def _picture(watching: Prometheus, board: str, title: str, kind: str, policies: str, span_s: int) -> Picture:
    document = json.loads(dict(files())[f"en/{board}.json"])
    (panel,) = [panel for panel in document["panels"] if panel["title"] == title]
    series: dict[str, list[tuple[float, float]]] = {}
    for target in panel["targets"]:
        expr = target["expr"].replace("$__rate_interval", WINDOW).replace("$policy", policies)
        query = re.sub(r"\$\w+", ".*", expr)
        for row in watching.course(query, span_s):
            series[_legend(target["legendFormat"], row["metric"])] = [(at, float(text)) for at, text in row["values"] if text != "NaN"]
    series = {name: points for name, points in series.items() if any(number for _, number in points)}
    begin_s = min(at for points in series.values() for at, _ in points)
    moved = {name: [(at - begin_s, number) for at, number in points] for name, points in series.items()}
    return Picture(title=title, unit=panel["fieldConfig"]["defaults"]["unit"], kind=kind, series=moved)


def _legend(text: str, labels: dict[str, Any]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(labels.get(found[1], "")), text)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
