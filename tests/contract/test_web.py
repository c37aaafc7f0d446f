"""Our own API over ASGI, with a real ledger and the real tables: who may read what, and what is answered."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.settings import Settings
from config.tables import Tables, load_tables
from estimators.usage import Media, Metered, Usage
from proxy.auth import Doorkeeper
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.store import Store
from proxy.web import Deployed, WebRooms, create_web
from tests.sample_records import CALL_ID, attempt, call, estimate

OTHER_ID = "01980000-0000-7000-8000-0000000000ff"
KEYS = [
    {"key": "caller-key", "name": "team-a"},
    {"key": "other-key-1", "name": "team-b"},
    {"key": "viewer-key", "name": "eyes", "role": "viewer"},
    {"key": "admin-key-1", "name": "boss", "role": "admin"},
]
OPEN = Settings()
KEYED = Settings.model_validate({"keys": KEYS, "server": {"base_path": "/llm"}})
ASK = {"model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 200}
FIGURES = ("gco2e", "gco2e_low", "gco2e_high", "energy_wh", "operational_gco2e", "embodied_gco2e", "water_ml")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(f"sqlite:///{tmp_path}/ledger.db")
    made.upgrade()
    made.open_writer("commit")
    made.write([call()])
    return made


def rooms_of(settings: Settings, tables: Tables, store: Store) -> WebRooms:
    doorkeeper = Doorkeeper(settings, b"secret")
    sweden = tables.places.resolve("azure", region="swedencentral")
    return WebRooms(
        render_metrics=lambda accept: (b"grammage_build_info 1\n", f"text/plain; was={accept}"),
        find_call=store.find,
        authorise=lambda scope: doorkeeper.identify(scope["headers"]),
        unready=tuple,
        deployed=lambda alias: Deployed("gpt-4o-mini", sweden) if alias == "small" else None,
        usual_output_tokens=lambda alias: 300,
        tables=tables,
        settings=settings,
        version="9.9",
    )


class Client(httpx.AsyncClient):
    """Speaks to the application in process."""

    def __init__(self, rooms: WebRooms, *, trusted: bool = False) -> None:
        transport = httpx.ASGITransport(create_web(rooms, trusted=trusted), raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://grammage")


@pytest.fixture
async def keyed(tables: Tables, store: Store) -> AsyncIterator[Client]:
    async with Client(rooms_of(KEYED, tables, store)) as client:
        yield client
    store.close()


@pytest.fixture
async def unkeyed(tables: Tables, store: Store) -> AsyncIterator[Client]:
    async with Client(rooms_of(OPEN, tables, store)) as client:
        yield client
    store.close()


def with_key(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def error_of(reply: httpx.Response) -> dict[str, Any]:
    body = reply.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    assert body["error"]["type"] == "grammage_error"
    return dict(body["error"])


@pytest.mark.parametrize(
    ("key", "status"), [("viewer-key", 200), ("admin-key-1", 200), ("caller-key", 403), ("stranger-key", 401), (None, 401)]
)
async def test_metrics_need_an_admin_or_a_viewer_once_keys_exist(keyed: Client, key: str | None, status: int) -> None:
    reply = await keyed.get("/metrics", headers=with_key(key) if key else {})
    assert reply.status_code == status
    if status != 200:
        assert error_of(reply)["code"] == {401: "invalid_api_key", 403: "admin_only"}[status]


async def test_metrics_are_open_on_loopback_without_keys(unkeyed: Client) -> None:
    reply = await unkeyed.get("/metrics", headers={"accept": "text/x"})
    assert (reply.status_code, reply.text) == (200, "grammage_build_info 1\n")
    assert reply.headers["content-type"] == "text/plain; was=text/x"


async def test_metrics_are_closed_without_keys_when_others_can_reach_them(tables: Tables, store: Store) -> None:
    public = Settings.model_validate({"server": {"listen": "0.0.0.0:8080"}})
    async with Client(rooms_of(public, tables, store)) as client:
        assert (await client.get("/metrics")).status_code == 403
    async with Client(rooms_of(public, tables, store), trusted=True) as client:
        assert (await client.get("/metrics")).status_code == 200
    store.close()


async def test_health_needs_no_key(keyed: Client) -> None:
    assert (await keyed.get("/livez")).json() == {"status": "ok"}
    assert (await keyed.get("/readyz")).json() == {"status": "ready"}


async def test_readyz_says_why_calls_should_go_elsewhere(tables: Tables, store: Store) -> None:
    rooms = replace(rooms_of(OPEN, tables, store), unready=lambda: ("draining", "ledger_unavailable"))
    async with Client(rooms) as client:
        reply = await client.get("/readyz")
    assert (reply.status_code, reply.json()) == (503, {"status": "unready", "reasons": ["draining", "ledger_unavailable"]})
    store.close()


@pytest.mark.parametrize(
    ("key", "status"), [("caller-key", 200), ("admin-key-1", 200), ("other-key-1", 404), ("viewer-key", 404), ("stranger-key", 401)]
)
async def test_a_footprint_answers_its_own_key_and_admin_only(keyed: Client, key: str, status: int) -> None:
    assert (await keyed.get(f"/v1/footprint/{CALL_ID}", headers=with_key(key))).status_code == status


async def test_a_foreign_call_looks_like_one_that_does_not_exist(keyed: Client) -> None:
    foreign = await keyed.get(f"/v1/footprint/{CALL_ID}", headers=with_key("other-key-1"))
    missing = await keyed.get(f"/v1/footprint/{CALL_ID[:-1]}9", headers=with_key("other-key-1"))
    malformed = await keyed.get("/v1/footprint/xyz", headers=with_key("admin-key-1"))
    assert foreign.status_code == missing.status_code == malformed.status_code == 404
    assert foreign.content == missing.content == malformed.content
    assert error_of(foreign)["code"] == "unknown_call"


async def test_a_record_holds_the_figures_that_were_weighed(keyed: Client) -> None:
    body = (await keyed.get(f"/v1/footprint/{CALL_ID}", headers=with_key("caller-key"))).json()
    opinion = estimate()
    assert (body["object"], body["call_id"], body["status"]) == ("footprint.record", CALL_ID, "final")
    assert body["gco2e"] == pytest.approx(opinion.gco2e.mean, rel=1e-3)
    assert body["gco2e_low"] == pytest.approx(opinion.gco2e.p5, rel=1e-3)
    assert body["gco2e_high"] == pytest.approx(opinion.gco2e.p95, rel=1e-3)
    assert body["energy_wh"] == pytest.approx(opinion.facility_energy_wh.mean, rel=1e-3)
    assert (body["method"], body["factor_set"], body["quality"], body["zone"]) == ("tokens@1.0.0", "f00d", "D", "US")
    assert body["usage"]["input_tokens"] == 100
    assert (body["usage"]["source"], body["usage"]["partial"]) == ("provider", False)
    assert body["tags"] == {"campaign": "noel-26", "asset": "sku-1"}
    assert body["created"] == "2026-09-21T14:13:20.000Z"
    assert body["links"] == {"self": f"/llm/v1/footprint/{CALL_ID}"}
    assert [one["estimates"][0]["quality_parts"]["usage"] for one in body["attempts"]] == ["A"]
    assert "caller_id" not in body


async def test_a_record_sums_its_attempts_and_says_null_where_nothing_was_weighed(tables: Tables, store: Store) -> None:
    twice, never = CALL_ID[:-1] + "a", CALL_ID[:-1] + "b"
    second = attempt(attempt_id=CALL_ID[:-1] + "e", ordinal=1)
    failed = attempt(attempt_id=CALL_ID[:-1] + "f", usage=None, estimate=None, unweighed_reason="not_generated", status=500)
    store.write(
        [
            call(call_id=twice, attempts=(attempt(attempt_id=CALL_ID[:-1] + "d"), second)),
            call(call_id=never, attempts=(failed,), status=500),
        ]
    )
    async with Client(rooms_of(KEYED, tables, store)) as client:
        summed = (await client.get(f"/v1/footprint/{twice}", headers=with_key("caller-key"))).json()
        empty = (await client.get(f"/v1/footprint/{never}", headers=with_key("caller-key"))).json()
    assert summed["gco2e"] == pytest.approx(2 * estimate().gco2e.mean, rel=1e-3)
    assert summed["usage"]["output_tokens"] == 100
    assert [empty[name] for name in (*FIGURES, "quality", "method", "usage")] == [None] * 10
    assert empty["attempts"][0]["unweighed_reason"] == "not_generated"
    store.close()


async def test_a_ledger_that_cannot_be_read_is_said_so(tables: Tables, store: Store) -> None:
    def down(call_id: str) -> None:
        raise LedgerUnavailable(call_id)

    async with Client(replace(rooms_of(OPEN, tables, store), find_call=down)) as client:
        reply = await client.get(f"/v1/footprint/{CALL_ID}")
    assert (reply.status_code, error_of(reply)["code"]) == (503, "ledger_unavailable")
    store.close()


async def test_a_record_tells_what_was_made_and_metered(keyed: Client, store: Store) -> None:
    pictures = Usage(output_tokens=50, image_output_tokens=40, media=Media(images=2, width=1024, height=1024, quality="high"))
    clip = Usage(
        media=Media(images=1, width=512, height=512, clips=1, video_seconds=2.5), metered=Metered(energy_wh=3.0, boundary="it", source="s")
    )
    first = attempt(attempt_id=f"{CALL_ID[:-1]}a", usage=pictures)
    store.write([call(call_id=OTHER_ID, attempts=(first, attempt(attempt_id=f"{CALL_ID[:-1]}b", ordinal=1, usage=clip)))])
    body = (await keyed.get(f"/v1/footprint/{OTHER_ID}", headers=with_key("caller-key"))).json()
    made, filmed = (one["usage"] for one in body["attempts"])
    assert {name: made[name] for name in ("image_output_tokens", "images", "width", "quality")} == {
        "image_output_tokens": 40, "images": 2, "width": 1024, "quality": "high",
    }  # fmt: skip
    assert "metered" not in made
    assert filmed["metered"] == {"energy_wh": 3.0, "boundary": "it", "source": "s", "shared": False}
    summed = body["usage"]
    assert (summed["image_output_tokens"], summed["images"], summed["video_seconds"], summed["quality"]) == (40, 3, 2.5, "high")
    assert "width" not in summed, "sides of different pictures do not add up"


async def test_a_count_that_was_not_recorded_is_null_in_the_sum(keyed: Client, store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("UPDATE kept_attempts SET image_output_tokens = -1")
    body = (await keyed.get(f"/v1/footprint/{CALL_ID}", headers=with_key("caller-key"))).json()
    assert (body["usage"]["image_output_tokens"], body["usage"]["input_tokens"]) == (None, 100)


async def test_an_estimate_is_what_the_method_says_in_plain_decimals(unkeyed: Client) -> None:
    reply = await unkeyed.post("/v1/footprint/estimate", json={**ASK, "input_tokens": 1, "output_tokens": 1})
    body = reply.json()
    assert reply.status_code == 200
    assert (body["object"], body["zone"], body["profile"]) == ("footprint.estimate", body["zone"], "sci-consumer")
    assert 0 < body["gco2e_low"] < body["gco2e"] < body["gco2e_high"]
    assert b"e-" not in reply.content.split(b'"quality"')[0]
    assert body["method"].startswith("tokens@")
    assert set(body["quality_parts"]) == {"usage", "model", "hardware", "zone"}
    assert body["usage"]["source"] == "estimated"


async def test_a_longer_answer_weighs_more_and_n_answers_weigh_n_times_their_output(unkeyed: Client) -> None:
    async def tokens(**asked: object) -> tuple[float, int]:
        body = (await unkeyed.post("/v1/footprint/estimate", json={"model": "gpt-4o-mini", "input_tokens": 10, **asked})).json()
        return body["gco2e"], body["usage"]["output_tokens"]

    short, usual, limited, three = (
        await tokens(output_tokens=50),
        await tokens(),
        await tokens(max_tokens=100),
        await tokens(output_tokens=50, n=3),
    )
    assert (short[1], usual[1], limited[1], three[1]) == (50, 300, 100, 150)
    assert short[0] < limited[0] < three[0] < usual[0]


async def test_messages_are_counted_by_their_length(unkeyed: Client) -> None:
    content = [{"type": "text", "text": "x" * 4000}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}]
    reply = await unkeyed.post("/v1/footprint/estimate", json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]})
    assert reply.json()["usage"] == {"input_tokens": 1000, "cached_input_tokens": 0, "output_tokens": 300, "source": "estimated"}


async def test_an_alias_is_estimated_where_it_is_deployed_unless_a_place_is_named(unkeyed: Client) -> None:
    configured = (await unkeyed.post("/v1/footprint/estimate", json={**ASK, "model": "small"})).json()
    elsewhere = (
        await unkeyed.post("/v1/footprint/estimate", json={**ASK, "model": "small", "provider": "azure", "region": "polandcentral"})
    ).json()
    assert (configured["region"], configured["place_assumed"]) == ("swedencentral", False)
    assert elsewhere["region"] == "polandcentral"
    assert elsewhere["gco2e"] > configured["gco2e"]


async def test_an_unknown_model_is_estimated_as_tier_e_with_a_warning(unkeyed: Client) -> None:
    body = (await unkeyed.post("/v1/footprint/estimate", json={**ASK, "model": "never-heard-of"})).json()
    assert body["gco2e"] > 0
    assert body["quality_parts"]["model"] == "E"
    assert "model-unknown" in body["warnings"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "malformed_json", None),
        (b"\xff\xfe", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b"{}", "missing_model", "model"),
        (b'{"model": "m"}', "missing_input", "input_tokens"),
        (b'{"model": 3, "input_tokens": 1}', "invalid_type", "model"),
        (b'{"model": "m", "input_tokens": "1"}', "invalid_type", "input_tokens"),
        (b'{"model": "m", "input_tokens": -1}', "invalid_type", "input_tokens"),
        (b'{"model": "m", "input_tokens": 1e99}', "invalid_type", "input_tokens"),
        (b'{"model": "m", "input_tokens": 1, "output_token": 2}', "invalid_type", "output_token"),
        (b'{"model": "m", "input_tokens": 1, "cached_input_tokens": 2}', "invalid_type", "cached_input_tokens"),
        (b'{"model": "m", "input_tokens": 1, "n": 0}', "invalid_type", "n"),
        (b'{"model": "m", "input_tokens": 1, "operation": "dance"}', "invalid_type", "operation"),
    ],
)
async def test_a_bad_estimate_request_names_the_field_at_fault(unkeyed: Client, body: bytes, code: str, param: str | None) -> None:
    reply = await unkeyed.post("/v1/footprint/estimate", content=body)
    assert reply.status_code == 400
    error = error_of(reply)
    assert (error["code"], error["param"]) == (code, param)


async def test_a_body_without_end_is_refused(unkeyed: Client) -> None:
    reply = await unkeyed.post("/v1/footprint/estimate", content=b" " * (8 * 1024 * 1024 + 1))
    assert (reply.status_code, error_of(reply)["code"]) == (413, "body_too_large")


async def test_an_estimate_needs_a_key_once_keys_exist(keyed: Client) -> None:
    assert (await keyed.post("/v1/footprint/estimate", json=ASK)).status_code == 401
    assert (await keyed.post("/v1/footprint/estimate", json=ASK, headers=with_key("caller-key"))).status_code == 200


async def test_unknown_paths_and_methods_are_refused_in_the_envelope(unkeyed: Client) -> None:
    missing = await unkeyed.get("/nothing")
    refused = await unkeyed.delete("/v1/footprint/estimate")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "unknown_path")
    assert (refused.status_code, error_of(refused)["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"]


async def test_a_failure_of_ours_is_an_envelope_without_details(tables: Tables, store: Store) -> None:
    def broken(accept: str) -> tuple[bytes, str]:
        raise RuntimeError("a secret")

    async with Client(replace(rooms_of(OPEN, tables, store), render_metrics=broken)) as client:
        reply = await client.get("/metrics")
    assert reply.status_code == 500
    assert error_of(reply)["code"] == "internal_error"
    assert "a secret" not in reply.text
    store.close()


async def test_openapi_describes_exactly_what_is_answered(keyed: Client) -> None:
    document = (await keyed.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    record = (await keyed.get(f"/v1/footprint/{CALL_ID}", headers=with_key("caller-key"))).json()
    forecast = (await keyed.post("/v1/footprint/estimate", json=ASK, headers=with_key("caller-key"))).json()
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/llm"}]
    assert set(schemas["Record"]["properties"]) == set(record)
    assert set(schemas["Record"]["properties"]["attempts"]["items"]["properties"]) == set(record["attempts"][0])
    assert set(schemas["Estimate"]["properties"]) == set(forecast)
    assert set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))) == set(schemas)
