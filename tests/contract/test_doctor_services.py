"""What the doctor says of a database server, Redis, a tracing receiver, the spool's room and clocks that differ."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli import doctor_services
from proxy.cli.main import app
from proxy.ledger.columns import REVISIONS
from tests.contract.postgres_server import PostgresServer
from tests.contract.redis_server import redis_program, redis_server
from tests.serving import free_port

SECRET = "s3cret-of-ours"


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)


def examined(code: int = 0, **sections: Any) -> dict[str, dict[str, str]]:
    """The doctor's findings by check."""
    Path("c.yaml").write_text(json.dumps({"server": {"listen": "127.0.0.1:0"}, **sections}))
    told = CliRunner().invoke(app, ["doctor", "--config", "c.yaml", "--format", "json"], prog_name="grammage")
    assert told.exit_code == code, told.output
    assert SECRET not in told.output
    return {row["check"]: row for row in json.loads(told.stdout)}


def test_a_database_server_is_told_with_its_version_schema_and_clock(postgres: PostgresServer) -> None:
    found = examined(ledger={"url": postgres.url("ledger")})
    assert found["database"]["detail"].startswith("PostgreSQL ")
    assert found["database"]["detail"].endswith(f"schema {REVISIONS[-1]}")
    assert "as the database has it" in found["clock"]["detail"]
    assert "MiB" in found["spool"]["detail"]


def test_a_database_without_the_schema_says_what_to_run(postgres: PostgresServer) -> None:
    with postgres.database() as bare:
        found = examined(1, ledger={"url": bare})
    assert (found["database"]["state"], found["database"]["remedy"]) == ("problem", "run: grammage db upgrade")


def test_servers_that_do_not_answer_are_unreachable() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    found = examined(
        3,
        ledger={"url": f"postgresql://me:{SECRET}@{nowhere}/x"},
        redis=f"redis://:{SECRET}@{nowhere}/0",
        tracing={"endpoint": f"http://{nowhere}", "headers": {"authorization": SECRET}},
    )
    for name in ("database", "redis", "tracing"):
        assert found[name]["state"] == "problem", name
        assert found[name]["remedy"]


@pytest.mark.skipif(redis_program() is None, reason="no Redis and no Valkey here")
def test_redis_and_a_receiver_that_answer_are_well() -> None:
    with redis_server() as redis, socket.create_server(("127.0.0.1", 0)) as receiver:
        endpoint = f"http://127.0.0.1:{receiver.getsockname()[1]}"
        found = examined(redis=redis.url, tracing={"endpoint": endpoint})
    assert found["redis"]["detail"] == "answers"
    assert found["tracing"]["detail"] == f"somebody listens at {endpoint}"
    assert "as Redis has it" in found["clock"]["detail"]


def test_a_receiver_without_the_packages_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_services, "TRACING_PACKAGE", "opentelemetry_of_nobody.exporter")
    found = examined(1, tracing={"endpoint": "http://127.0.0.1:9"})
    assert found["tracing"]["remedy"] == "pip install 'grammage[otel]'"


def test_a_disk_without_room_for_the_spool_is_a_problem() -> None:
    found = examined(1, ledger={"url": "sqlite:///calls.db", "spool_reserve_mb": 1e12})
    assert "free some room" in found["spool"]["remedy"]


def test_clocks_that_are_apart_are_a_problem() -> None:
    apart = doctor_services.clock({"Redis": 3.0, "the database": 0.4})
    assert "apart from this: Redis 3.0 s" in apart.detail
    assert apart.remedy
    together = doctor_services.clock({"Redis": 0.0, "the database": 1.9})
    assert together.detail.endswith("as Redis and the database have it")
    assert not together.remedy


def test_an_endpoint_with_a_key_in_it_is_refused() -> None:
    found = examined(1, tracing={"endpoint": f"http://me:{SECRET}@collector:4318"})
    assert "put a token in tracing.headers" in found["configuration"]["detail"]
