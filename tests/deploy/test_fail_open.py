"""Ways to keep calling models while the proxy is away: the very files of deploy/fail_open, with real clients and a real nginx."""

import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from deploy.fail_open.openai_client import FailOpen
from proxy.simulate.exchange import Asked
from tests.contract.proxy_harness import Proxy, proxy, simulated, until
from tests.serving import free_port

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "fail_open"
KEYS = [{"key": "the-proxys-key", "name": "app"}]
NGINX_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
MESSAGES: Any = [{"role": "user", "content": "Describe a merino jumper."}]


class Watch:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def client(base_url: str, provider: str, watch: Watch) -> Iterator[tuple[openai.OpenAI, FailOpen]]:
    """An openai client that fails open."""
    transport = FailOpen(provider=f"{provider}/v1", provider_key="the-providers-key", monotonic=watch, pause_s=15)
    with httpx.Client(transport=transport) as http, openai.OpenAI(
        base_url=base_url, api_key="the-proxys-key", http_client=http, max_retries=0, default_headers={"x-grammage-tag-brand": "acme"}
    ) as made:  # fmt: skip
        yield made, transport


def ask_both(made: openai.OpenAI) -> None:
    """A whole answer and a streamed one."""
    whole = made.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert whole.choices[0].message.content
    stream = made.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
    assert any(chunk.choices and chunk.choices[0].delta.content for chunk in stream)


@contextlib.contextmanager
def in_front(folder: Path, provider: str) -> Iterator[Proxy]:
    """A proxy that sends to the provider with a key of its own."""
    models = {"*": {"deployments": [{"provider": "openai", "api_base": f"{provider}/v1", "api_key": "the-proxys-own-key"}]}}
    with proxy(folder, keys=KEYS, models=models) as served:
        served.headers = {"authorization": "Bearer the-proxys-key"}
        yield served


def keys_seen(seen: list[Asked]) -> list[str]:
    """The keys under which the provider was called."""
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in seen]


def test_the_openai_client_goes_to_the_provider_while_the_proxy_is_away_and_comes_back(tmp_path: Path) -> None:
    seen: list[Asked] = []
    watch = Watch()
    with simulated(seen) as provider:
        with in_front(tmp_path, provider) as served:
            address = served.v1
            with client(address, provider, watch) as (made, transport):
                ask_both(made)
                assert (len(served.recorded(2)), transport.direct_calls) == (2, 0)
        with client(address, provider, watch) as (made, transport):
            ask_both(made)
            assert transport.direct_calls == 2
            assert keys_seen(seen) == ["the-proxys-own-key"] * 2 + ["the-providers-key"] * 2
            assert not [name for asked in seen[2:] for name in asked.headers if name.startswith("x-grammage")]
            with in_front(tmp_path, provider) as served:
                made.base_url = served.v1
                ask_both(made)
                assert transport.direct_calls == 4, "the proxy is left alone for a while"
                watch.now += 16
                ask_both(made)
                assert transport.direct_calls == 4
                assert len(served.recorded(4)) == 4


@pytest.mark.parametrize(("status", "direct"), [(502, 1), (503, 1), (500, 0), (429, 0)])
def test_only_an_answer_that_no_proxy_gave_is_passed_by(status: int, direct: int) -> None:
    transport = FailOpen(provider="http://provider.example/v1")
    transport._inner = httpx.MockTransport(  # type: ignore[assignment]  # it answers as the real one does
        lambda request: httpx.Response(200 if request.url.host == "provider.example" else status)
    )
    found = transport.handle_request(httpx.Request("POST", "http://proxy.example/v1/chat/completions", content=b"{}"))
    assert transport.direct_calls == direct
    assert found.status_code == (200 if direct else status)


def test_an_error_of_the_proxy_itself_stands() -> None:
    transport = FailOpen(provider="http://provider.example/v1")
    transport._inner = httpx.MockTransport(lambda request: httpx.Response(503, headers={"x-grammage-call-id": "c-1"}))  # type: ignore[assignment]  # as above
    assert transport.handle_request(httpx.Request("POST", "http://proxy.example/v1/embeddings", content=b"{}")).status_code == 503
    assert transport.direct_calls == 0


@contextlib.contextmanager
def run(command: list[str], port: int) -> Iterator[None]:
    """A server in a process of its own, once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: _listens(port) or None)
        yield
    finally:
        process.terminate()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def nginx(folder: Path, proxy_port: int, provider: str) -> Iterator[str]:
    """Our nginx.conf with the addresses of this test; its base URL."""
    port = free_port()
    text = (FOLDER / "nginx.conf").read_text()
    changes = {
        "127.0.0.1:8080": f"127.0.0.1:{proxy_port}",
        "listen 8088": f"listen 127.0.0.1:{port}",
        "https://api.openai.com": provider,
        "/var/log/nginx": str(folder),
        "worker_processes auto;": f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;",
        "http {": "http {\n" + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in NGINX_FOLDERS),
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    made = folder / "nginx.conf"
    made.write_text(text)
    checked = subprocess.run(["nginx", "-t", "-c", str(made), "-p", str(folder)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with run(["nginx", "-c", str(made), "-p", str(folder)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def envoy(folder: Path, proxy_port: int, provider: str) -> Iterator[str]:
    """Our envoy.yaml with the addresses of this test; its base URL."""
    port = free_port()
    document = yaml.safe_load((FOLDER / "envoy.yaml").read_text())
    resources = document["static_resources"]
    resources["listeners"][0]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    _, through, direct = resources["clusters"]
    host, _, provider_port = provider.removeprefix("http://").partition(":")
    through["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["port_value"] = proxy_port
    endpoint = direct["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"] = {"address": host, "port_value": int(provider_port)}
    del direct["transport_socket"]
    made = folder / "envoy.json"
    made.write_text(json.dumps(document))
    binary = shutil.which("envoy")
    assert binary is not None
    with run([binary, "-c", str(made), "--base-id-path", str(folder / "id"), "--use-dynamic-base-id", "-l", "critical"], port):
        yield f"http://127.0.0.1:{port}"


def _is_through(made: openai.OpenAI, served: Proxy) -> bool:
    """Whether calls come to the proxy by now: a balancer that looks whether it is well needs a moment."""
    before = len(served.calls())
    ask_both(made)
    return bool(served.calls()[before:]) and bool(served.recorded(before + 2))


BALANCERS = [
    pytest.param(nginx, marks=pytest.mark.skipif(shutil.which("nginx") is None, reason="needs the nginx binary")),
    pytest.param(envoy, marks=pytest.mark.skipif(shutil.which("envoy") is None, reason="needs the envoy binary")),
]


@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_load_balancer_sends_calls_to_the_provider_while_the_proxy_is_away(tmp_path: Path, balancer: Any) -> None:
    seen: list[Asked] = []
    with simulated(seen) as provider:
        with proxy(tmp_path, provider) as served:
            port = served.address[1]
            with balancer(tmp_path, port, provider) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="sk-own", max_retries=0) as made:
                until(lambda: _is_through(made, served) or None)
                before = len(served.recorded(2))
                ask_both(made)
                assert len(served.recorded(before + 2)) == before + 2
                with pytest.raises(openai.NotFoundError):
                    made.models.retrieve("nobody-knows-it")
        total = len(seen)
        with balancer(tmp_path, port, provider) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="sk-own", max_retries=0) as made:
            ask_both(made)
        assert len(seen) == total + 2
        assert set(keys_seen(seen[-2:])) == {"sk-own"}


def test_the_files_name_no_package_of_ours() -> None:
    spec = importlib.util.spec_from_file_location("copied", FOLDER / "openai_client.py")
    assert spec is not None
    text = (FOLDER / "openai_client.py").read_text()
    assert not [line for line in text.splitlines() if line.startswith(("from proxy", "from config", "import proxy"))]
