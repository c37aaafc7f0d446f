"""Metrics: what is counted, which label values may appear, and how many."""

import threading
from types import SimpleNamespace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from config.series import MOST_SERIES
from config.settings import Settings
from config.tables import Tables, load_tables
from estimators.usage import Media, Usage
from proxy.metrics import Metrics
from proxy.metrics.labels import Labels, label_name
from tests.sample_records import CALL_ID, attempt, call, estimate

SETTINGS = Settings.model_validate(
    {
        "tags": {"campaign": ["noel-26"], "brand": []},
        "keys": [{"key": "secret-key", "name": "a", "tags": {"brand": "acme", "asset": "x"}}],
        "models": {
            "small": {"deployments": [{"provider": "mistral", "model": "mistral-small", "region": "swedencentral"}]},
            "flash": {"deployments": [{"provider": "gemini"}]},
            "gpt-*": {"deployments": [{"provider": "openai"}]},
        },
    }
)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.fixture
def metrics(tables: Tables) -> Metrics:
    return Metrics(SETTINGS, tables, version="1.2.3")


def values(metrics: Metrics, name: str) -> dict[frozenset[tuple[str, str]], float]:
    body, _ = metrics.render("")
    samples = (sample for family in text_string_to_metric_families(body.decode()) for sample in family.samples)
    return {frozenset(sample.labels.items()): sample.value for sample in samples if sample.name == name}


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return values(metrics, name)[frozenset(labels.items())]


def test_a_call_is_counted_in_tokens_joules_and_grams(metrics: Metrics) -> None:
    metrics.observe(call())
    tags = {"campaign": "noel-26", "brand": "unassigned", "model": "gpt-4o-mini"}
    opinion = estimate()
    assert value(metrics, "grammage_requests_total", operation="chat", provider="openai", model="gpt-4o-mini", outcome="ok") == 1
    assert value(metrics, "grammage_input_tokens_total", **tags) == 100
    assert value(metrics, "grammage_output_tokens_total", **tags) == 50
    assert value(metrics, "grammage_cached_input_tokens_total", model="gpt-4o-mini") == 20
    assert value(metrics, "grammage_reasoning_output_tokens_total", model="gpt-4o-mini") == 10
    assert value(metrics, "grammage_energy_joules_total", **tags, zone="US") == pytest.approx(opinion.facility_energy_wh.mean * 3600)
    for phase, grams in (("operational", opinion.operational_gco2e), ("embodied", opinion.embodied_gco2e)):
        where = {**tags, "zone": "US", "phase": phase}
        assert value(metrics, "grammage_emissions_co2e_grams_total", **where) == pytest.approx(grams.mean)
        assert value(metrics, "grammage_emissions_co2e_low_grams_total", **where) == pytest.approx(grams.p5)
        assert value(metrics, "grammage_emissions_co2e_high_grams_total", **where) == pytest.approx(grams.p95)
    assert value(metrics, "grammage_grid_carbon_intensity_grams_per_kilowatt_hour", zone="US", source="ember-2025") == 400
    assert value(metrics, "grammage_usage_source_total", source="provider") == 1
    assert value(metrics, "grammage_quality_total", tier="D") == 1
    assert value(metrics, "grammage_policy_decisions_total", policy="none", action="none") == 1
    assert value(metrics, "grammage_request_duration_seconds_sum", operation="chat", model="gpt-4o-mini") == 1.25
    assert value(metrics, "grammage_time_to_first_token_seconds_sum", model="gpt-4o-mini") == 0.4
    assert value(metrics, "grammage_proxy_overhead_seconds_bucket", le="0.001") == 1


def test_pictures_and_seconds_are_counted_and_unknown_lengths_add_nothing(metrics: Metrics) -> None:
    heard = Media(images=2, audio_input_seconds=30.0, audio_output_seconds=1.5, video_seconds=8.0)
    for media in (heard, Media(images=1, characters=400)):
        metrics.observe(call(attempts=(attempt(usage=Usage(media=media)),)))
    metrics.observe(call())
    tags = {"campaign": "noel-26", "brand": "unassigned", "model": "gpt-4o-mini"}
    counted = [value(metrics, f"grammage_{name}_total", **tags) for name in ("images", "audio_seconds", "video_seconds")]
    assert counted == [3, 31.5, 8]


def test_every_attempt_adds_its_own_tokens_in_its_own_zone(metrics: Metrics) -> None:
    second = attempt(zone="SE", usage=Usage(input_tokens=7, output_tokens=3, source="counted"), ordinal=1)
    metrics.observe(call(attempts=(attempt(), second)))
    assert value(metrics, "grammage_input_tokens_total", campaign="noel-26", brand="unassigned", model="gpt-4o-mini") == 107
    energies = values(metrics, "grammage_energy_joules_total")
    assert {dict(labels)["zone"] for labels, joules in energies.items() if joules} == {"US", "SE"}
    assert sum(values(metrics, "grammage_requests_total").values()) == 1


def test_a_call_that_could_not_be_weighed_is_counted_by_reason(metrics: Metrics) -> None:
    metrics.observe(call(attempts=(attempt(estimate=None, unweighed_reason="weighing_failed"),)))
    assert value(metrics, "grammage_unweighed_calls_total", reason="weighing_failed") == 1


def test_a_call_that_generated_nothing_is_not_unweighed(metrics: Metrics) -> None:
    nothing = attempt(estimate=None, usage=None, unweighed_reason="not_generated", outcome="upstream_error", status=429)
    metrics.observe(call(attempts=(nothing,), outcome="upstream_error", status=429))
    assert set(values(metrics, "grammage_unweighed_calls_total").values()) == {0}
    assert (
        value(metrics, "grammage_requests_total", operation="chat", provider="openai", model="gpt-4o-mini", outcome="upstream_error") == 1
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), ("unassigned", "unassigned")),
        ((("campaign", "noel-26"), ("brand", "acme")), ("noel-26", "acme")),
        ((("campaign", "mine"), ("brand", "mine"), ("asset", "x")), ("other", "other")),
    ],
)
def test_tag_labels_hold_declared_values_only(tables: Tables, tags: tuple[tuple[str, str], ...], expected: tuple[str, str]) -> None:
    labels = Labels(SETTINGS, tables.catalogue)
    assert labels.names == ("campaign", "brand")
    assert labels.tags(tags) == expected


def test_model_labels_are_aliases_catalogue_ids_or_patterns_else_other(tables: Tables) -> None:
    labels = Labels(SETTINGS, tables.catalogue, built_in=("sim-*",))
    assert labels.model("small") == "small"
    assert labels.model("sim-anything") == "sim-*"
    assert labels.model("gpt-invented-by-a-client") == "gpt-*"
    assert labels.model("gpt-4o-mini") == "gpt-4o-mini"
    assert labels.model("gpt-4o-mini-2024-07-18") == "gpt-4o-mini"
    assert labels.model("my own fine thing \n") == "other"


def test_a_tag_that_is_called_like_a_label_of_ours_gets_a_prefix() -> None:
    assert [label_name(tag) for tag in ("model", "cost-centre", "__x", "2nd", "brand")] == [
        "tag_model",
        "cost_centre",
        "tag___x",
        "tag_2nd",
        "brand",
    ]


def test_known_label_sets_start_at_zero(metrics: Metrics) -> None:
    assert value(metrics, "grammage_requests_total", operation="chat", provider="mistral", model="small", outcome="ok") == 0
    assert value(metrics, "grammage_requests_total", operation="chat", provider="google-gemini", model="flash", outcome="ok") == 0
    assert value(metrics, "grammage_input_tokens_total", campaign="noel-26", brand="acme", model="small") == 0
    assert value(metrics, "grammage_quality_total", tier="A") == 0
    assert value(metrics, "grammage_usage_source_total", source="estimated") == 0
    assert value(metrics, "grammage_label_overflow_total") == 0


def test_beyond_the_cap_new_combinations_are_all_other(tables: Tables) -> None:
    names = [f"value-{number}" for number in range(1_000)]
    metrics = Metrics(Settings(tags={"campaign": names}), tables)
    for name in names:
        metrics.observe(call(tags=(("campaign", name),)))
    body, _ = metrics.render("")
    assert sum(1 for line in body.splitlines() if not line.startswith(b"#")) <= MOST_SERIES + 100
    counted = values(metrics, "grammage_input_tokens_total")
    assert sum(counted.values()) == 100 * len(names)
    folded = value(metrics, "grammage_input_tokens_total", campaign="other", model="other")
    assert folded == 100 * value(metrics, "grammage_label_overflow_total")
    assert folded > 0


def test_invented_model_names_make_no_new_series(metrics: Metrics) -> None:
    before = len(values(metrics, "grammage_requests_total"))
    for number in range(50):
        metrics.observe(call(alias=f"invented-{number}"))
    assert len(values(metrics, "grammage_requests_total")) == before + 1


def test_reasons_without_end_are_folded(metrics: Metrics) -> None:
    for number in range(200):
        metrics.observe(call(attempts=(attempt(estimate=None, unweighed_reason=f"reason-{number}"),)))
    counted = values(metrics, "grammage_unweighed_calls_total")
    assert sum(counted.values()) == 200
    assert len(counted) == 65


def test_unmetered_paths_are_counted_by_the_resource_they_are_about(metrics: Metrics) -> None:
    for path in ("/v1/files/file-1?key=secret", "/llm/v1/files", "/v1/wp-login.php", "/v1/", "/v1/\n"):
        metrics.observe_passthrough(path, 404)
    assert values(metrics, "grammage_passthrough_requests_total") == {
        frozenset({("kind", "files"), ("status", "4xx")}): 2,
        frozenset({("kind", "other"), ("status", "4xx")}): 3,
    }


def test_exemplars_carry_the_call_id_in_openmetrics_only(metrics: Metrics) -> None:
    metrics.observe(call())
    plain, plain_type = metrics.render("text/plain")
    rich, rich_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert CALL_ID.encode() not in plain
    assert plain_type.startswith("text/plain")
    assert f'# {{call_id="{CALL_ID}"}}'.encode() in rich
    assert rich_type.startswith("application/openmetrics-text")


def test_each_bucket_of_a_histogram_points_at_its_latest_call(metrics: Metrics) -> None:
    for call_id, latency_s in (("call-a", 1.5), ("call-b", 2.0), ("call-c", 40.0)):
        metrics.observe(call(call_id=call_id, latency_s=latency_s))
    rich, _ = metrics.render("application/openmetrics-text; version=1.0.0")
    families = openmetrics_families(rich.decode())  # type: ignore[no-untyped-call]  # the library has not typed it
    samples = (sample for family in families for sample in family.samples)
    pointers = {
        sample.labels["le"]: (sample.exemplar.labels, sample.exemplar.value)
        for sample in samples
        if sample.name == "grammage_request_duration_seconds_bucket" and sample.exemplar is not None
    }
    assert pointers == {"2.5": ({"call_id": "call-b"}, 2.0), "60.0": ({"call_id": "call-c"}, 40.0)}


def test_junk_models_tags_and_paths_in_great_number_make_few_series(metrics: Metrics) -> None:
    for number in range(50_000):
        junk = f'junk-{number}-\n"{{}}'
        metrics.observe(call(alias=junk, tags=(("campaign", junk), ("brand", junk), (junk, junk))))
        metrics.observe_passthrough(f"/v1/{junk}/{number}", 404)
    body, _ = metrics.render("")
    assert b"junk" not in body
    assert sum(1 for line in body.splitlines() if not line.startswith(b"#")) < 400
    folded = value(metrics, "grammage_input_tokens_total", campaign="other", brand="other", model="other")
    assert folded == 50_000 * 100
    assert values(metrics, "grammage_passthrough_requests_total") == {frozenset({("kind", "other"), ("status", "4xx")}): 50_000}


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/openmetrics-text; version=a.b",
        "\x00;;,",
        "text/plain; version=zz",
        "application/openmetrics-text; version=99.0.0; escaping=loud",
    ],
)
def test_any_accept_header_gets_an_exposition(metrics: Metrics, accept: str) -> None:
    body, content_type = metrics.render(accept)
    assert b"grammage_build_info" in body
    assert content_type


def test_versions_and_reloads_are_told(metrics: Metrics, tables: Tables) -> None:
    metrics.config_reloaded(ok=False)
    assert value(metrics, "grammage_config_reload_success") == 0
    assert value(metrics, "grammage_factors_info", version=tables.factors.version, sha256=tables.factors.fingerprint) == 1
    assert [dict(labels)["version"] for labels in values(metrics, "grammage_build_info")] == ["1.2.3"]


def test_the_ledger_and_the_log_are_read_when_rendered(metrics: Metrics) -> None:
    ledger = SimpleNamespace(queued=3, spooled_total=2, failures_total=1, last_commit_s=0.004, oldest_age_s=lambda: 1.5)
    metrics.watch_ledger(ledger)
    metrics.watch_log(SimpleNamespace(dropped_total=9))
    ledger.queued = 4
    told = [value(metrics, f"grammage_{name}") for name in ("ledger_queue_calls", "ledger_oldest_call_seconds", "ledger_commit_seconds")]
    assert told == [4, 1.5, 0.004]
    counted = [value(metrics, f"grammage_{name}_total") for name in ("ledger_spooled", "ledger_failures", "log_dropped_lines")]
    assert counted == [2, 1, 9]


def test_rendering_in_a_thread_while_calls_are_counted_is_safe(metrics: Metrics) -> None:
    bodies: list[bytes] = []
    thread = threading.Thread(target=lambda: bodies.extend(metrics.render("")[0] for _ in range(5)))
    thread.start()
    for number in range(300):
        metrics.observe(call(attempts=(attempt(zone=f"Z{number}"),)))
    thread.join()
    assert len(bodies) == 5
    assert sum(values(metrics, "grammage_requests_total").values()) == 300
