"""EcoLogits beside ours: the real library gives the figures it publishes, and stays behind its own door."""

import importlib.metadata
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ecologits.impacts.llm import compute_llm_impacts

import estimators
from config.catalogue import ModelCard
from config.places import Place
from config.ranges import Range
from config.tables import load_tables
from estimators.bench.ecologits_rows import EcologitsAsShipped, EcologitsWithTruth
from estimators.choose import METHODS, ON_REQUEST
from estimators.methods.ecologits_adapter import EcologitsMethod, ExtraMissing, gpu_j_per_token, video_it_energy_j
from estimators.usage import Usage

TABLES = load_tables()
ROOT = Path(__file__).resolve().parents[2]
WH = 3600.0


def place(pue: float = 1.2) -> Place:
    found = TABLES.places.resolve("openai")
    return replace(found, pue=Range.exact(pue), gco2e_per_kwh=Range.exact(384.0))


def card(active: Range, total: Range) -> ModelCard:
    return replace(TABLES.catalogue.resolve("gpt-4o").card, active_params_b=active, total_params_b=total)


def prepared(active: Range, total: Range, pue: float = 1.2) -> estimators.Prepared:
    return estimators.prepare(card(active, total), place(pue), TABLES.factors, method="ecologits")


def test_joules_per_token_are_those_of_the_published_formula() -> None:
    """16-bit weights on 80 GB cards: 405 B need 16, 235 B need 8; one GPU's energy per token has its own line."""
    assert gpu_j_per_token(405, 405) == pytest.approx(15.6, rel=0.02)
    assert gpu_j_per_token(22, 235) == pytest.approx(1.53, rel=0.02)


def test_the_true_batch_and_gpus_replace_the_librarys_own() -> None:
    own = gpu_j_per_token(8, 8)
    assert gpu_j_per_token(8, 8, batch=64, gpus=1) == pytest.approx(own)
    assert gpu_j_per_token(8, 8, batch=64, gpus=4) == pytest.approx(4 * own)
    assert gpu_j_per_token(14, 14, batch=8) / gpu_j_per_token(14, 14, batch=64) == pytest.approx(1 / 0.87, rel=0.03)


def test_the_video_module_gives_a_range_for_models_it_knows() -> None:
    clip = video_it_energy_j("tencent/hunyuanvideo", 1280, 720, 129)
    assert clip is not None
    assert clip.low / WH == pytest.approx(159, rel=0.02)
    assert clip.high / WH == pytest.approx(270, rel=0.02)
    assert video_it_energy_j("nobody/knows", 1280, 720, 129) is None


def test_the_method_gives_the_published_figures_of_a_large_dense_model() -> None:
    """123 B dense, 400 tokens at PUE 1.16: 0.354 Wh, 0.044 g on a grid of 35 g/kWh."""
    at = replace(place(1.16), gco2e_per_kwh=Range.exact(35.0))
    scale = estimators.prepare(card(Range.exact(123), Range.exact(123)), at, TABLES.factors, method="ecologits")
    weighed = scale.estimate(Usage(output_tokens=400))
    assert weighed.facility_energy_wh.mean == pytest.approx(0.354, rel=0.01)
    assert weighed.gco2e.mean == pytest.approx(0.044, rel=0.01)
    assert weighed.facility_energy_wh.variance.model == 0.0


def test_every_line_is_the_librarys_own() -> None:
    at = place(1.3)
    weighed = prepared(Range.exact(70), Range.exact(400), pue=1.3).estimate(Usage(output_tokens=250))
    theirs = compute_llm_impacts(
        model_active_parameter_count=70,
        model_total_parameter_count=400,
        output_token_count=250,
        if_electricity_mix_adpe=at.adpe_kgsbeq_per_kwh.value,
        if_electricity_mix_pe=at.primary_energy_mj_per_kwh.value,
        if_electricity_mix_gwp=0.384,
        if_electricity_mix_wue=at.water_offsite_l_per_kwh.value,
        datacenter_pue=1.3,
        datacenter_wue=at.wue_onsite_l_per_kwh.value,
    )
    assert weighed.facility_energy_wh.mean == pytest.approx(theirs.energy.value * 1000)
    assert weighed.operational_gco2e.mean == pytest.approx(theirs.usage.gwp.value * 1000)
    assert weighed.embodied_gco2e.mean == pytest.approx(theirs.embodied.gwp.value * 1000)
    assert weighed.gco2e.mean == pytest.approx(theirs.gwp.value * 1000)
    assert weighed.water_ml.mean == pytest.approx(theirs.wcf.value * 1000)
    assert weighed.primary_energy_mj.mean == pytest.approx(theirs.pe.value)
    assert weighed.adpe_kgsbeq.mean == pytest.approx(theirs.adpe.value)


def test_pue_multiplies_energy_and_not_embodied() -> None:
    usage = Usage(output_tokens=400)
    bare, cooled = (prepared(Range.exact(70), Range.exact(70), pue=pue).estimate(usage) for pue in (1.0, 1.5))
    assert cooled.facility_energy_wh.mean / bare.facility_energy_wh.mean == pytest.approx(1.5)
    assert cooled.it_energy_wh.mean == pytest.approx(bare.it_energy_wh.mean)
    assert cooled.embodied_gco2e.mean == pytest.approx(bare.embodied_gco2e.mean)


def test_a_range_of_sizes_gives_the_librarys_range_of_energy() -> None:
    usage = Usage(output_tokens=400)
    active, total = Range(76, 44, 132), Range.exact(440)
    low, high = (prepared(Range.exact(end), total).estimate(usage).facility_energy_wh.p50 for end in (44, 132))
    found = prepared(active, total).estimate(usage).facility_energy_wh
    model_only = found._replace(variance=found.variance._replace(call=0.0))
    assert model_only.p5 == pytest.approx(low, rel=1e-3)
    assert model_only.p95 == pytest.approx(high, rel=1e-3)


def test_only_output_tokens_weigh_and_the_estimate_says_so() -> None:
    scale = prepared(Range.exact(8), Range.exact(8))
    one, two = scale.estimate(Usage(output_tokens=100)), scale.estimate(Usage(input_tokens=9000, output_tokens=200))
    assert two.gco2e.mean == pytest.approx(2 * one.gco2e.mean)
    assert "output-tokens-only" in one.warnings
    assert scale.estimate(Usage(input_tokens=9000)).gco2e.mean == 0.0


def test_an_estimate_bears_the_librarys_version() -> None:
    weighed = prepared(Range.exact(8), Range.exact(8)).estimate(Usage(output_tokens=1))
    assert (weighed.method, weighed.method_version) == ("ecologits", importlib.metadata.version("ecologits"))


def test_it_is_never_chosen_unless_it_is_named() -> None:
    assert not any(isinstance(method, EcologitsMethod) for method in METHODS)
    assert any(isinstance(method, EcologitsMethod) for method in ON_REQUEST)
    for operation in ("chat", "completions", "embeddings", "images", "nothing-known"):
        weighed = estimators.prepare(card(Range.exact(8), Range.exact(8)), place(), TABLES.factors, operation=operation)
        assert weighed.estimate(Usage(output_tokens=1)).method != "ecologits"


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ExtraMissing, match=r"pip install 'grammage\[ecologits\]'"):
        prepared(Range.exact(8), Range.exact(8))


def test_importing_the_method_does_not_import_the_library() -> None:
    script = (
        "import sys, estimators, estimators.methods.ecologits_adapter, estimators.bench.ecologits_rows; print('ecologits' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def media(model: str, **cells: str) -> dict[str, str]:
    return {"model": model, "width": "1280", "height": "720", "frames": "129"} | cells


def test_on_the_bench_it_answers_where_it_has_an_estimate_and_declines_elsewhere() -> None:
    peer = EcologitsAsShipped()
    text = {"active_params_b": "8", "total_params_b": "8"}
    (answer,) = peer.predict([text], kind="llm", setting="blind")
    assert answer is not None
    assert answer.p50 == pytest.approx(gpu_j_per_token(8, 8))
    assert (answer.low, answer.high) == (None, None)
    assert peer.predict([text | {"active_params_b": ""}], kind="llm", setting="blind") == [None]
    assert peer.predict([media("v/paint")], kind="image", setting="known") == [None]
    rows = [
        media("tencent/HunyuanVideo"),
        media("tencent/HunyuanVideo", width="720", height="1280"),
        media("tencent/HunyuanVideo", width="544"),
        media("guoyww/animatediff"),
    ]
    upright, turned, unlisted, unknown = peer.predict(rows, kind="video", setting="known")
    assert upright is not None
    assert turned is not None
    assert upright.low is not None
    assert upright.low < upright.p50
    assert math.isclose(upright.p50, turned.p50)
    assert (unlisted, unknown) == (None, None)


def test_told_the_truth_it_uses_the_rows_batch_and_gpus() -> None:
    peer = EcologitsWithTruth()
    row = {"active_params_b": "70", "total_params_b": "70", "avg_batch": "8", "num_gpus": "4"}
    (answer,) = peer.predict([row], kind="llm", setting="known")
    assert answer is not None
    assert answer.p50 == pytest.approx(gpu_j_per_token(70, 70, batch=8, gpus=4))
    assert [peer.enters("llm", "known"), peer.enters("llm", "blind"), peer.enters("video", "known")] == [True, False, False]
