"""Every sheet, letter by letter, in both languages. `make golden` rewrites them; read the difference."""

import os
from pathlib import Path

import pytest

from proxy.exports.forms import FORMS
from proxy.exports.templates import TEMPLATES, export_of
from tests.export_samples import sample_gathered

HERE = Path(__file__).parent / "exports"
FORM = {name: "yaml" if "yaml" in template.forms else "md" for name, template in TEMPLATES.items()}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_sheet_is_the_one_that_was_read(name: str, language: str) -> None:
    file = HERE / f"{name}_{language}.{FORM[name]}"
    made = FORMS[FORM[name]].write(export_of(name, sample_gathered(), language)).decode()
    if os.environ.get("GRAMMAGE_GOLDEN") == "write":
        HERE.mkdir(exist_ok=True)
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")
