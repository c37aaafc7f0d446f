"""What can be wrong at the start: one clear text on standard error, exit code 1, and never a traceback."""

import socket
from pathlib import Path

import pytest

from tests.contract.proxy_harness import serve_command
from tests.serving import free_port


def test_start_with_unset_variables_lists_them_all(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("version: 1\nupstream: ${NOT_SET_A}\nuser_hash_secret: ${NOT_SET_B}\n")
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        assert child.exit_code() == 1
    assert "c.yaml:2:" in child.text
    assert "NOT_SET_A" in child.text
    assert "NOT_SET_B" in child.text
    assert "Traceback" not in child.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\n  bad: [\n", ("c.yaml:2",)),
        ("version: 1\nserver: {listne: ':1'}\n", ("c.yaml:2", "listne", "listen")),
        ("version: 1\nserver: {listen: 'here'}\n", ("c.yaml:2", "host:port")),
        ("version: 2\n", ("c.yaml:1", "version")),
        ("- a\n", ("c.yaml:1",)),
    ],
)
def test_start_with_bad_yaml_names_the_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        assert child.exit_code() == 1
    for word in words:
        assert word in child.text
    assert "Traceback" not in child.text


def test_start_with_a_missing_file_names_it(tmp_path: Path) -> None:
    with serve_command(tmp_path, "--config", "absent.yaml") as child:
        assert child.exit_code() == 1
    assert "absent.yaml" in child.text
    assert "Traceback" not in child.text


@pytest.mark.parametrize("where", ["file/calls.db", "folder", "absent/deeper/calls.db"])
def test_start_with_a_ledger_that_cannot_be_written_names_it(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with serve_command(tmp_path, "--port", "0", "--ledger", f"sqlite:///{tmp_path / where}") as child:
        assert child.exit_code() == 1
    assert where in child.text
    assert "Traceback" not in child.text


def test_start_with_a_ledger_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_text("This is a letter, not a database." * 40)
    with serve_command(tmp_path, "--port", "0", "--ledger", f"sqlite:///{tmp_path}/calls.db") as child:
        assert child.exit_code() == 1
    assert "calls.db" in child.text
    assert "Traceback" not in child.text


def test_start_on_a_port_in_use_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve_command(tmp_path, "--port", str(port)) as child:
            assert child.exit_code() == 1
    assert f"127.0.0.1:{port}" in child.text
    assert "in use" in child.text
    assert "Traceback" not in child.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_start_with_ourselves_as_the_upstream_says_so(tmp_path: Path, host: str) -> None:
    port = free_port()
    with serve_command(tmp_path, "--port", str(port), "--upstream", f"http://{host}:{port}/v1") as child:
        assert child.exit_code() == 1
    assert "itself" in child.text
    assert "Traceback" not in child.text


def test_start_with_provider_keys_for_everyone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "version: 1\nserver: {listen: '0.0.0.0:0'}\nmodels: {a: {deployments: [{provider: openai, api_key: sk-secret-1234}]}}\n"
    )
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        assert child.exit_code() == 1
    assert "auth: open" in child.text
    assert "sk-secret-1234" not in child.text
    assert "Traceback" not in child.text
