"""Whose call it is: where tags are taken from, who is trusted first, and that they stay here."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.proxy_harness import Proxy, ask, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole

BOUND, ADMIN = "gk-bound-key-1", "gk-admin-key-1"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}'))
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    models = {"*": {"deployments": [{"provider": "openai", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider-1"}]}}
    keys = [{"key": BOUND, "name": "team", "tags": {"brand": "acme"}}, {"key": ADMIN, "name": "boss", "role": "admin"}]
    with proxy(
        tmp_path_factory.mktemp("tags"),
        auth="passthrough",
        keys=keys,
        models=models,
        metadata_tags=["campaign", "asset", "brand"],
        tags={"campaign": ["noel-26", "soldes-27"]},
    ) as running:
        yield running


def tags_of(made: Proxy) -> dict[str, str]:
    found: dict[str, str] = json.loads(made.calls()[-1]["tags"])
    return found


def test_without_tags_a_call_has_none(made: Proxy) -> None:
    made.chat()
    assert tags_of(made) == {}


def test_headers_are_tags_of_any_declared_or_free_name(made: Proxy) -> None:
    made.chat(x_grammage_tag_brand="acme", x_grammage_tag_campaign=" noel-26 ", x_grammage_tag_my_name="free value, 100 %")
    assert tags_of(made) == {"brand": "acme", "campaign": "noel-26", "my-name": "free value, 100 %"}


def test_utf8_in_a_header_is_read_as_such(made: Proxy) -> None:
    made.chat(x_grammage_tag_campaign="No\u00ebl \u2603".encode().decode("latin-1"))
    assert tags_of(made) == {"campaign": "No\u00ebl \u2603"}
    made.chat(x_grammage_tag_campaign="No\u00ebl")
    assert tags_of(made) == {"campaign": "No\u00ebl"}


def test_declared_metadata_keys_are_tags_and_others_are_not(made: Proxy) -> None:
    made.chat(ask(metadata={"campaign": "noel-26", "order": "4711", "asset": 7}))
    assert tags_of(made) == {"campaign": "noel-26"}


def test_baggage_members_of_ours_are_tags(made: Proxy) -> None:
    made.chat(baggage="userId=1, grammage.campaign=No%C3%ABl%2026;prop=1,grammage.stage = draft ,grammage.Bad=1,grammage.x")
    assert tags_of(made) == {"campaign": "No\u00ebl 26", "stage": "draft"}


@pytest.mark.parametrize("value", ["a%0d%0ab", "a%00b", "%E2%80%AEx", "x" * 129, ""])
def test_an_ill_formed_baggage_member_falls_away(made: Proxy, value: str) -> None:
    assert made.chat(baggage=f"grammage.brand={value},grammage.stage=draft").status == 200
    assert tags_of(made) == {"stage": "draft"}


SOURCES: dict[str, dict[str, Any]] = {
    "key": {"authorization": f"Bearer {BOUND}"},
    "header": {"x_grammage_tag_brand": "from-header"},
    "baggage": {"baggage": "grammage.brand=from-baggage"},
}


@pytest.mark.parametrize(
    ("present", "winner"),
    [
        (("key", "header", "metadata", "baggage"), "acme"),
        (("header", "metadata", "baggage"), "from-header"),
        (("metadata", "baggage"), "from-metadata"),
        (("baggage",), "from-baggage"),
        (("key", "baggage"), "acme"),
    ],
)
def test_the_most_trusted_source_wins(made: Proxy, present: tuple[str, ...], winner: str) -> None:
    body = ask(metadata={"brand": "from-metadata"}) if "metadata" in present else ask()
    headers = {name: value for source in present for name, value in SOURCES.get(source, {}).items()}
    made.chat(body, **headers)
    assert tags_of(made) == {"brand": winner}


@pytest.mark.parametrize("metadata", [{"campaign": "a\r\nb"}, {"campaign": "x" * 129}, {"asset": "\u2066hidden"}])
def test_a_metadata_tag_that_cannot_be_kept_is_refused(made: Proxy, metadata: dict[str, str]) -> None:
    answer = made.chat(ask(metadata=metadata))
    assert (answer.status, answer.error["code"]) == (400, "invalid_tag")
    assert answer.error["param"] == f"metadata.{next(iter(metadata))}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"m", "metadata":{"campaign":"noel-26","order":"1"} ,"messages":[ ]}', {"order": "1"}),
        (b'{"model":"m","metadata": {"campaign":"noel-26"}, "messages":[ ]}', None),
        (b'{"metadata":{"campaign":"noel-26"},"model":"m","messages":[ ]}', None),
        (b'{"model":"m","messages":[ ],"metadata":{"campaign":"noel-26"}}', None),
        (b'{"model":"m","messages":[ ],"store":false,"metadata":{"campaign":"noel-26","asset":"a"}}', None),
    ],
)
def test_our_metadata_keys_do_not_reach_the_provider_of_a_chat(
    made: Proxy, upstream: ScriptedUpstream, before: bytes, after: dict[str, str] | None
) -> None:
    made.chat(before)
    assert tags_of(made)["campaign"] == "noel-26"
    expected = json.loads(before)
    expected.pop("metadata")
    if after is not None:
        expected["metadata"] = after
    assert json.loads(upstream.last.body) == expected
    assert b'"messages":[ ]' in upstream.last.body


def test_what_stands_beside_our_metadata_keys_leaves_as_it_came(made: Proxy, upstream: ScriptedUpstream) -> None:
    made.chat(b'{"model":"m","metadata":{"n": 1.0e5, "campaign":"noel-26","odd":"\\ud800"},"messages":[]}')
    assert upstream.last.body == b'{"model":"m","metadata":{"n": 1.0e5, "odd":"\\ud800"},"messages":[]}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","store":true, "metadata":{"campaign":"noel-26"}}',
        b'{"model":"m","metadata":{"order":"1"}}',
        b'{"model":"m","metadata":null}',
        b'{"model":"m","metadata":"campaign"}',
    ],
)
def test_stored_or_foreign_metadata_is_not_touched(made: Proxy, upstream: ScriptedUpstream, body: bytes) -> None:
    made.chat(body)
    assert upstream.last.body == body


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_metadata_outside_chat_is_read_and_not_removed(made: Proxy, upstream: ScriptedUpstream, path: str) -> None:
    body = b'{"model":"m","metadata":{"campaign":"noel-26"},"input":"x","prompt":"x"}'
    made.post(path, body)
    assert upstream.last.body == body
    assert tags_of(made) == {"campaign": "noel-26"}


def test_no_tag_reaches_the_provider(made: Proxy, upstream: ScriptedUpstream) -> None:
    made.chat(ask(metadata={"campaign": "secret-plan"}), x_grammage_tag_brand="secret-plan", baggage="grammage.stage=secret-plan")
    assert b"secret-plan" not in upstream.last.body
    assert all(b"secret-plan" not in value for _, value in upstream.last.headers)


def test_sixteen_tags_are_kept_sorted_by_name(made: Proxy) -> None:
    made.chat(None, **{f"x_grammage_tag_t{number:02}": str(number) for number in reversed(range(16))})
    assert list(tags_of(made)) == [f"t{number:02}" for number in range(16)]


def test_declared_values_are_metric_labels_and_free_ones_are_other(made: Proxy) -> None:
    made.chat(x_grammage_tag_campaign="soldes-27")
    made.chat(x_grammage_tag_campaign="never-declared", x_grammage_tag_asset="free-asset")
    shown = made.get("/metrics", authorization=f"Bearer {ADMIN}").body.decode()
    weighed = [line for line in shown.splitlines() if line.startswith("grammage_emissions_co2e_grams_total{")]
    for value in ("soldes-27", "other"):
        assert any(f'campaign="{value}"' in line and not line.endswith(" 0.0") for line in weighed)
    assert "never-declared" not in shown
    assert "free-asset" not in shown


def test_tags_are_shown_in_the_footprint(made: Proxy) -> None:
    call_id = made.chat(x_grammage_tag_brand="acme").ours["call-id"]
    assert made.get(f"/v1/footprint/{call_id}").json["tags"] == {"brand": "acme"}
