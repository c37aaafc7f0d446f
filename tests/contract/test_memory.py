"""An upload is never held: the short twin of tests/prove/test_memory_long.py."""

from pathlib import Path

import pytest

from tests.contract.memory_harness import hold

MOST_GROWTH_MB = 20.0
"""Half of the upload; the streams beside it may fill what is kept of each, 256 KB."""


@pytest.mark.parametrize("model_first", [True, False], ids=["model first", "model last"])
async def test_an_upload_of_40_mb_beside_16_streams_is_not_held(tmp_path: Path, model_first: bool) -> None:
    held = await hold(tmp_path, upload_mb=40, streams=16, model_first=model_first, config="server: {limits: {json_body_mb: 1}}\n")
    print(f"40 MB beside 16 streams: {held.before_mb:.1f} MB before, {held.peak_mb:.1f} MB at most (+{held.growth_mb:.1f})")
    assert held.statuses == [200] * 17
    assert held.same_bytes
    assert held.growth_mb < MOST_GROWTH_MB
