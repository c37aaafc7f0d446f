"""The report over HTTP: the same document, scoped by who asks; on either database."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from config.settings import Settings
from config.tables import load_tables
from proxy.ledger.store import Store
from proxy.reports.pages.forms import FORMS, Form
from proxy.web.report import AT_ONCE, WAITING
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


FIRST_BYTES = {"html": b"<!doctype html>", "pdf": b"%PDF", "xlsx": b"PK", "csv": b"section,", "parquet": b"PAR1", "json": b"{"}


@pytest.mark.parametrize("form", FIRST_BYTES)
async def test_a_report_comes_in_the_form_that_is_named_or_accepted(client: Client, form: str) -> None:
    named = await read(client, format=form, lang="fr")
    assert (named.status_code, named.content[: len(FIRST_BYTES[form])]) == (200, FIRST_BYTES[form])
    media_type = named.headers["content-type"].partition(";")[0]
    accept = f"image/png, {media_type};q=0.9, application/json;q=0.1"
    accepted = await client.get(PATH, headers={**with_key("admin-key-1"), "accept": accept})
    assert accepted.headers["content-type"].partition(";")[0] == media_type
    if form == "html":
        assert 'lang="fr"' in named.text
        assert "default-src 'none'" in named.headers["content-security-policy"]
    elif form != "json":
        assert named.headers["content-disposition"].endswith(f'.{form}"')


async def test_a_form_that_nobody_knows_is_refused_and_a_curious_accept_gets_json(client: Client) -> None:
    reply = await read(client, format="docx")
    assert (reply.status_code, error_of(reply)["code"], error_of(reply)["param"]) == (400, "unknown_format", "format")
    for accept in ("*/*", "image/png", "text/html;q=0, application/json", "text/html;q=x"):
        found = await client.get(PATH, headers={**with_key("admin-key-1"), "accept": accept})
        assert found.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("form", "library"), [("pdf", "weasyprint"), ("xlsx", "xlsxwriter"), ("parquet", "pyarrow")])
async def test_a_form_whose_library_is_missing_says_what_to_install(
    client: Client, form: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    reply = await read(client, format=form)
    assert (reply.status_code, error_of(reply)["code"]) == (501, "format_unavailable")
    assert "pip install 'grammage[" in error_of(reply)["message"]


async def test_a_viewer_gets_its_brands_alone_in_a_file_too(client: Client) -> None:
    page = (await read(client, "viewer-key", format="csv")).text
    assert "acme" in page
    assert ",other," not in page


async def test_who_comes_when_all_are_busy_is_told_so_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(report: object, language: str) -> bytes:
        begun.release()
        assert go_on.wait(30)
        return b"page"

    monkeypatch.setitem(cast("dict[str, Form]", FORMS), "html", Form(media_type="text/html", extension="html", make=slow))
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(read(client, format="html")) for _ in range(AT_ONCE + WAITING)]
        for _ in range(AT_ONCE):
            assert await asyncio.to_thread(begun.acquire, timeout=30)
        refused = await read(client, format="html")
        assert begun.acquire(blocking=False) is False
        go_on.set()
    assert (refused.status_code, error_of(refused)["code"], refused.headers["retry-after"]) == (503, "reports_busy", "5")
    assert [task.result().status_code for task in waiting] == [200] * (AT_ONCE + WAITING)
    assert (await read(client)).status_code == 200
