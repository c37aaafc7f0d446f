"""The API's description tells of the receiver of spans: where it is, and what it answers."""

from pathlib import Path
from typing import Any

import jsonschema

from tests.contract.proxy_harness import proxy
from tests.contract.spans import body, span

NOBODY = "http://127.0.0.1:9"


def test_the_description_has_the_receiver_where_it_is_and_its_answers_fit(tmp_path: Path) -> None:
    with proxy(tmp_path, NOBODY, observe={"otlp": {"path": "/otlp/spans"}}) as served:
        document = served.get("/openapi.json").json
        described = document["paths"]["/otlp/spans"]["post"]["responses"]
        whole = served.post("/otlp/spans", body(span()))
        partly = served.post("/otlp/spans", body(span(gen_ai__usage__input_tokens=-1, own=2)))
        broken = served.post("/otlp/spans", b"no JSON")
    assert partly.json["partialSuccess"]["rejectedSpans"] == "1"
    for answer in (whole, partly, broken):
        schema: dict[str, Any] = described[str(answer.status)]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json, {**schema, "components": document["components"]})
    assert "code" in broken.json["error"]


def test_what_is_not_there_is_not_described(tmp_path: Path) -> None:
    with proxy(tmp_path, NOBODY) as served:
        assert "/v1/traces" not in served.get("/openapi.json").json["paths"]
