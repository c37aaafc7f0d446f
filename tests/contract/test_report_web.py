"""The report over HTTP: the same document, scoped by who asks; on either database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from config.settings import Settings
from config.tables import load_tables
from proxy.ledger.store import Store
from tests.contract.ledgers import STARTED_MS, record
from tests.contract.test_web import Client, error_of, rooms_of, with_key

KEYS = [
    {"key": "caller-key", "name": "team-a"},
    {"key": "viewer-key", "name": "eyes", "role": "viewer", "brands": ["acme"]},
    {"key": "viewer-all", "name": "all-eyes", "role": "viewer"},
    {"key": "admin-key-1", "name": "boss", "role": "admin"},
]
PATH = "/v1/footprint/report"
GRAMS = 0.1568
"""Expected value of one sample call."""


@pytest.fixture
async def client(store: Store, url: str) -> AsyncIterator[Client]:
    store.open_writer("commit")
    brands = ("acme", "acme", "other", None)
    store.write([record(number, tags=() if brand is None else (("brand", brand),)) for number, brand in enumerate(brands)])
    settings = Settings.model_validate({"keys": KEYS, "ledger": {"url": url}})
    rooms = replace(rooms_of(settings, load_tables(), store), now_ms=lambda: STARTED_MS + 1000)
    async with Client(rooms) as made:
        yield made


async def read(client: Client, key: str = "admin-key-1", **query: str) -> Any:
    return await client.get(PATH, params=query, headers=with_key(key))


async def test_an_admin_sees_all_calls_with_range_and_basis(client: Client) -> None:
    reply = await read(client)
    assert reply.status_code == 200
    report = reply.json()
    assert report["object"] == "footprint.report"
    assert report["total"]["calls"] == 4
    gco2e = report["total"]["gco2e"]
    assert gco2e["mean"] == pytest.approx(4 * GRAMS, rel=0.01)
    assert gco2e["low"] < gco2e["mean"] < gco2e["high"]
    assert report["basis"]["methods"] == ["tokens@1.0.0"]
    assert len(report["basis"]["config_sha256"]) == 64
    assert [line["group"] for line in report["groups"]["tag:brand"]] == ["acme", "other", "unassigned"]


async def test_a_viewer_sees_its_brands_alone_whatever_it_asks(client: Client) -> None:
    report = (await read(client, "viewer-key")).json()
    assert report["total"]["calls"] == 2
    assert report["basis"]["scope"] == {"brand": "acme"}
    assert [line["group"] for line in report["groups"]["tag:brand"]] == ["acme"]
    refused = await read(client, "viewer-key", **{"tag.brand": "other"})
    assert (refused.status_code, error_of(refused)["code"]) == (403, "foreign_brand")
    assert (await read(client, "viewer-all")).json()["total"]["calls"] == 4


async def test_a_caller_and_a_stranger_see_nothing(client: Client) -> None:
    reply = await read(client, "caller-key")
    assert (reply.status_code, error_of(reply)["code"]) == (403, "admin_only")
    assert (await client.get(PATH)).status_code == 401


async def test_tags_narrow_the_report(client: Client) -> None:
    report = (await read(client, **{"tag.brand": "other"})).json()
    assert report["total"]["calls"] == 1
    assert report["basis"]["scope"] == {"brand": "other"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"since": "yesterday"}, "invalid_report"),
        ({"time_zone": "Mars/Olympus"}, "invalid_report"),
        ({"basis": "wishful"}, "invalid_report"),
        ({"since": "2026-11", "until": "2026-10"}, "invalid_report"),
        ({"by": "no such tag!"}, "invalid_report"),
        ({"lang": "de"}, "invalid_report"),
        ({"tag.Bad Name": "x"}, "invalid_tag"),
        ({"sinse": "2026"}, "unknown_parameter"),
    ],
)
async def test_a_word_that_is_not_known_is_refused_with_what_to_do(client: Client, query: dict[str, str], code: str) -> None:
    reply = await read(client, **query)
    assert (reply.status_code, error_of(reply)["code"]) == (400, code)


async def test_the_answer_is_as_the_api_describes_it(client: Client) -> None:
    import jsonschema

    described = (await client.get("/openapi.json")).json()
    root = {"$ref": "#/components/schemas/Report", "components": described["components"]}
    jsonschema.validate((await read(client, time_zone="Europe/Paris")).json(), root)
    assert "/v1/footprint/report" in described["paths"]
