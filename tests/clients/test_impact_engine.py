"""The Impact Framework's own engine recomputes an exported manifest, and agrees with our totals; a changed input does not."""

import copy
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.ledger.queries import Selection
from proxy.reports.summary import summarise
from tests.clients.environments import HOME, IMPACT, clean_environ, node_command, why_missing
from tests.contract.exported_ledger import EVER, fill, fill_simulated
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream
from tests.contract.test_reweigh import grammage
from tests.impact_twin import recomputed

ENGINE = HOME / IMPACT / "node_modules" / "@grnsft" / "if" / "build" / "if-run" / "index.js"
AGREES = 1e-3
MISSING = why_missing(IMPACT) or why_missing("openai3")
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
LINES = {"carbon-operational": "operational_gco2e", "carbon-embodied": "embodied_gco2e"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def run(manifest: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """What the engine's aggregation of the whole tree comes to."""
    given, out = folder / "given.yaml", folder / "computed"
    given.write_text(yaml.safe_dump(dict(manifest), sort_keys=False), encoding="utf-8")
    out.with_suffix(".yaml").unlink(missing_ok=True)
    command = [node_command(), ENGINE, "--manifest", given, "--output", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=False, env=clean_environ())
    assert out.with_suffix(".yaml").exists(), done.stdout[-2000:] + done.stderr[-2000:]
    computed = yaml.safe_load(out.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert computed["execution"]["status"] == "success", computed["execution"]
    found: dict[str, float] = computed["tree"]["aggregated"]
    return found


def manifest_of(url: str, *options: str) -> dict[str, Any]:
    done = grammage("export", "--template", "impact-framework", *EVER, "--ledger", url, *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def test_the_engine_agrees_with_the_report_on_every_kind_of_call(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    fill(url, tmp_path, upstream)
    fill_simulated(url, tmp_path / "simulated")
    manifest = manifest_of(url)
    whole = summarise(url, Selection(by="model"), exact=True).whole.gco2e
    assert whole is not None
    found = run(manifest, tmp_path)
    assert found["carbon"] == pytest.approx(whole.mean, rel=AGREES)
    assert found == pytest.approx(recomputed(manifest), rel=1e-9)
    assert {"sci-per-call", "sci-per-thousand-output-tokens", "sci-per-image"} <= set(found)


def test_the_engine_agrees_line_by_line_and_notices_a_changed_input(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    fill_simulated(url, tmp_path / "simulated")
    manifest = manifest_of(url, "--with-simulated")
    whole = summarise(url, Selection(by="model"), exact=True).whole
    found = run(manifest, tmp_path)
    for computed, line in LINES.items():
        assert found[computed] == pytest.approx(getattr(whole, line).mean, rel=AGREES)
    assert whole.facility_energy_wh is not None
    assert found["energy"] == pytest.approx(whole.facility_energy_wh.mean / 1000, rel=AGREES)
    assert found["sci-per-call"] == pytest.approx(found["carbon"] / 3, rel=AGREES)
    for name in ("it-energy", "grid/carbon-intensity", "carbon-embodied"):
        changed = copy.deepcopy(manifest)
        for child in changed["tree"]["children"].values():
            child["inputs"][0][name] *= 1.5
        assert run(changed, tmp_path)["carbon"] != pytest.approx(found["carbon"], rel=0.01), name
