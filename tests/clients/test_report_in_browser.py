"""The page of a report in a real Chromium: axe finds nothing, nothing is fetched, no table spills over a sheet. Skipped without one."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.exports.forms import FORMS
from proxy.exports.templates import export_of
from proxy.reports.pages.html import html_page
from tests.clients.environments import BROWSER, HOME, NODE, ROOT, clean_environ, python_of
from tests.contract.test_report_pages import REPORTS
from tests.export_samples import sample_gathered

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = HOME / NODE / "node_modules" / "axe-core" / "axe.min.js"
PAGES = (("sample", "en"), ("sample", "fr"), ("long", "fr"))
EXPORTS = (("sci", "en"), ("ghgp-scope3", "fr"), ("esrs-e1", "fr"), ("media-creation", "fr"))
"""Sheets for frameworks, those with the widest tables: set smaller on paper."""

LIMIT_S = 110


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, needs: Callable[[str], None]) -> list[dict[str, Any]]:
    """What axe says of every page as it is shown."""
    needs(BROWSER)
    needs(NODE)
    if CHROMIUM is None:
        pytest.skip("no Chromium; on Debian: apt-get install chromium")
    folder = tmp_path_factory.mktemp("pages")
    files: list[Path] = []
    for name, language in PAGES:
        files.append(folder / f"{name}-{language}.html")
        files[-1].write_text(html_page(REPORTS[name](), language), encoding="utf-8")
    for name, language in EXPORTS:
        files.append(folder / f"{name}-{language}.html")
        files[-1].write_bytes(FORMS["html"].write(export_of(name, sample_gathered(), language)))
    command = [str(python_of(BROWSER)), "-m", "tests.clients.browse", CHROMIUM, str(AXE), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=clean_environ(), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("told", ["violations", "asked", "said", "spilt"])
def test_a_page_is_accessible_and_asks_for_nothing(judged: list[dict[str, Any]], told: str) -> None:
    assert len(judged) == (len(PAGES) + len(EXPORTS)) * 3
    assert not {(page["page"], page["scheme"], page["width"]): page[told] for page in judged if page[told]}


def test_a_page_is_as_wide_as_its_window_and_was_judged(judged: list[dict[str, Any]]) -> None:
    assert not [page["page"] for page in judged if page["too_wide"]]
    assert min(page["passes"] for page in judged) > 20
