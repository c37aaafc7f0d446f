"""A real proxy under mixed simulated traffic, and a real Prometheus that scrapes it with our rules. It must never answer for either."""

import contextlib
import io
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.contract.proxy_harness import Proxy, ask, proxy, simulated, until
from tests.contract.scripted_upstream import Received, Script, ScriptedUpstream, scripted_upstream, whole
from tests.intensity_samples import LOGIN, TOKEN, energy_charts, france_odre, uk_neso, watttime
from tests.serving import free_port

PROMETHEUS = shutil.which("prometheus")
SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
STOP_S = 20
SCRAPE_S = 0.2
BUSY = whole(b'{"error":{"message":"slow down"}}', status=b"503 Service Unavailable")
CHANGES = (
    ("127.0.0.1:8080", "{target}"),
    ("scrape_interval: 15s", "scrape_interval: 200ms"),
    ("scrape_timeout: 10s", "scrape_timeout: 200ms"),
    ("evaluation_interval: 30s", "evaluation_interval: 1s"),
    ("rules/*.yml", f"{SHIPPED}/rules/*.yml"),
)
TAGS = {"campaign": ["noel-26", "soldes-27"], "brand": ["acme", "globex"], "stage": ["draft"]}
XMAS = {"x_grammage_tag_campaign": "noel-26", "x_grammage_tag_brand": "acme"}
SALES = {"x_grammage_tag_campaign": "soldes-27", "x_grammage_tag_brand": "globex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus that answers. `url` is its origin."""

    url: str

    def api(self, path: str, **fields: Any) -> Any:
        """The data of an answer; fails on an error."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(fields, doseq=True)}"
        try:
            with urllib.request.urlopen(address, timeout=15) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{fields}: {error.read().decode()}") from error
        assert answer["status"] == "success", answer
        return answer["data"]

    def instant(self, query: str) -> list[dict[str, Any]]:
        """The series that a query gives now, each with a number."""
        rows: list[dict[str, Any]] = self.api("query", query=query)["result"]
        return [row for row in rows if row["value"][1] != "NaN"]

    def course(self, query: str, span_s: float = 30) -> list[dict[str, Any]]:
        """The series that a query gives over the last `span_s`, each with a number somewhere."""
        now_s = time.time()  # noqa: TID251  # the test's own clock
        rows: list[dict[str, Any]] = self.api("query_range", query=query, start=now_s - span_s, end=now_s, step=1)["result"]
        return [row for row in rows if any(value != "NaN" for _, value in row["values"])]


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Prometheus on a port of its own, with the configuration and rules that ship, made quick."""
    text = (SHIPPED / "prometheus.yml").read_text(encoding="utf-8")
    for old, new in CHANGES:
        assert old in text
        text = text.replace(old, new.format(target=target))
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(PROMETHEUS),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    made = Prometheus(url=f"http://{address}")
    try:
        until(lambda: _is_ready(made) or None)
        yield made
    finally:
        process.terminate()
        process.wait(STOP_S)


def _is_ready(made: Prometheus) -> bool:
    try:
        with urllib.request.urlopen(f"{made.url}/-/ready", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def house(folder: Path) -> Iterator[Proxy]:
    """A proxy with several models, zones, tags, policies, budgets and live sources of intensity."""
    with simulated() as good, scripted_upstream() as failing, scripted_upstream() as grids:
        failing.answers(*BUSY)
        grids.script = _grid_page
        sections = {
            "tags": TAGS,
            "models": _models(good, failing),
            "policies": POLICIES,
            "budgets": BUDGETS,
            "intensity": {"sources": _sources(grids)},
            "weighing": {"shadow": ["ecologits"]},
        }
        with proxy(folder, good, **sections) as made:
            yield made


POLICIES = [
    {"name": "drafts-small", "when": {"alias": "large", "tags": {"stage": "draft"}}, "prefer": {"among": ["small"]}, "mode": "enforce"},
    {"name": "only-watched", "when": {"alias": "watched"}, "prefer": {"among": ["small"]}, "mode": "shadow"},
    {"name": "again", "when": {"alias": "small"}, "apply": {"reuse": "1h"}, "mode": "enforce"},
    {"name": "few-versions", "when": {"alias": "visuals"}, "iterations": {"at_most": 2, "tag": "campaign"}, "mode": "enforce"},
    {
        "name": "small-first",
        "when": {"alias": "answers"},
        "escalate": {"to": "large", "when": ["truncated"], "must_match": "words that no answer has"},
        "mode": "enforce",
    },
]
BUDGETS = [
    {"name": "noel-26", "match": {"campaign": "noel-26"}, "limit_kgco2e": 1, "period": "month"},
    {"name": "everything", "limit_kgco2e": 0.000001, "period": "all", "on_exceed": "warn"},
]


def _models(good: str, failing: ScriptedUpstream) -> dict[str, Any]:
    def at(model: str, region: str, url: str = good, **more: Any) -> dict[str, Any]:
        return {"provider": "azure", "model": model, "region": region, "api_base": f"{url}/v1", "api_key": "k", **more}

    return {
        "large": {"deployments": [at("gpt-4o", "eastus")]},
        "small": {"deployments": [at("gpt-4o-mini", "francecentral")]},
        "watched": {"deployments": [at("gpt-4o", "polandcentral")]},
        "answers": {"deployments": [at("gpt-4o-mini", "swedencentral")]},
        "visuals": {"deployments": [at("gpt-image-1", "eastus")]},
        "voice": {"deployments": [at("gpt-4o-mini-tts", "eastus")]},
        "ears": {"deployments": [at("whisper-1", "eastus")]},
        "films": {"deployments": [at("sora-2", "eastus")]},
        "thinking": {"deployments": [at("o4-mini", "swedencentral")]},
        "rescued": {
            "deployments": [at("gpt-4o-mini", "eastus", failing.url), at("gpt-4o-mini", "francecentral", order=1)],
            "breaker": {"failures": 2, "pause_s": 600},
        },
    }


def _sources(grids: ScriptedUpstream) -> list[dict[str, Any]]:
    return [
        {"kind": "energy-charts", "zones": ["FR", "PL"], "url": grids.url},
        {"kind": "uk-neso", "zones": ["GB"], "url": grids.url},
        {"kind": "france-odre", "zones": ["FR"], "url": grids.url},
        {"kind": "watttime", "zones": ["CAISO_NORTH"], "user": "acme", "token": TOKEN, "url": grids.url},
    ]


def _grid_page(request: Received) -> Script:
    """Figures of this hour; Poland's cannot be true, and what is not known here fails."""
    parts = urlsplit(request.target)
    quarter_s = time.time() // 900 * 900  # noqa: TID251  # the servers' own clock
    pages = {
        "/co2eq": lambda: energy_charts([9000.0 if "pl" in parts.query.lower() else 25.0, 26.0], [None, None], quarter_s - 900),
        "/intensity": lambda: uk_neso((166, 163), first_s=quarter_s // 1800 * 1800),
        "/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records": lambda: france_odre(28.0, 29.0, newest_s=quarter_s - 900),
        "/login": lambda: LOGIN,
        "/v3/forecast": lambda: watttime(1000.0, 990.0, first_s=quarter_s),
    }
    page = pages.get(parts.path)
    return whole(page()) if page is not None else whole(b"no such page", status=b"404 Not Found")


LONG = [{"role": "user", "content": "Describe each of our jumpers. " * 400}]


def _wave(seconds: int = 2) -> bytes:
    """A silent recording."""
    with io.BytesIO() as held:
        with wave.open(held, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16_000 * seconds))
        return held.getvalue()


RECORDING = (
    b'--cut\r\ncontent-disposition: form-data; name="model"\r\n\r\nears\r\n'
    b'--cut\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n'
    + _wave()
    + b"\r\n--cut--\r\n"
)


def calls(made: Proxy) -> None:
    """One round of traffic: models, zones, tags, policies, pictures, sound, video, errors, what is not weighed."""
    words(made)
    media(made)
    made.chat(ask(model="large"), x_simulate_fault="500", **XMAS)
    made.get("/v1/files")


def words(made: Proxy) -> None:
    """Chats under every policy."""
    made.chat(ask(model="large"), x_grammage_tag_stage="draft", **XMAS)
    made.chat(ask(model="large"), **SALES)
    made.chat(ask(model="small", stream=True), **XMAS)
    made.chat(ask(model="small", temperature=0))
    made.chat(ask(model="watched"), x_grammage_tag_campaign="never-declared", x_grammage_tag_brand="acme")
    made.chat(ask(model="answers"))
    made.chat(ask(model="thinking", reasoning_effort="high"))
    made.chat(ask(model="thinking", messages=LONG, prompt_cache_key="catalogue"), **SALES)
    made.chat(ask(model="rescued"), **SALES)
    made.chat(ask(model="large"), x_simulate_fault="no-usage", **XMAS)


def media(made: Proxy) -> None:
    """A picture, speech, a recording written down, a film."""
    made.post("/v1/images/generations", {"model": "visuals", "prompt": "A merino jumper on snow.", "size": "1024x1024"}, **XMAS)
    made.post("/v1/audio/speech", {"model": "voice", "input": "Bonjour à tous.", "voice": "alloy"}, **SALES)
    made.send("POST", "/v1/audio/transcriptions", RECORDING, {"content-type": "multipart/form-data; boundary=cut"})
    film = made.post("/v1/videos", {"model": "films", "prompt": "A merino jumper on snow.", "seconds": "4"}, **XMAS).json["id"]
    until(lambda: made.get(f"/v1/videos/{film}").json["status"] == "completed" or None)
