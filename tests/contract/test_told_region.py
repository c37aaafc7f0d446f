"""The region that an answer tells: better than the provider's default, worse than what the owner states."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.proxy_harness import Proxy, ask, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole

USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
ANSWER = json.dumps({"id": "x", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [], "usage": USAGE}).encode()


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def served(folder: Path, upstream: ScriptedUpstream, **deployment: Any) -> Any:
    settings = {"provider": "azure", "api_base": f"{upstream.url}/v1", **deployment}
    return proxy(folder, models={"gpt-4o-mini": {"deployments": [settings]}})


def zone_of(made: Proxy) -> tuple[str, str, bool]:
    answer = made.chat(ask())
    assert answer.status == 200
    row = made.recorded()[-1]
    return answer.ours["zone"], str(row["warnings"]), "assumed:" in answer.ours.get("region", "")


def test_a_region_in_the_answer_places_a_call_whose_region_nobody_stated(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(ANSWER, (b"x-ms-region", b"Sweden Central")))
    with served(tmp_path, upstream) as made:
        zone, warnings, assumed = zone_of(made)
    assert (zone, assumed) == ("SE-SE3", False)
    assert "region-told-by-answer" in warnings
    assert "region-assumed" not in warnings


@pytest.mark.parametrize("header", [(b"x-ms-region", b"Mars Central"), (b"x-ms-region", b"\xff\x00" * 99), (b"x-other", b"Sweden Central")])
def test_a_region_that_says_nothing_leaves_the_default(tmp_path: Path, upstream: ScriptedUpstream, header: tuple[bytes, bytes]) -> None:
    upstream.answers(*whole(ANSWER, (header[0], header[1].replace(b"\x00", b"?"))))
    with served(tmp_path, upstream) as made:
        zone, warnings, _ = zone_of(made)
    assert "WORLD" in zone
    assert "region-assumed" in warnings


@pytest.mark.parametrize("stated", [{"region": "francecentral"}, {"zone": "FR"}])
def test_what_the_owner_states_goes_before_what_the_answer_tells(
    tmp_path: Path, upstream: ScriptedUpstream, stated: dict[str, str]
) -> None:
    upstream.answers(*whole(ANSWER, (b"x-ms-region", b"Sweden Central")))
    with served(tmp_path, upstream, **stated) as made:
        assert zone_of(made)[0] == "FR"


def test_another_providers_header_of_that_name_is_not_believed(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(ANSWER, (b"x-ms-region", b"Sweden Central")))
    with served(tmp_path, upstream, provider="openai") as made:
        assert zone_of(made)[0] != "SE-SE3"
