"""Images and video: facts, form, fleet, methods, and the row that the bench asks for."""

import math
import time
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from config.diffusion import DiffusionFacts, Task
from config.diffusion_assumed import assumed_facts
from config.diffusion_names import ARCHITECTURE_ASSUMED, FAMILY_ASSUMED
from config.ranges import Range
from config.read_diffusion import DIFFUSION_COLUMNS, FILE, read_diffusion_models, shipped_diffusion_models
from estimators import Usage, prepare
from estimators.bench.ours_diffusion import predict_diffusion_row
from estimators.bench.read import MeasuredRow
from estimators.calibration.diffusion import PRIORS, fit, predict_log_j
from estimators.calibration.diffusion_rows import diffusion_rows
from estimators.choose import OPERATING_PRIORS
from estimators.hardware import Hardware
from estimators.physics_diffusion import DiffusionDeployment, Shape, diffusion_form, work_of
from estimators.physics_diffusion_fleet import diffusion_gpu_j_per_output
from estimators.quantity import Quantity
from estimators.usage import Media
from tests.weighing_samples import OPEN_8B, US, shipped_factors

H100 = Hardware(gpu="NVIDIA H100 80GB", gpus=1, precision="bfloat16", batch=1)
SQUARE = Shape(1024, 1024, 1, 28)
J_PER_WH = 3600
FLUX = replace(OPEN_8B, id="flux.1-dev", family="flux.1", active_params_b=Range.exact(12.0), operations=frozenset({"images"}))
WAN = replace(OPEN_8B, id="wan2.1-t2v-14b", family="wan", active_params_b=Range.exact(14.0), operations=frozenset({"video"}))
IMAGE_CALL = Usage(media=Media(images=1, width=1024, height=1024, steps=28))
CLIP_CALL = Usage(media=Media(clips=1, width=1280, height=720, frames=81, steps=50))


def facts_of(name: str) -> DiffusionFacts:
    found = shipped_diffusion_models().known(name)
    assert found is not None, name
    return found


def on_h100(name: str, shape: Shape, **changes: object) -> Quantity:
    return diffusion_gpu_j_per_output(facts_of(name), shape, shipped_factors(), hardware=replace(H100, **changes))  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("name", "shape", "low_wh", "high_wh"),
    [
        ("openjourney-v4", Shape(512, 512, 1, 25), 0.035, 0.07),
        ("SANA1.5_1.6B_1024px_diffusers", Shape(1024, 1024, 1, 20), 0.09, 0.16),
        ("PixArt-Sigma-XL-2-1024-MS", Shape(1024, 1024, 1, 20), 0.14, 0.25),
        ("stable-diffusion-xl-base-1.0", Shape(1024, 1024, 1, 25), 0.19, 0.36),
        ("stable-diffusion-3.5-medium", SQUARE, 0.33, 0.58),
        ("stable-diffusion-3.5-large", SQUARE, 0.9, 1.5),
        ("HunyuanDiT-v1.2-Diffusers", Shape(1024, 1024, 1, 50), 0.85, 1.8),
        ("Wan2.1-T2V-1.3B-Diffusers", Shape(832, 480, 81, 50), 14, 23),
        ("tencent/HunyuanVideo", Shape(1280, 720, 129, 50), 260, 400),
    ],
)
def test_published_anchors_are_met_on_one_h100(name: str, shape: Shape, low_wh: float, high_wh: float) -> None:
    assert low_wh < on_h100(name, shape).p50 / J_PER_WH < high_wh


@pytest.mark.parametrize("facts", shipped_diffusion_models().rows(), ids=lambda facts: facts.id)
def test_every_row_gives_finite_energy_that_grows_with_pixels_steps_and_frames(facts: DiffusionFacts) -> None:
    base = Shape(facts.default_width, facts.default_height, facts.default_frames, facts.steps)
    factors = shipped_factors()

    def weigh(shape: Shape) -> float:
        return diffusion_gpu_j_per_output(facts, shape, factors).p50

    own = weigh(base)
    assert 1 < own < 3e8
    assert weigh(base._replace(width=base.width * 1.5)) > own
    assert weigh(base._replace(steps=base.steps + 1)) > own
    assert weigh(base._replace(input_images=1)) > own
    if facts.task == "video":
        assert weigh(base._replace(frames=base.frames + 24)) > own


def test_steps_are_linear_and_attention_makes_pixels_more_than_linear() -> None:
    once, twice = on_h100("flux.1-dev", SQUARE).p50, on_h100("flux.1-dev", SQUARE._replace(steps=56)).p50
    assert 1.9 < twice / once < 2.0
    wide = on_h100("flux.1-dev", Shape(2048, 2048, 1, 28)).p50
    assert 4.5 < wide / once < 8


def test_a_batch_shares_launches_and_never_costs_more_per_picture() -> None:
    by_batch = [on_h100("openjourney-v4", Shape(512, 512, 1, 25), batch=batch).p50 for batch in (1, 2, 4, 16, 64)]
    assert all(before > after for before, after in pairwise(by_batch))
    assert 0.5 < by_batch[-1] / by_batch[0] < 0.75, "measured 0.55"


def test_sharing_one_small_picture_over_eight_accelerators_costs_several_times_more() -> None:
    alone, shared = (on_h100("sana-1.6b", Shape(1024, 1024, 1, 20), gpus=gpus).p50 for gpus in (1, 8))
    assert 3 < shared / alone < 12, "measured 6"
    alone, shared = (on_h100("hunyuanvideo", Shape(1280, 720, 129, 50), gpus=gpus).p50 for gpus in (1, 8))
    assert 1 < shared / alone < 1.4, "measured 1.2"


def test_knowing_less_is_wider() -> None:
    facts, factors = facts_of("flux.1-dev"), shipped_factors()
    known = diffusion_gpu_j_per_output(facts, SQUARE, factors, hardware=H100)
    blind = diffusion_gpu_j_per_output(facts, SQUARE, factors)
    guessed = diffusion_gpu_j_per_output(assumed_facts("image", "dit", 12.0), SQUARE, factors)
    closed = diffusion_gpu_j_per_output(facts_of("midjourney"), SQUARE, factors)
    assert known.variance.total < blind.variance.total < min(guessed.variance.total, closed.variance.total)
    assert known.variance.provider == 0
    assert blind.variance.provider > 0


def test_an_unknown_accelerator_is_a_mixture_and_a_known_one_is_not() -> None:
    strange = on_h100("flux.1-dev", SQUARE, gpu="Quantum 9000")
    assert strange.variance.provider > 0
    old, new = (on_h100("flux.1-dev", SQUARE, gpu=gpu).p50 for gpu in ("A100-SXM4-40GB", "B200"))
    assert old > new


@pytest.mark.parametrize("prior", OPERATING_PRIORS)
def test_every_operating_prior_weighs_both_media(prior: str) -> None:
    for card, operation, usage in ((FLUX, "images", IMAGE_CALL), (WAN, "video", CLIP_CALL)):
        estimate = prepare(card, US, shipped_factors(), operation=operation, operating_prior=prior).estimate(usage)
        assert estimate.method == operation
        assert 0 < estimate.gco2e.p5 <= estimate.gco2e.p50 <= estimate.gco2e.p95 < math.inf
        assert estimate.warnings == ("region-assumed",)


def test_images_and_clips_count() -> None:
    pictures = prepare(FLUX, US, shipped_factors(), operation="images")
    one, four = (pictures.gpu_energy_j(Usage(media=Media(images=n, width=512, height=512, steps=28))).p50 for n in (1, 4))
    assert four == pytest.approx(4 * one)
    clips = prepare(WAN, US, shipped_factors(), operation="video")
    one, two = (clips.gpu_energy_j(Usage(media=Media(clips=n, width=832, height=480, frames=81 * n, steps=50))).p50 for n in (1, 2))
    assert two == pytest.approx(2 * one)


def test_seconds_and_frame_rate_stand_for_frames() -> None:
    clips = prepare(WAN, US, shipped_factors(), operation="video")
    by_frames = clips.gpu_energy_j(Usage(media=Media(clips=1, width=832, height=480, frames=80, steps=50)))
    by_seconds = clips.gpu_energy_j(Usage(media=Media(clips=1, width=832, height=480, video_seconds=5, fps=16, steps=50)))
    assert by_frames == by_seconds


@pytest.mark.parametrize(
    ("media", "warning"),
    [
        (Media(images=1, steps=28), "media-size-assumed"),
        (Media(images=1, width=1024, height=1024), "diffusion-steps-assumed"),
        (Media(width=1024, height=1024, steps=28), "media-count-assumed"),
    ],
)
def test_what_a_call_does_not_say_widens_it_and_warns(media: Media, warning: str) -> None:
    pictures = prepare(FLUX, US, shipped_factors(), operation="images")
    told = pictures.estimate(IMAGE_CALL)
    silent = pictures.estimate(Usage(media=media))
    assert warning in silent.warnings
    assert warning not in told.warnings
    assert silent.facility_energy_wh.variance.call > told.facility_energy_wh.variance.call


def test_a_clip_of_unknown_length_takes_the_models_default_and_says_so() -> None:
    clips = prepare(WAN, US, shipped_factors(), operation="video")
    silent = clips.estimate(Usage(media=Media(clips=1, width=832, height=480, steps=50)))
    told = clips.estimate(Usage(media=Media(clips=1, width=832, height=480, frames=81, steps=50)))
    assert "clip-length-assumed" in silent.warnings
    assert silent.facility_energy_wh.p50 == pytest.approx(told.facility_energy_wh.p50)


def test_a_call_without_any_media_facts_still_weighs_one_output() -> None:
    estimate = prepare(FLUX, US, shipped_factors(), operation="images").estimate(Usage())
    assert estimate.facility_energy_wh.p50 > 0
    assert "media-count-assumed" in estimate.warnings


def test_an_edit_weighs_its_input_picture() -> None:
    card = replace(FLUX, id="qwen-image-edit", active_params_b=Range.exact(20.4))
    pictures = prepare(card, US, shipped_factors(), operation="images")
    plain = pictures.gpu_energy_j(IMAGE_CALL).p50
    edit = pictures.gpu_energy_j(replace(IMAGE_CALL, input_images=1)).p50
    assert 1.6 < edit / plain < 3, "the input picture's tokens stand beside the output's"


def test_closed_classes_rise_with_quality_and_stand_in_their_ranges() -> None:
    card = replace(FLUX, id="dall-e-3", family="dall-e", size_basis="inferred", tier="D")
    pictures = prepare(card, US, shipped_factors(), operation="images")

    def wh(quality: str, side: int) -> float:
        return pictures.gpu_energy_j(Usage(media=Media(images=1, width=side, height=side, quality=quality))).p50 / J_PER_WH

    assert 0.4 < wh("standard", 1024) < 1.3
    assert wh("hd", 1024) > 1.5 * wh("standard", 1024)
    assert wh("standard", 1792) > 2 * wh("standard", 1024)
    for name, low, high in (("dall-e-2", 0.1, 0.4), ("imagen-4-ultra", 1.3, 2.8)):
        assert low < on_h100(name, Shape(1024, 1024, 1, facts_of(name).steps)).p50 / J_PER_WH < high


def test_token_billed_models_are_left_to_their_own_method() -> None:
    card = replace(FLUX, id="gpt-image-1", family="gpt-image")
    assert prepare(card, US, shipped_factors(), operation="images").estimate(IMAGE_CALL).method == "image_tokens"


def test_at_least_sixty_models_resolve_by_any_of_their_names() -> None:
    models = shipped_diffusion_models()
    assert sum(row.size_basis == "exact" for row in models.rows()) >= 60
    for name, expected in (
        ("black-forest-labs/FLUX.1-dev", "flux.1-dev"),
        ("FLUX.1-schnell", "flux.1-schnell"),
        ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", "wan2.2-a14b"),
        ("THUDM/CogVideoX-2b", "cogvideox-2b"),
        ("bedrock/amazon.titan-image-generator-v2:0", "titan-image-generator"),
        ("imagen-4.0-generate-001", "imagen-4"),
        ("stabilityai/stable-video-diffusion-img2vid-xt", "stable-video-diffusion-xt"),
    ):
        assert facts_of(name).id == expected


@pytest.mark.parametrize(
    ("name", "task", "params_b", "warning"),
    [
        ("someone/another-sdxl-finetune", "image", None, FAMILY_ASSUMED),
        ("someone/never-heard-of", "image", 6.0, ARCHITECTURE_ASSUMED),
        ("someone/never-heard-of-9b", "video", None, ARCHITECTURE_ASSUMED),
        ("someone/wan-900b", "video", None, ARCHITECTURE_ASSUMED),
        ("", "image", None, ARCHITECTURE_ASSUMED),
    ],
)
def test_an_unknown_name_falls_to_a_guess_with_a_warning(name: str, task: Task, params_b: float | None, warning: str) -> None:
    match = shipped_diffusion_models().resolve(name, task=task, params_b=params_b)
    assert match.warnings == (warning,)
    assert match.facts.size_basis == "assumed"
    assert match.facts.task == task


def test_a_name_with_two_meanings_is_refused_with_its_line(tmp_path: Path) -> None:
    text = files("config").joinpath("data", FILE).read_text(encoding="utf-8")
    header, first = text.splitlines()[:2]
    assert header == ",".join(DIFFUSION_COLUMNS)
    tmp_path.joinpath(FILE).write_text(f"{header}\n{first}\nother{first[first.index(',') :]}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{FILE}:3: column 'names'"):
        read_diffusion_models(tmp_path)


VISIBLE = {
    "model": "stabilityai/stable-diffusion-3.5-large", "task": "text-to-image", "params_b_denoiser": "8.1", "precision": "bfloat16",
    "gpu": "H100", "num_gpus": "1", "batch": "4", "height": "1024", "width": "1024", "frames": "1", "fps": "", "steps": "28",
}  # fmt: skip


def test_a_bench_row_is_answered_known_and_blind() -> None:
    known, blind = (predict_diffusion_row(VISIBLE, shipped_factors(), blind) for blind in (False, True))
    assert 0.9 < known.p50 / J_PER_WH < 1.5
    assert known.variance.total < blind.variance.total


def test_a_bench_row_with_holes_is_still_answered() -> None:
    row = {"model": "nobody/knows", "task": "image-to-video", "gpu": "TPU v9"}
    assert 0 < predict_diffusion_row(row, shipped_factors(), False).p50 < math.inf
    assert 0 < predict_diffusion_row({}, shipped_factors(), True).p50 < math.inf


def measured(gpu: str, gpus: int, batch: int, factor: float = 1.0) -> MeasuredRow:
    """A row as measured files have it, its energy given by the shipped form times `factor`."""
    facts = facts_of("stable-diffusion-3.5-large")
    factors = shipped_factors()
    at = DiffusionDeployment(
        gpus=gpus,
        batch=batch,
        gpu_scale=factors[f"diffusion.gpu_scale.{gpu.lower()}"].value,
        launch_scale=factors["diffusion.launch_scale.a100"].value if gpu == "A100" else 1.0,
    )
    joules = diffusion_form(factors).gpu_j(work_of(facts, SQUARE), at) * factor
    columns = {**VISIBLE, "gpu": gpu, "num_gpus": str(gpus), "batch": str(batch), "family": gpu}
    return MeasuredRow(kind="image", file="test.csv", line=1, joules=joules, columns=columns)


def test_the_form_on_arrays_is_the_form_that_weighs_calls() -> None:
    rows = diffusion_rows([measured(gpu, gpus, batch) for gpu in ("H100", "A100", "B200") for gpus in (1, 8) for batch in (1, 16)])
    shipped = {name: shipped_factors()[f"diffusion.{name}"].value for name in PRIORS}
    assert predict_log_j(rows, shipped) == pytest.approx(rows.log_j, abs=1e-9)


def test_the_fit_follows_the_rows() -> None:
    at = {}
    for factor in (1.0, 1.3):
        rows = diffusion_rows([measured(gpu, 1, batch, factor) for gpu in ("H100", "A100", "B200") for batch in (1, 4, 16)])
        at[factor] = predict_log_j(rows, fit(rows, np.ones(len(rows.log_j), dtype=np.bool_)))
    assert np.all(np.exp(at[1.3] - at[1.0]) > 1.1)


def test_a_known_shape_is_weighed_in_microseconds() -> None:
    pictures = prepare(FLUX, US, shipped_factors(), operation="images")
    pictures.gpu_energy_j(IMAGE_CALL)
    rounds = 2000
    start = time.perf_counter()
    for _ in range(rounds):
        pictures.gpu_energy_j(IMAGE_CALL)
    assert (time.perf_counter() - start) / rounds < 100e-6
