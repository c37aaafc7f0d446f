"""Assets over the API: the last word counts, what the calls for one come to, and who may read it; on either database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from config.tables import load_tables
from estimators.quantity import ScopeKeys, Total
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.store import Store
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import record
from tests.contract.proxy_harness import proxy
from tests.contract.scripted_upstream import ScriptedUpstream, whole
from tests.contract.test_web import Client, error_of, rooms_of, with_key
from tests.sample_records import attempt, estimate

KEYS = [
    {"key": "caller-key", "name": "team-a"},
    {"key": "other-key-1", "name": "team-b"},
    {"key": "dam-key-123", "name": "dam", "tags": {"brand": "acme", "campaign": "noel"}},
    {"key": "viewer-key", "name": "eyes", "role": "viewer", "brands": ["acme"]},
    {"key": "admin-key-1", "name": "boss", "role": "admin"},
]
PATH = "/v1/footprint/assets/sku-7"
TEAM_A = (("asset", "sku-7"), ("brand", "acme"))


@pytest.fixture
async def client(store: Store) -> AsyncIterator[Client]:
    store.open_writer("commit")
    store.write(
        [
            record(0, tags=TEAM_A),
            record(1, tags=TEAM_A, attempts=(attempt(attempt_id="a-1", model="gpt-4o"),)),
            record(2, tags=TEAM_A, attempts=(attempt(attempt_id="a-2", estimate=None, unweighed_reason="weighing_failed"),)),
            record(3, tags=(("asset", "sku-7"),), caller_id="team-b"),
            record(4, tags=(("asset", "sku-8"),)),
            record(5, tags=TEAM_A, attempts=(attempt(attempt_id="a-5", usage=None, estimate=None, unweighed_reason="not_generated"),)),
        ]
    )
    rooms = rooms_of(Settings.model_validate({"keys": KEYS, "server": {"base_path": "/llm"}}), load_tables(), store)
    async with Client(replace(rooms, assets=store.assets())) as made:
        yield made


async def say(client: Client, key: str = "caller-key", path: str = PATH, **body: Any) -> Any:
    return await client.post(path, json={"verdict": "accepted", **body}, headers=with_key(key))


async def read(client: Client, key: str = "caller-key", path: str = PATH) -> Any:
    return await client.get(path, headers=with_key(key))


async def test_the_last_word_counts_and_none_is_lost(client: Client, store: Store) -> None:
    first = await say(client, verdict="rejected")
    second = await say(client, minutes_saved=12.5, campaign="noel")
    assert (first.status_code, second.status_code) == (201, 201)
    shown = second.json()
    assert {name: shown[name] for name in ("object", "asset", "verdict", "brand", "campaign", "minutes_saved")} == {
        "object": "footprint.verdict",
        "asset": "sku-7",
        "verdict": "accepted",
        "brand": None,
        "campaign": "noel",
        "minutes_saved": 12.5,
    }
    found = (await read(client)).json()
    assert found["verdict"]["verdict_id"] == shown["verdict_id"]
    assert [row["verdict"] for row in store.assets().said("sku-7")] == ["rejected", "accepted"]


async def test_an_asset_has_its_iterations_and_their_grams_with_a_range(client: Client) -> None:
    found = (await read(client)).json()
    assert (found["iterations"], found["unweighed_calls"], found["verdict"]) == (3, 1, None)
    total = Total()
    for model in ("gpt-4o-mini", "gpt-4o"):
        total.add(estimate().gco2e, ScopeKeys("tokens@1.0.0", "openai", model, "US"))
    assert found["gco2e"] == pytest.approx(total.mean, rel=1e-3)
    assert found["gco2e_low"] == pytest.approx(total.p5, rel=1e-3)
    assert found["gco2e_high"] == pytest.approx(total.p95, rel=1e-3)
    assert found["water_ml"] == pytest.approx(2 * estimate().water_ml.mean, rel=1e-3)
    assert found["links"] == {"self": "/llm/v1/footprint/assets/sku-7"}


@pytest.mark.parametrize(("key", "iterations"), [("caller-key", 3), ("other-key-1", 1), ("viewer-key", 3), ("admin-key-1", 4)])
async def test_a_caller_sees_its_own_calls_a_viewer_those_of_its_brands(client: Client, key: str, iterations: int) -> None:
    assert (await read(client, key)).json()["iterations"] == iterations


async def test_what_others_said_is_read_by_its_brand_and_by_admins_alone(client: Client) -> None:
    assert (await say(client, "dam-key-123", brand="other")).json()["brand"] == "acme"
    assert (await read(client, "caller-key")).json()["verdict"] is None
    assert (await read(client, "viewer-key")).json()["verdict"]["campaign"] == "noel"
    assert (await read(client, "admin-key-1")).json()["verdict"]["brand"] == "acme"
    nothing = (await read(client, "dam-key-123")).json()
    assert (nothing["iterations"], nothing["gco2e"], nothing["first_call"], nothing["verdict"]["verdict"]) == (0, None, None, "accepted")


async def test_a_retagged_call_belongs_to_its_new_asset(client: Client, store: Store, url: str) -> None:
    moved = store.assets().calls("sku-8")[0]
    change_ledger(url, "INSERT INTO retags VALUES (:id, 'asset', 5, 'sku-7')", id=moved.call_id)
    assert (await read(client)).json()["iterations"] == 4
    assert (await read(client, path="/v1/footprint/assets/sku-8")).status_code == 404


async def test_a_late_booking_is_part_of_the_call_that_began_it(client: Client, store: Store) -> None:
    began = store.assets().calls("sku-8")[0].call_id
    store.write([record(9, tags=(("asset", "sku-8"),), origin_call_id=began)])
    found = (await read(client, path="/v1/footprint/assets/sku-8")).json()
    assert found["iterations"] == 1
    assert found["gco2e"] == pytest.approx(2 * estimate().gco2e.mean, rel=1e-3)


async def test_an_asset_may_have_a_slash_in_its_name(client: Client) -> None:
    path = "/v1/footprint/assets/noel%2Fhero%201"
    assert (await say(client, path=path)).json()["asset"] == "noel/hero 1"
    assert (await read(client, path=path)).json()["links"]["self"] == f"/llm{path}"


@pytest.mark.parametrize(
    ("key", "status", "code", "body"),
    [
        ("viewer-key", 403, "not_allowed", {}),
        ("stranger-key", 401, "invalid_api_key", {}),
        ("caller-key", 400, "invalid_type", {"verdict": "good"}),
        ("caller-key", 400, "invalid_type", {"minutes_saved": "5"}),
        ("caller-key", 400, "invalid_type", {"minutes": 5}),
        ("caller-key", 400, "invalid_tag", {"brand": "a\nb"}),
        ("caller-key", 400, "invalid_tag", {"campaign": ""}),
    ],
)
async def test_what_cannot_be_taken_is_refused_in_the_envelope(
    client: Client, store: Store, key: str, status: int, code: str, body: dict[str, Any]
) -> None:
    reply = await say(client, key, **body)
    assert (reply.status_code, error_of(reply)["code"]) == (status, code)
    assert store.assets().said("sku-7") == []


async def test_a_body_that_is_no_json_and_a_name_that_is_no_tag_are_refused(client: Client) -> None:
    reply = await client.post(PATH, content=b"{", headers=with_key("caller-key"))
    assert (reply.status_code, error_of(reply)["code"]) == (400, "malformed_json")
    reply = await say(client, path="/v1/footprint/assets/" + "x" * 129)
    assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_tag")


async def test_an_asset_that_nobody_knows_is_not_found(client: Client) -> None:
    reply = await read(client, path="/v1/footprint/assets/none")
    assert (reply.status_code, error_of(reply)["code"], error_of(reply)["param"]) == (404, "unknown_asset", "asset")


async def test_a_verdict_that_cannot_be_kept_is_not_acknowledged(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    monkeypatch.setattr(store._door, "change", full)
    reply = await say(client)
    assert (reply.status_code, error_of(reply)["code"]) == (503, "ledger_unavailable")


async def test_the_api_is_described(client: Client) -> None:
    described = (await client.get("/openapi.json")).json()
    assert set(described["paths"]["/v1/footprint/assets/{asset}"]) == {"parameters", "get", "post"}
    asset, verdict = described["components"]["schemas"]["Asset"], described["components"]["schemas"]["Verdict"]
    assert set(asset["required"]) == set((await read(client)).json())
    assert set(verdict["required"]) == set((await say(client)).json())


def test_an_asset_of_real_calls_is_judged_over_the_wire(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":100,"completion_tokens":50}}'))
    with proxy(tmp_path, upstream.url) as made:
        answers = [made.chat(x_grammage_tag_asset="hero/1") for _ in range(2)]
        said = made.post("/v1/footprint/assets/hero%2F1", {"verdict": "accepted"})
        assert (said.status, said.json["asset"]) == (201, "hero/1")
        found = made.get("/v1/footprint/assets/hero%2F1").json
        strange = made.get("/v1/footprint/assets/hero%2F1", authorization="Bearer sk-somebody-else-01")
    assert (found["iterations"], found["verdict"]["verdict"]) == (2, "accepted")
    assert found["gco2e"] == pytest.approx(sum(float(answer.ours["gco2e"]) for answer in answers), rel=1e-3)
    assert (strange.status, strange.error["code"]) == (404, "unknown_asset")
