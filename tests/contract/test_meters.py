"""Energy that a provider returns, and meters of one's own servers, against local servers in their shapes. It must never change a byte."""

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from config.check import find_faults, start_refusals
from config.deployment import Deployment, Meter
from config.places import Places
from config.settings import Settings
from config.tables import load_tables
from proxy.http_client import FetchError, close_session, fetch, open_session
from proxy.meters.board import Board, MeterOf
from proxy.policy.candidates import Candidate, candidates_from
from tests.contract.proxy_harness import ask, proxy, until, without_footprint
from tests.contract.scripted_upstream import Received, Script, ScriptedUpstream, scripted_upstream, streamed, whole

USAGE = {"prompt_tokens": 100, "completion_tokens": 400, "total_tokens": 500}
ENERGY = {
    "energy_joules": 720.0,
    "energy_kwh": 0.0002,
    "avg_power_watts": 3109.0,
    "duration_seconds": 0.613,
    "attribution_method": "prorated_multi_gpu_8",
    "attribution_ratio": 0.1,
}
IMPACT = {
    "version": "20250922",
    "inferenceTime": {"total": 4000, "unit": "ms"},
    "energy": {"total": 1080000, "unit": "Wms"},
    "emissions": {"total": 30, "unit": "ugCO2e"},
}
ASKED = ask(stream=True, stream_options={"include_usage": True})
CHOICES = [{"index": 0, "message": {"role": "assistant", "content": "Soft, warm."}, "finish_reason": "stop"}]
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def answer(**members: Any) -> bytes:
    return json.dumps(
        {"id": "c", "object": "chat.completion", "model": "gpt-4o-mini", "choices": CHOICES, "usage": USAGE, **members}
    ).encode()


def event(**members: Any) -> bytes:
    document = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [], **members}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


HELLO = event(choices=[{"index": 0, "delta": {"content": "Soft"}, "finish_reason": None}])
COMMENT = b": energy " + json.dumps(ENERGY).encode() + b"\n\n"


def warnings_of(call: dict[str, Any]) -> list[str]:
    return str(call["warnings"]).split(",")


def test_energy_in_the_body_weighs_the_call_and_stays_in_the_body(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    body = answer(energy=ENERGY)
    upstream.answers(*whole(body))
    with proxy(tmp_path, upstream.url) as made:
        reply = made.chat()
        call = made.call()
        record = made.get(f"/v1/footprint/{reply.ours['call-id']}").json
    assert without_footprint(reply.body) == body
    kept = {"energy_wh": pytest.approx(0.2), "boundary": "gpu", "source": "neuralwatt", "shared": True}
    assert record["attempts"][0]["usage"]["metered"] == kept
    assert reply.ours["method"] == "metered@1.0.0"
    assert reply.json["usage"]["footprint"]["method"] == "metered@1.0.0"
    assert call["facility_energy_wh"] > 0.2
    assert {"metered-gpu", "meter-shared"} <= set(warnings_of(call))


@pytest.mark.parametrize(
    "parts",
    [
        [HELLO, event(usage=USAGE), COMMENT, DONE],
        [HELLO, event(usage=USAGE) + COMMENT + DONE],
        [HELLO, COMMENT, event(usage=USAGE), DONE],
        [HELLO, event(usage=USAGE), COMMENT[:20], COMMENT[20:] + DONE],
        [HELLO, event(usage=USAGE), b": cost {}\n\n" + COMMENT.replace(b"\n", b"\r\n"), DONE],
    ],
)
def test_energy_in_a_comment_weighs_the_stream_and_passes_unchanged(tmp_path: Path, upstream: ScriptedUpstream, parts: list[bytes]) -> None:
    upstream.answers(*streamed(*parts))
    with proxy(tmp_path, upstream.url) as made:
        reply = made.chat(ASKED)
        (call,) = made.recorded()
    assert without_footprint(reply.body) == b"".join(parts)
    assert {"metered-gpu", "meter-shared"} <= set(warnings_of(call))


def test_a_comment_reaches_a_client_that_did_not_ask_for_usage(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*streamed(HELLO, event(usage=USAGE), COMMENT, DONE))
    with proxy(tmp_path, upstream.url) as made:
        reply = made.chat(ask(stream=True))
        (call,) = made.recorded()
    assert reply.body == HELLO + COMMENT + DONE
    assert "metered-gpu" in warnings_of(call)


def test_impact_in_the_last_chunk_weighs_the_stream_at_the_facility(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    parts = [HELLO, event(usage=USAGE, impact=IMPACT), DONE]
    upstream.answers(*streamed(*parts))
    with proxy(tmp_path, upstream.url) as made:
        reply = made.chat(ASKED)
        (call,) = made.recorded()
    assert without_footprint(reply.body) == b"".join(parts)
    assert call["facility_energy_wh"] == pytest.approx(0.3, rel=1e-6)
    assert {"metered-facility", "energy-from-running-time"} <= set(warnings_of(call))


def test_impact_in_the_body_is_facility_energy_as_it_stands(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(answer(impact=IMPACT)))
    with proxy(tmp_path, upstream.url) as made:
        made.chat()
        assert made.call()["facility_energy_wh"] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize("joules", [-5, 0, 1e15, "many", None])
def test_a_figure_that_cannot_be_leaves_the_call_to_the_model(tmp_path: Path, upstream: ScriptedUpstream, joules: Any) -> None:
    upstream.answers(*whole(answer(energy={"energy_joules": joules})))
    with proxy(tmp_path, upstream.url) as made:
        reply = made.chat()
        call = made.call()
    assert reply.ours["method"].startswith("tokens@")
    assert ("meter-invalid" in warnings_of(call)) is (joules is not None)


def test_a_configured_order_may_leave_meters_out(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(answer(energy=ENERGY)))
    with proxy(tmp_path, upstream.url, weighing={"methods": ["disclosed", "tokens"]}) as made:
        assert made.chat().ours["method"].startswith("tokens@")


def test_a_stream_cut_before_its_end_is_not_weighed_by_a_part(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*streamed(HELLO, COMMENT, end=False))
    with proxy(tmp_path, upstream.url) as made:
        made.chat(ASKED)
        (call,) = made.recorded()
    assert not [warning for warning in warnings_of(call) if warning.startswith("meter")]


class Beat:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def perf(self) -> float:
        return self.at


def vector(*samples: tuple[dict[str, str], float]) -> bytes:
    result = [{"metric": labels, "value": [1763900000.0, repr(value)]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def dcgm(total_j: float) -> bytes:
    """Two GPUs that split `total_j`, as DCGM counts: in mJ since boot."""
    gpus = [{"Hostname": "gpu-3", "gpu": str(gpu), "UUID": f"GPU-{gpu}"} for gpu in (0, 1)]
    return vector(*((labels, 5e9 + total_j * 500) for labels in gpus))


def kepler(total_j: float) -> bytes:
    """Processors, memory and a GPU of one node, in joules."""
    package, dram = {"zone": "package", "path": "/sys/intel-rapl:0"}, {"zone": "dram", "path": "/sys/intel-rapl:0:0"}
    return vector(
        ({"__name__": "kepler_node_cpu_joules_total", "node_name": "n1", **package}, 100 + total_j * 0.2),
        ({"__name__": "kepler_node_cpu_joules_total", "node_name": "n1", **dram}, 50 + total_j * 0.1),
        ({"__name__": "kepler_node_gpu_joules_total", "node_name": "n1", "gpu": "0", "vendor": "nvidia"}, 9e6 + total_j * 0.7),
    )


def tensorrt(total_j: float) -> bytes:
    return json.dumps({"total_energy_j": round(total_j, 4), "query_time": 12345.6}).encode()


SERVERS: dict[str, tuple[Callable[[float], bytes], dict[str, str], str]] = {
    "dcgm": (dcgm, {"Hostname": "gpu-3"}, "/api/v1/query"),
    "kepler": (kepler, {"node_name": "n1"}, "/api/v1/query"),
    "tensorrt-llm": (tensorrt, {}, "/energy_metrics"),
}


def on_loop(step: Callable[[Callable[..., Coroutine[Any, Any, bytes]]], Coroutine[Any, Any, Any]]) -> None:
    """Runs `step` with a fetch through the process's own client."""

    async def run() -> None:
        session = open_session()
        try:
            await step(partial(fetch, session))
        finally:
            await close_session(session)

    asyncio.run(run())


@pytest.mark.parametrize("kind", sorted(SERVERS))
def test_a_meter_is_asked_in_its_shape_and_shared_by_tokens_and_time(upstream: ScriptedUpstream, kind: str) -> None:
    page, labels, path = SERVERS[kind]
    beat = Beat()
    meter = Meter.model_validate({"kind": kind, "url": upstream.url, "labels": labels, "interval_s": 10, "token": "t0ken"})

    async def steps(fetch_page: Any) -> None:
        made = MeterOf(meter, fetch_page, beat)  # type: ignore[arg-type]  # a clock that a test moves
        upstream.answers(*whole(page(0)))
        await made.poll()
        assert made.share(100, 1001, 1004) is None
        assert made.share(300, 1002, 1009) is None
        beat.at = 1010
        upstream.answers(*whole(page(1000)))
        await made.poll()
        found = made.share(100, 1010, 1010.5)
        assert found is not None
        assert found.energy_wh == pytest.approx(250 / 3600)
        assert (found.boundary, found.source, found.shared) == ("it" if kind == "kepler" else "gpu", kind, True)

    on_loop(steps)
    target = urlsplit(upstream.last.target)
    assert target.path == path
    assert upstream.last.value("authorization") == b"Bearer t0ken"
    (query,) = parse_qs(target.query).get("query", [""])
    assert all(f'{name}="{value}"' in query for name, value in labels.items())


@pytest.mark.parametrize(
    "bad",
    [
        whole(b"{}", status=b"503 Service Unavailable"),
        whole(b"<html>", kind=b"text/html"),
        whole(b'{"status":"error","errorType":"bad_data","error":"parse error"}'),
        whole(b"", (b"location", b"http://127.0.0.1:9/"), status=b"302 Found"),
        [],
    ],
)
def test_a_meter_that_fails_is_silent_and_comes_back(upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture, bad: Script) -> None:
    beat = Beat()
    meter = Meter(kind="dcgm", url=upstream.url, labels={"Hostname": "gpu-3"}, interval_s=10)

    async def steps(fetch_page: Any) -> None:
        made = MeterOf(meter, fetch_page, beat)  # type: ignore[arg-type]  # a clock that a test moves
        for at, script in ((0, whole(dcgm(0))), (10, whole(dcgm(400))), (20, bad), (30, bad), (45, bad)):
            beat.at = 1000 + at
            upstream.answers(*script)
            await made.poll()
            made.share(50, beat.at - 2, beat.at - 1)
        assert made.share(50, 1043, 1044) is None
        for at, joules in ((50, 9000), (60, 9400)):
            beat.at = 1000 + at
            upstream.answers(*whole(dcgm(joules)))
            await made.poll()
            found = made.share(50, beat.at - 1, beat.at)
        assert found is not None

    with caplog.at_level("INFO", logger="grammage.meters"):
        on_loop(steps)
    assert [entry.levelname for entry in caplog.records] == ["WARNING", "INFO"]
    assert upstream.url not in caplog.text


def test_a_meter_that_nobody_serves_is_silent(upstream: ScriptedUpstream) -> None:
    async def steps(fetch_page: Any) -> None:
        with pytest.raises(FetchError, match="cannot be reached"):
            await fetch_page("http://127.0.0.1:9/api/v1/query", {}, {})

    on_loop(steps)


def _deployments(url: str, count: int) -> tuple[Candidate, ...]:
    meter = {"kind": "tensorrt-llm", "url": url}
    deployments = [
        {"provider": "local", "model": f"m{place}", "api_base": "http://127.0.0.1:1/v1", "meter": meter} for place in range(count)
    ]
    settings = Settings.model_validate({"models": {"m": {"deployments": deployments}}})
    places: Places = load_tables().places
    return candidates_from(settings, places).exact["m"]


def test_deployments_on_one_meter_share_its_account(upstream: ScriptedUpstream) -> None:
    first, second = _deployments(upstream.url, 2)

    async def steps(fetch_page: Any) -> None:
        board = Board((first, second), fetch_page, Beat())  # type: ignore[arg-type]  # a clock that a test moves
        assert len(board.meters) == 1
        assert board.of(first) is board.of(second)

    on_loop(steps)


def test_a_served_call_is_weighed_by_the_meter_of_its_deployment_once_that_has_counted(tmp_path: Path) -> None:
    counter = itertools.count(0, 1000)
    with scripted_upstream() as server, scripted_upstream() as prometheus:
        server.answers(*whole(answer()))
        prometheus.script = lambda request: whole(dcgm(next(counter)))
        meter = {"kind": "dcgm", "url": prometheus.url, "labels": {"Hostname": "gpu-3"}, "interval_s": 1}
        deployment = {"provider": "local", "model": "gpt-4o-mini", "api_base": f"{server.url}/v1", "api_key": "k", "meter": meter}
        with proxy(tmp_path, models={"m": {"deployments": [deployment]}}) as made:
            _until_asked(prometheus, 1)
            early = made.chat(ask(model="m"))
            _until_asked(prometheus, len(prometheus.received) + 2)
            late = made.chat(ask(model="m"))
            calls = made.calls()
    assert early.ours["method"].startswith("tokens@")
    assert "meter-silent" in warnings_of(calls[0])
    assert late.ours["method"] == "metered@1.0.0"
    assert {"metered-gpu", "meter-shared"} <= set(warnings_of(calls[1]))


def _until_asked(server: ScriptedUpstream, times: int) -> Received:
    return until(lambda: server.received[-1] if len(server.received) >= times else None)


def _faults(**meter: Any) -> list[str]:
    deployment = Deployment.model_validate({"provider": "openai", "meter": {"url": "http://p:9090", **meter}})
    settings = Settings.model_validate({"models": {"m": {"deployments": [deployment]}}})
    return [".".join(map(str, fault.path[4:])) + ": " + fault.message for fault in find_faults(settings)]


def test_a_meter_that_cannot_work_is_refused_before_the_start() -> None:
    assert not _faults(kind="dcgm", labels={"Hostname": "gpu-3"})
    assert not _faults(kind="tensorrt-llm")
    assert not _faults(kind="query", query="sum(pdu_joules_total)", boundary="facility")
    assert "without labels every machine" in _faults(kind="dcgm")[0]
    assert "needs `query:`" in _faults(kind="query", boundary="it")[0]
    assert "needs `boundary:`" in _faults(kind="query", query="x")[0]
    assert "leave it out" in _faults(kind="tensorrt-llm", query="x")[0]
    assert "label name" in _faults(kind="dcgm", labels={'a="b",c': "d"})[0]
    assert _faults(kind="tensorrt-llm", url="p:9090")[0].startswith("meter.url")


def test_several_workers_cannot_share_a_meter() -> None:
    deployment = {"provider": "openai", "meter": {"kind": "tensorrt-llm", "url": "http://t:8000"}}
    settings = Settings.model_validate({"models": {"m": {"deployments": [deployment]}}, "redis": "redis://r"})
    assert not start_refusals(settings)
    shared = settings.model_copy(update={"server": settings.server.model_copy(update={"workers": 2})})
    assert "each charge the whole of a `meter:`" in start_refusals(shared)[0]
