"""Policies by cost, latency, live intensity and conditions on real calls; caps in Gemini's dialect and in forms; forecasts by tag."""

import contextlib
import json
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import openai
import pytest

from proxy.clock import Clock
from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import GRAMMAGE, KEY, Proxy, ask, proxy, until
from tests.contract.scripted_upstream import UNTIL_LEFT, Received, Script, ScriptedUpstream, scripted_upstream, whole
from tests.contract.socket_harness import DONE, SocketUpstream, opened, refusal
from tests.intensity_samples import energy_charts

OK = whole(b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":100,"completion_tokens":50}}')


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*OK)
        yield made


@pytest.fixture
def grid() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def at(url: str, model: str, region: str = "eastus", **more: Any) -> dict[str, Any]:
    return {"provider": "azure", "model": model, "region": region, "api_base": f"{url}/v1", "api_key": "k", **more}


def decisions(made: Proxy) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [plain(row) for row in database.execute("SELECT * FROM decisions ORDER BY rowid")]


def call(made: Proxy, model: str = "any", **fields: Any) -> Any:
    """One chat by the client library; its raw answer."""
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(model=model, messages=[{"role": "user", "content": "A slogan"}], **fields)


def served(upstream: ScriptedUpstream) -> str:
    return str(json.loads(upstream.last.body)["model"])


def test_the_cheapest_by_the_owners_prices_serves(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    prices = {"dear": {"input_per_million": 5, "output_per_million": 15}, "cheap": {"input_per_million": 1, "output_per_million": 3}}
    rows = [at(upstream.url, model, order=order, price=prices.get(model)) for order, model in enumerate(("dear", "cheap", "unpriced"))]
    policy = {"name": "cheapest", "prefer": {"lowest": "cost"}, "mode": "enforce"}
    with proxy(tmp_path, models={"any": {"deployments": rows}}, policies=[policy]) as made:
        assert call(made).headers["x-grammage-policy"] == "cheapest"
        assert served(upstream) == "cheap"
        (row,) = decisions(made)
        assert (row["action"], row["reason"], row["baseline_model"], row["choice_model"]) == ("routed", "", "dear", "cheap")


def slowly(request: Received) -> Script:
    """The model `slow` takes its time."""
    if json.loads(request.body)["model"] != "slow":
        return OK
    waited = threading.Event()
    threading.Timer(0.3, waited.set).start()
    return [waited, *OK]


def test_the_fastest_lately_serves_once_all_were_tried(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.script = slowly
    rows = [at(upstream.url, "slow"), at(upstream.url, "fast", region="francecentral")]
    policy = {"name": "fastest", "prefer": {"lowest": "latency"}, "mode": "enforce"}
    with proxy(tmp_path, models={"any": {"deployments": rows}}, policies=[policy]) as made:
        seen: list[str] = []
        while set(seen) != {"slow", "fast"} and len(seen) < 40:
            call(made)
            seen.append(served(upstream))
        assert set(seen) == {"slow", "fast"}
        assert [served(upstream) for _ in range(5) if call(made)] == ["fast"] * 5


def test_a_condition_in_cel_picks_the_calls_and_one_that_fails_is_for_none(
    tmp_path: Path, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    models = {name: {"deployments": [at(upstream.url, name)]} for name in ("any", "small")}
    policy = {
        "name": "briefly",
        "when": {"expr": 'tags.market in ["fr", "be"] && input_tokens < 900 && alias == "any"'},
        "prefer": {"among": ["small"]},
        "apply": {"max_output_tokens": 9},
        "mode": "enforce",
    }
    with proxy(tmp_path, models=models, policies=[policy]) as made:
        assert call(made, extra_headers={"x-grammage-tag-market": "fr"}).headers["x-grammage-policy"] == "briefly"
        assert call(made, extra_headers={"x-grammage-tag-market": "de"}).headers["x-grammage-policy"] == "none"
        for _ in range(3):
            assert call(made).headers["x-grammage-policy"] == "none"
    said = [record.getMessage() for record in caplog.records if "condition" in record.getMessage()]
    assert len(said) == 1
    assert "briefly" in said[0]


def test_a_condition_that_is_none_keeps_the_proxy_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "grammage.yaml"
    file.write_text("policies:\n  - name: p\n    when: {expr: 'tags.market = \"fr\"'}\n    apply: {n_at_most: 1}\n")
    for command in (["check-config", str(file)], ["serve", "--config", str(file), "--port", "0"]):
        done = subprocess.run([*GRAMMAGE, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "grammage.yaml:3:" in done.stdout + done.stderr
        assert "policies[0].when.expr: is no condition in CEL" in done.stdout + done.stderr


ZONES = {"francecentral": ("FR", "fr"), "swedencentral": ("SE-SE3", "se")}
HOURLY = {"name": "greenest-hour", "prefer": {"intensity": "hourly"}, "mode": "enforce"}


def telling(figures: dict[str, object]) -> Callable[[Received], Script]:
    """A source that tells one figure per country, for the quarters around now."""
    first_s = Clock().now_ms() / 1000 // 900 * 900 - 1800

    def script(request: Received) -> Script:
        (country,) = parse_qs(urlsplit(request.target).query)["country"]
        figure = figures[country]
        return [UNTIL_LEFT] if figure is None else whole(energy_charts([figure] * 4, [None] * 4, first_s=first_s))

    return script


@contextlib.contextmanager
def by_the_hour(folder: Path, upstream: ScriptedUpstream, grid: ScriptedUpstream, figures: dict[str, object]) -> Iterator[Proxy]:
    grid.script = telling(figures)
    rows = [at(upstream.url, f"in-{region}", region=region, order=order) for order, region in enumerate(ZONES)]
    sources = [{"kind": "energy-charts", "zones": [name.upper()], "url": grid.url} for _, name in ZONES.values()]
    with proxy(folder, models={"any": {"deployments": rows}}, policies=[HOURLY], intensity={"sources": sources}) as made:
        until(lambda: True if {parse_qs(urlsplit(each.target).query)["country"][0] for each in grid.received} == {"fr", "se"} else None)
        yield made


def told_zones(made: Proxy) -> set[str]:
    lines = made.get("/metrics").body.decode().splitlines()
    return {zone for zone in ("FR", "SE") if any("carbon_intensity_age_seconds" in line and f'zone="{zone}"' in line for line in lines)}


@pytest.mark.parametrize(
    ("figures", "expected"), [({"fr": 12.0, "se": 90.0}, "francecentral"), ({"fr": 90.0, "se": 12.0}, "swedencentral")]
)
def test_calls_follow_the_hour_and_totals_the_year(
    tmp_path: Path, upstream: ScriptedUpstream, grid: ScriptedUpstream, figures: dict[str, object], expected: str
) -> None:
    with by_the_hour(tmp_path, upstream, grid, figures) as made:
        until(lambda: told_zones(made) == {"FR", "SE"} or None)
        raw = call(made)
        assert served(upstream) == f"in-{expected}"
        (row,) = decisions(made)
        assert row["reason"] == "hourly"
        assert row["choice_zone"] == ZONES[expected][0]
        record = made.get(f"/v1/footprint/{raw.headers['x-grammage-call-id']}").json
        (estimate,) = record["attempts"][0]["estimates"]
        assert estimate["intensity_source"] != "energy-charts"
        assert record["attempts"][0]["hourly_intensity"]["gco2e_per_kwh"] == 12.0


@pytest.mark.parametrize("lie", ["NaN", 0, -20, 1e6, None])
def test_a_source_that_lies_or_stalls_changes_no_decision(
    tmp_path: Path, upstream: ScriptedUpstream, grid: ScriptedUpstream, lie: object
) -> None:
    with by_the_hour(tmp_path, upstream, grid, {"fr": 12.0, "se": lie}) as made:
        until(lambda: told_zones(made) == {"FR"} or None)
        call(made)
        assert served(upstream) == "in-swedencentral", "by the year Sweden's grid has less"
        assert decisions(made)[0]["reason"] == "hourly_unknown"


def test_caps_are_written_into_geminis_dialect_and_into_forms(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    drawn = whole(b'{"created":1,"data":[{"b64_json":"aGk="}],"usage":{"input_tokens":9,"output_tokens":90,"total_tokens":99}}')
    said = whole(b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}')
    models = {
        "gem": {
            "deployments": [
                {
                    "provider": "google",
                    "model": "gemini-2.5-flash",
                    "api_base": f"{upstream.url}/v1beta",
                    "api_key": "k",
                    "dialects": ["gemini"],
                }
            ]
        },
        "visuals": {"deployments": [at(upstream.url, "gpt-image-1")]},
    }
    caps = {"max_output_tokens": 40, "n_at_most": 1, "image_size_at_most": "1024x1024", "image_quality_at_most": "low"}
    with proxy(tmp_path, models=models, policies=[{"name": "capped", "apply": caps, "mode": "enforce"}]) as made:
        upstream.answers(*said)
        answer = made.post(
            "/v1beta/models/gem:generateContent",
            b'{"contents":[{"parts":[{"text":"Hi"}]}], "generationConfig": {"topK": 3, "candidateCount": 4} }',
        )
        assert (answer.status, answer.ours["altered"]) == (200, "max_tokens,n")
        assert (
            upstream.last.body
            == b'{"contents":[{"parts":[{"text":"Hi"}]}], "generationConfig": {"maxOutputTokens":40,"topK": 3, "candidateCount": 1} }'
        )
        upstream.answers(*drawn)
        with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
            raw = client.images.with_raw_response.edit(
                model="visuals", image=("a.png", b"\x89PNG\r\n..", "image/png"), prompt="Brighter", n=3, quality="high"
            )
        assert raw.headers["x-grammage-altered"] == "n,size,quality"
        form = upstream.last.body
        assert b"\x89PNG\r\n.." in form
        texts = {
            name: form.split(b'name="%b"\r\n\r\n' % name, 1)[1].split(b"\r\n", 1)[0]
            for name in (b"n", b"size", b"quality", b"prompt", b"model")
        }
        assert texts == {b"n": b"1", b"size": b"1024x1024", b"quality": b"low", b"prompt": b"Brighter", b"model": b"gpt-image-1"}


REGIONS_ONLY = {"name": "sweden", "require": {"region_in": "swedencentral"}, "otherwise": "refuse", "mode": "enforce"}


def test_a_socket_is_held_to_what_policies_require(tmp_path: Path, provider: SocketUpstream) -> None:
    rows = [at(provider.url, "gpt-realtime-us"), at(provider.url, "gpt-realtime-se", "swedencentral", order=1)]
    models = {"gpt-realtime": {"deployments": rows}, "elsewhere": {"deployments": rows[:1]}}
    with proxy(tmp_path, models=models, policies=[REGIONS_ONLY]) as made:
        provider.says(DONE)
        with opened(made) as socket:
            socket.send("{}")
            assert socket.recv(timeout=15) == DONE
        assert "gpt-realtime-se" in provider.last.path
        assert made.recorded()[0]["policy"] == "sweden"
        refused = refusal(made, "/v1/realtime?model=elsewhere")
        assert (refused.status_code, json.loads(refused.body or b"{}")["error"]["code"]) == (422, "policy_refused")
        assert "region_in" in json.loads(refused.body or b"{}")["error"]["message"]
        assert len(provider.opened) == 1


def forecast(made: Proxy, **tags: str) -> float:
    answer = made.chat(
        ask(model="any"), **{"x-grammage-dry-run": "true", **{f"x-grammage-tag-{name}": value for name, value in tags.items()}}
    )
    return float(answer.json["forecast"]["gco2e"])


def test_forecasts_follow_what_calls_with_the_same_tags_had(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    def script(request: Received) -> Script:
        long = request.value("x-grammage-tag-stage") is None and b"final" in request.body
        tokens = 900 if long else 20
        return whole(b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":100,"completion_tokens":%d}}' % tokens)

    upstream.script = script
    with proxy(tmp_path, models={"any": {"deployments": [at(upstream.url, "gpt-4o")]}}) as made:
        for stage in ("draft", "final") * 6:
            made.chat(ask(model="any", messages=[{"role": "user", "content": stage}]), **{"x-grammage-tag-stage": stage})
        assert forecast(made, stage="final") > 5 * forecast(made, stage="draft")
