"""Promises of snapshots: whole or not at all, whatever dies; what cannot be written says so."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consumers.ports import Partition
from infra.snapshots import FolderSnapshots

ROOT = Path(__file__).parents[2]
M0, M1 = Partition("market", 0), Partition("market", 1)


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


async def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    snapshots = FolderSnapshots(tmp_path / "deep" / "folder")
    assert await snapshots.load(M0) is None
    await snapshots.save(M0, b"one")
    await snapshots.save(M1, b"other")
    assert await snapshots.load(M0) == b"one"
    await snapshots.save(M0, b"")
    assert await FolderSnapshots(tmp_path / "deep" / "folder").load(M0) == b""
    assert await snapshots.load(M1) == b"other"
    assert names(tmp_path / "deep" / "folder") == ["market-0.snapshot", "market-1.snapshot"]


async def test_nobody_else_reads_them(tmp_path: Path) -> None:
    await FolderSnapshots(tmp_path / "new").save(M0, b"state")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new" / "market-0.snapshot").stat().st_mode & 0o077 == 0


async def test_a_folder_that_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(OSError, match="file"):
            await FolderSnapshots(folder).save(M0, b"state")
        with pytest.raises(OSError, match="file"):
            await FolderSnapshots(folder).load(M0)


@pytest.mark.parametrize("at", ["fsync", "rename"])
async def test_a_save_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    snapshots = FolderSnapshots(tmp_path)
    await snapshots.save(M0, b"before")

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(*((os, "fsync", full) if at == "fsync" else (Path, "rename", full)))
        with pytest.raises(OSError, match="no space"):
            await snapshots.save(M0, b"after")
    assert names(tmp_path) == ["market-0.snapshot"]
    assert await snapshots.load(M0) == b"before"
    await snapshots.save(M0, b"after")
    assert await snapshots.load(M0) == b"after"


async def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, int]] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        done.append(("fsync", os.fstat(descriptor).st_size if not os.path.isdir(f"/dev/fd/{descriptor}") else -1))
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append(("rename", 0))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    await FolderSnapshots(tmp_path).save(M0, b"12345")
    assert done == [("fsync", 5), ("rename", 0), ("fsync", -1)]


SAVE = """
import asyncio, sys
from pathlib import Path
from consumers.ports import Partition
from infra.snapshots import FolderSnapshots

async def save():
    snapshots = FolderSnapshots(Path(sys.argv[1]))
    for n in range(1_000_000):
        await snapshots.save(Partition("market", 0), bytes([n % 256]) * 3_000_000)
        print(n, flush=True)

asyncio.run(save())
"""


def saver(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", SAVE, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    return process


async def test_killed_at_any_moment_it_is_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    unfinished = 0
    for n in range(5):
        process = saver(tmp_path)
        await asyncio.sleep(0.01 * n)
        ends = time.monotonic() + 5
        while not names(tmp_path, "*.unfinished") and time.monotonic() < ends:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        unfinished += len(names(tmp_path, "*.unfinished"))
        found = await FolderSnapshots(tmp_path).load(M0)
        assert found is not None
        assert (len(found), len(set(found))) == (3_000_000, 1)
    assert unfinished, "no kill came in the middle of a save"
    await FolderSnapshots(tmp_path).save(M1, b"next")
    assert names(tmp_path) == ["market-0.snapshot", "market-1.snapshot"]


async def test_who_tidies_up_leaves_the_living_alone(tmp_path: Path) -> None:
    process = saver(tmp_path)
    try:
        for _ in range(30):
            await FolderSnapshots(tmp_path).save(M1, b"mine")
        assert process.poll() is None
        assert process.stdout is not None
        process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
    assert names(tmp_path, "*.snapshot") == ["market-0.snapshot", "market-1.snapshot"]


async def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "market-0.snapshot.tmp").write_text("somebody else's")
    await FolderSnapshots(tmp_path).save(M0, b"state")
    assert names(tmp_path) == ["market-0.snapshot", "market-0.snapshot.tmp", "notes.txt"]
