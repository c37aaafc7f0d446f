"""A call weighed within each boundary that may be configured: what the answer carries and the ledger keeps."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import Proxy, ask, proxy

LINES = ("operational_gco2e", "embodied_gco2e", "training_gco2e", "network_gco2e")


def kept(served: Proxy) -> dict[str, Any]:
    """The estimate and the attempt of the only call."""
    served.recorded()
    with contextlib.closing(sqlite3.connect(f"file:{served.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        (row,) = database.execute("SELECT e.*, a.request_bytes, a.response_bytes FROM estimates e JOIN attempts a USING (attempt_id)")
        return plain(row)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("profile", "lines"), [("sci-consumer", LINES[:2]), ("ghgp-cat1", LINES), ("afnor-2314", LINES)])
def test_a_call_is_kept_with_every_line_and_summed_within_its_profile(
    tmp_path: Path, profile: str, lines: tuple[str, ...], stream: bool
) -> None:
    with proxy(tmp_path, weighing={"profile": profile}) as served:
        answer = served.chat(ask(model="sim-small", stream=stream))
        row = kept(served)
    assert answer.status == 200
    assert row["profile"] == profile
    assert all(row[line] > 0 for line in LINES)
    assert row["gco2e"] == pytest.approx(sum(row[line] for line in lines), rel=1e-6)
    assert row["request_bytes"] + row["response_bytes"] > 0
    assert "network-bytes-unknown" not in str(row["warnings"])
    if not stream:
        assert float(answer.ours["gco2e"]) == pytest.approx(row["gco2e"], rel=1e-3)
