"""The long proof that uploads and streams are not held: 200 MB beside 64 streams. `make prove` runs it.

It must never be part of `make test`.
"""

from pathlib import Path

import pytest

from tests.contract.memory_harness import hold

MOST_GROWTH_MB = 40.0
pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]


@pytest.mark.parametrize("model_first", [True, False], ids=["model first", "model last"])
async def test_an_upload_of_200_mb_beside_64_streams_keeps_growth_below_40_mb(tmp_path: Path, model_first: bool) -> None:
    held = await hold(tmp_path, upload_mb=200, streams=64, model_first=model_first)
    print(
        f"200 MB beside 64 streams, {'model first' if model_first else 'model last'}: {held.before_mb:.1f} MB before, "
        f"{held.peak_mb:.1f} MB at most (+{held.growth_mb:.1f}), {held.after_mb:.1f} MB after"
    )
    assert held.statuses == [200] * 65
    assert held.same_bytes
    assert held.growth_mb < MOST_GROWTH_MB
