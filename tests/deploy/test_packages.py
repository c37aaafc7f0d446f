"""What people deploy is judged by the tools of its trade: the image's recipe, Compose, the Helm chart, the unit of systemd."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from config.load import load_settings
from tests.clients.environments import DEPLOY, HOME, why_missing

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "deploy"
CHART = PLACE / "helm" / "grammage"
COMPOSE = PLACE / "compose"
IMAGE = (PLACE / "docker" / "Dockerfile").read_text("utf-8")
SECRETS = {
    "POSTGRES_PASSWORD": "x",
    "GRAMMAGE_ADMIN_KEY": "a" * 12,
    "GRAMMAGE_TEAM_KEY": "t" * 12,
    "OPENAI_API_KEY": "o" * 12,
    "LEDGER_URL": "postgresql://grammage:x@db/grammage",
    "USER_HASH_SECRET": "a secret of the tests",
    "REDIS_URL": "redis://redis:6379/0",
}
TOOLS = pytest.mark.skipif(why_missing(DEPLOY) is not None, reason=str(why_missing(DEPLOY)))
HELM = shutil.which("helm")
RENDERED = pytest.mark.skipif(HELM is None, reason="no `helm` on the PATH: the chart is rendered where there is one")
UNITS = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def tool(name: str) -> Path:
    return HOME / DEPLOY / "bin" / name


def values(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    return {**found, **changed}


@TOOLS
def test_the_images_recipe_has_no_fault() -> None:
    assert run(tool("hadolint"), PLACE / "docker" / "Dockerfile").stdout == ""


def test_the_image_runs_as_nobody_and_writes_in_one_place() -> None:
    assert "USER 10001:10001" in IMAGE
    assert "PYTHONSAFEPATH=1" in IMAGE
    assert "HEALTHCHECK" in IMAGE
    assert re.findall(r"^VOLUME (.+)$", IMAGE, re.MULTILINE) == ["/var/lib/grammage"]
    assert "--require-hashes" in IMAGE


def test_what_the_image_is_built_of_makes_the_whole_package(tmp_path: Path) -> None:
    """The wheel made of what the recipe copies holds what the wheel of the whole tree holds."""
    context = tmp_path / "context"
    context.mkdir()
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in re.findall(r"^COPY (?!--from)(.+)$", IMAGE, re.MULTILINE):
        *names, to = source.split()
        for name in names:
            assert name in allowed, f"{name} is kept out by .dockerignore"
            target = context / (Path(name).name if to == "./" else to)
            shutil.copytree(ROOT / name, target) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, target)
    built = tmp_path / "wheels"
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", built, context)
    (wheel,) = built.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(file.relative_to(ROOT)) for name in ("config", "estimators", "proxy") for file in (ROOT / name).rglob("*.py")}
    wanted |= {str(file.relative_to(ROOT)) for file in (ROOT / "config" / "data").iterdir() if file.is_file()}
    assert not wanted - inside


def test_the_images_lock_holds_hashes_and_no_place() -> None:
    text = (PLACE / "docker" / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    pins = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==", text, re.MULTILINE)
    assert {"psycopg", "redis", "uvicorn", "setuptools"} <= set(pins)
    assert not {"pytest", "mypy", "scipy"} & set(pins)


@TOOLS
def test_compose_follows_its_specification() -> None:
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE / "compose.yaml")


def test_every_file_that_compose_mounts_is_there_and_no_image_floats() -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]
    for service in services.values():
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (COMPOSE / source).exists(), source
    needed = set(re.findall(r"\$\{(\w+):\?", (COMPOSE / "compose.yaml").read_text("utf-8")))
    stated = {line.partition("=")[0] for line in (COMPOSE / "example.env").read_text("utf-8").splitlines() if "=" in line}
    assert needed <= stated


def test_the_configurations_that_are_deployed_load() -> None:
    shared = load_settings(COMPOSE / "grammage" / "grammage.yaml", SECRETS)
    assert (shared.auth_mode, shared.ledger.url.partition(":")[0], shared.redis) == ("keys", "postgresql", "redis://redis:6379/0")


def test_the_charts_configuration_loads(tmp_path: Path) -> None:
    file = tmp_path / "grammage.yaml"
    file.write_text(yaml.safe_dump(values()["config"]))
    assert load_settings(file, SECRETS).admin.listen == "0.0.0.0:9090"


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"replicaCount": 0}, False),
        ({"replicas": 2}, False),
        ({"config": {"version": 2}}, False),
        ({"existingSecret": 1}, False),
    ],
)
def test_the_charts_values_are_checked(change: dict[str, Any], fits: bool) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(values(**change)) is fits


@RENDERED
@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ((), {"Deployment", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "Job"}),
        (("serviceMonitor.enabled=true", "autoscaling.enabled=true"), {"HorizontalPodAutoscaler", "ServiceMonitor"}),
        (("persistence.enabled=true", "replicaCount=1", "migration.enabled=false"), {"PersistentVolumeClaim"}),
    ],
)
def test_the_chart_renders_to_what_kubernetes_takes(tmp_path: Path, options: tuple[str, ...], kinds: set[str]) -> None:
    settings = [part for option in options for part in ("--set", option)]
    rendered = run(str(HELM), "template", "here", CHART, *settings).stdout
    documents = [document for document in yaml.safe_load_all(rendered) if document]
    assert kinds <= {document["kind"] for document in documents}
    pods = [document["spec"]["template"]["spec"] for document in documents if document["kind"] in ("Deployment", "Job")]
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods)
    assert all(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] for pod in pods)
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 120 + values()["preStopSeconds"]
    if why_missing(DEPLOY) is None:
        file = tmp_path / "rendered.yaml"
        own = [document for document in documents if document["kind"] != "ServiceMonitor"]
        file.write_text(yaml.safe_dump_all(own))
        said = run(tool("kubernetes-validate"), "-k", "1.33", file)
        assert (said.stdout + said.stderr).count("passed for resource") == len(own)


@RENDERED
def test_a_volume_of_one_replica_is_not_shared() -> None:
    said = run(str(HELM), "template", "here", CHART, "--set", "persistence.enabled=true", check=False)
    assert said.returncode != 0
    assert "set replicaCount to 1" in said.stderr


@UNITS
def test_the_unit_of_systemd_is_well_formed(tmp_path: Path) -> None:
    text = (PLACE / "systemd" / "grammage.service").read_text("utf-8")
    file = tmp_path / "grammage.service"
    file.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE))
    said = run("systemd-analyze", "verify", file, check=False)
    assert "grammage.service" not in said.stdout + said.stderr
    assert os.access(sys.executable, os.X_OK)
