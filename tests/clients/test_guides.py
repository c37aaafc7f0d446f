"""The guide pages: their code runs as it stands against a proxy with nothing configured, and prints what they say, numbers aside."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import DRIVER_LIMIT_S
from tests.clients.environments import CURL, HOME, NODE, OWN, ROOT, clean_environ, node_command, python_of
from tests.contract.proxy_harness import Proxy, exchange, serve_command

GUIDES = ROOT / "config" / "examples" / "guides"
ORIGIN = "http://localhost:8080"
ENVIRONMENTS = {
    "openai-python.md": (OWN, "openai3"),
    "openai-node.md": (NODE,),
    "langchain.md": ("openai3",),
    "ai-sdk.md": (NODE,),
    "litellm.md": ("openai2",),
    "curl.md": (CURL,),
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("guides")
    with serve_command(folder, "--port", "0", "--log-level", "warning") as child:
        yield child.proxy(folder / "grammage.db")


def blocks_of(page: str) -> dict[str, str]:
    found = _BLOCK.findall((GUIDES / page).read_text(encoding="utf-8"))
    assert len(dict(found)) == len(found), "one block of a kind is what the test can tell apart"
    return dict(found)


def loosely(text: str) -> list[str]:
    """The lines with every number but those of tags replaced, since figures move with factors."""
    return [re.sub(r"noel-N", "noel-26", _NUMBER.sub("N", line)).rstrip() for line in text.strip().splitlines()]


def command_for(kind: str, code: str, environment: str, folder: Path) -> tuple[list[str], Path]:
    if kind == "javascript":
        beside = HOME / NODE / f"guide-{folder.name}.mjs"
        beside.write_text(code, encoding="utf-8")
        return [str(node_command()), beside.name], beside.parent
    file = folder / f"guide.{kind}"
    file.write_text(code, encoding="utf-8")
    return [*(["bash", "-eu"] if kind == "bash" else [str(python_of(environment))]), str(file)], folder


@pytest.mark.parametrize(("page", "environment"), [(page, one) for page, several in ENVIRONMENTS.items() for one in several])
def test_a_guide_does_what_it_says(page: str, environment: str, bare: Proxy, tmp_path: Path, needs: Callable[[str], None]) -> None:
    needs(environment)
    blocks = blocks_of(page)
    promised = blocks.pop("text")
    ((kind, code),) = blocks.items()
    command, folder = command_for(kind, code.replace(ORIGIN, bare.url), environment, tmp_path)
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environ(LITELLM_LOCAL_MODEL_COST_MAP="True"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DRIVER_LIMIT_S,
        check=False,
    )
    if kind == "javascript":
        (folder / command[1]).unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    assert loosely(done.stdout) == loosely(promised)


def test_the_node_of_n8n_and_the_plain_request_are_the_same_and_weighed(bare: Proxy) -> None:
    blocks = blocks_of("n8n.md")
    (node,) = json.loads(blocks["json"])["nodes"]
    asked = node["parameters"]
    headers = {one["name"]: one["value"] for one in asked["headerParameters"]["parameters"]}
    head, _, body = blocks["http"].rstrip("\n").partition("\n\n")
    first, *lines = head.splitlines()
    plain = dict(line.split(": ", 1) for line in lines)
    assert first == f"{asked['method']} {asked['url'].removeprefix(ORIGIN)} HTTP/1.1"
    assert plain == {"host": ORIGIN.removeprefix("http://"), **headers, "content-type": "application/json"}
    assert json.loads(asked["jsonBody"]) == json.loads(body)

    request = urllib.request.Request(
        asked["url"].replace(ORIGIN, bare.url), asked["jsonBody"].encode(), {**headers, "content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        from_node = json.load(reply)["usage"]["footprint"]
        assert reply.headers["x-grammage-call-id"] == from_node["call_id"]
    raw = f"{head}\ncontent-length: {len(body.encode())}\nconnection: close\n\n{body}".replace("\n", "\r\n", head.count("\n") + 4)
    answer = exchange(bare.address, raw.encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"]["footprint"]["gco2e"] == from_node["gco2e"]
    assert bare.get(f"/v1/footprint/{from_node['call_id']}", authorization=headers["authorization"]).json["tags"] == {"campaign": "noel-26"}


def test_every_guide_is_run() -> None:
    assert {page.name for page in GUIDES.glob("*.md")} == {*ENVIRONMENTS, "n8n.md"}
