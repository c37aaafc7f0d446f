"""The page of a report, letter by letter, in both languages. `make golden` rewrites it; look at it in a browser."""

import os
from pathlib import Path

import pytest

from proxy.reports.pages.html import html_page
from tests.report_samples import sample_report

HERE = Path(__file__).parent


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_is_the_one_that_was_looked_at(language: str) -> None:
    file = HERE / f"report_{language}.html"
    made = html_page(sample_report(), language)
    if os.environ.get("GRAMMAGE_GOLDEN") == "write":
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")
