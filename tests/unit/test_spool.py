"""The spool: what is acknowledged comes back, what is torn does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.ledger.spool import Spool, SpoolFile, SpoolFull, SpoolTaken, spool_path
from tests.contract.ledgers import record, records

RESERVE = 256 * 1024


def opened(path: Path, reserve: int = RESERVE) -> Spool:
    spool = Spool(path, reserve)
    spool.open()
    return spool


def drained(spool: Spool) -> list[str]:
    ids: list[str] = []
    while not spool.is_empty:
        ids += [record.call_id for record in spool.oldest()]
        spool.drop_oldest()
    return ids


def test_a_record_comes_back_as_it_went_in(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    went_in = records(3)
    spool.append(went_in, sync=True)
    assert spool.oldest() == tuple(went_in)
    spool.close()


def test_frames_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    went_in = records(6)
    spool.append(went_in[:2], sync=False)
    spool.append(went_in[2:], sync=False)
    spool.close()
    again = opened(tmp_path / "x.spool")
    assert drained(again) == [record.call_id for record in went_in]
    assert again.is_empty
    again.close()


def test_small_frames_come_back_together_up_to_so_many_records_and_are_dropped_together(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    went_in, late = records(10), record(100)
    for first in (0, 3, 6, 9):
        spool.append(went_in[first : first + 3], sync=False)
    portion = spool.oldest(7)
    assert portion == spool.oldest(7) == tuple(went_in[:6])
    spool.append([late], sync=False)
    spool.drop_oldest()
    assert spool.oldest(7) == (*went_in[6:], late)
    spool.drop_oldest()
    assert spool.is_empty
    spool.close()


def test_a_frame_larger_than_was_asked_for_comes_whole(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    spool.append(records(5), sync=False)
    assert len(spool.oldest(2)) == 5
    spool.close()


def test_a_frame_that_cannot_be_read_ends_a_portion_and_is_stepped_over_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.spool"
    spool = opened(path)
    went_in = records(3)
    spool.append([went_in[0]], sync=False)
    spool._files[0].append(b"of another version", sync=False)
    spool.append([went_in[2]], sync=False)
    got = []
    for _ in range(3):
        got.append([each.call_id for each in spool.oldest(100)])
        spool.drop_oldest()
    assert got == [[went_in[0].call_id], [], [went_in[2].call_id]]
    assert spool.is_empty
    spool.close()
    assert [file.name for file in tmp_path.iterdir()] == ["x.spool.unreadable-1"]


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 60])
def test_a_torn_tail_is_dropped_and_written_over(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.spool"
    spool = opened(path)
    first, torn, after = records(3)
    spool.append([first], sync=False)
    end = _end_of_frames(path)
    spool.append([torn], sync=False)
    spool.close()
    with path.open("r+b") as file:
        file.seek(end + cut)
        file.write(bytes(RESERVE - end - cut))
    again = opened(path)
    again.append([after], sync=False)
    assert drained(again) == [first.call_id, after.call_id]
    again.close()


def _end_of_frames(path: Path) -> int:
    return len(path.read_bytes().rstrip(b"\0"))


def test_a_flipped_bit_ends_the_reading_before_it(tmp_path: Path) -> None:
    path = tmp_path / "x.spool"
    spool = opened(path)
    first, second = records(2)
    spool.append([first], sync=False)
    middle = _end_of_frames(path) + 40
    spool.append([second], sync=False)
    spool.close()
    content = bytearray(path.read_bytes())
    content[middle] ^= 1
    path.write_bytes(content)
    again = opened(path)
    assert drained(again) == [first.call_id]
    again.close()


def test_frames_of_an_earlier_filling_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    old = [record(number) for number in range(4)]
    for each in old:
        spool.append([each], sync=False)
    drained(spool)
    new = record(9)
    spool.append([new], sync=False)
    spool._files[0].close()  # as a killed process leaves it: neither emptied nor deleted
    again = opened(tmp_path / "x.spool")
    assert drained(again) == [new.call_id]
    again.close()


def test_the_reserve_is_disk_really_taken(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    assert spool.reserved_bytes == RESERVE
    assert os.stat(tmp_path / "x.spool").st_blocks * 512 >= RESERVE
    spool.close()


def test_an_empty_spool_leaves_no_file(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool")
    spool.append(records(1), sync=False)
    drained(spool)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = opened(tmp_path / "x.spool", 4096)
    kept: list[str] = []

    def fill() -> None:
        for number in range(1000):
            each = record(number)
            spool.append([each], sync=False)
            kept.append(each.call_id)

    with pytest.raises(SpoolFull):
        fill()
    assert kept
    assert drained(spool) == kept
    spool.append(records(1), sync=False)
    spool.close()


def test_a_second_process_takes_a_file_of_its_own(tmp_path: Path) -> None:
    first = opened(tmp_path / "x.spool")
    second = opened(tmp_path / "x.spool")
    mine, theirs = records(2)
    first.append([mine], sync=False)
    second.append([theirs], sync=False)
    assert first.oldest() == (mine,)
    assert second.oldest() == (theirs,)
    with pytest.raises(SpoolTaken):
        SpoolFile(tmp_path / "x.spool")
    first.close()
    second.close()


def test_what_an_ended_process_left_is_picked_up_and_its_file_deleted(tmp_path: Path) -> None:
    first = opened(tmp_path / "x.spool")
    second = opened(tmp_path / "x.spool")
    left = record()
    second.append([left], sync=False)
    first.close()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.spool.2"]
    heir = opened(tmp_path / "x.spool")
    assert drained(heir) == [left.call_id]
    assert [path.name for path in tmp_path.iterdir()] == ["x.spool"]
    heir.close()


def test_a_frame_this_version_cannot_read_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.spool"
    spool = opened(path)
    spool._files[0].append(b"packed by some other version", sync=False)
    readable = record()
    spool.append([readable], sync=False)
    assert drained(spool) == [readable.call_id]
    spool.close()
    assert "cannot read" in caplog.text
    (kept,) = tmp_path.iterdir()
    assert kept.name == "x.spool.unreadable-1"
    assert b"packed by some other version" in kept.read_bytes()


def test_what_can_be_reserved_under_a_file_size_limit_is_reserved_and_said(tmp_path: Path) -> None:
    script = (
        "import logging, resource, sys\n"
        "from pathlib import Path\n"
        "logging.basicConfig(stream=sys.stdout)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from proxy.ledger.spool import Spool\n"
        f"spool = Spool(Path({str(tmp_path / 'x.spool')!r}), 1 << 20)\n"
        "spool.open()\n"
        "print(spool.reserved_bytes)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "100000"
    assert "could reserve 100000 of 1048576 bytes" in done.stdout


def test_the_spool_stands_beside_the_file_or_in_the_working_folder() -> None:
    assert spool_path(Path("/var/lib/x/ledger.db")) == Path("/var/lib/x/ledger.db.spool")
    assert spool_path(None) == Path("grammage.spool")
