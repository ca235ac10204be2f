"""Lines of the log: whoever says something never waits, whoever reads misses nothing that there was room for."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from infra.telemetry.lines import Lines

ROOT = Path(__file__).parents[3]


class Slow(io.StringIO):
    """A stream whose reader takes a break."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = threading.Event()
        self.asked = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.reads.wait(10)
        return super().write(text)


def lost(count: int) -> str:
    return f"lost {count}"


def test_lines_come_whole_and_in_order() -> None:
    stream = io.StringIO()
    lines = Lines(stream, lost)
    for n in range(2_000):
        lines.put(f"line {n}")
    lines.close()
    assert stream.getvalue() == "".join(f"line {n}\n" for n in range(2_000))
    assert lines.lost == 0


def test_lines_of_many_threads_are_not_mixed() -> None:
    stream = io.StringIO()
    lines = Lines(stream, lost)

    def talk(word: str) -> None:
        for _ in range(500):
            lines.put(word * 50)

    threads = [threading.Thread(target=talk, args=(f"{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.close()
    found = stream.getvalue().splitlines()
    assert sorted(found) == sorted(f"{n}" * 50 for n in range(4) for _ in range(500))


def test_who_says_something_never_waits_and_what_is_lost_is_said() -> None:
    stream = Slow()
    lines = Lines(stream, lost, most=10)
    lines.put("first")
    assert stream.asked.wait(5)
    began = time.monotonic()
    for n in range(25):
        lines.put(f"line {n}")
    assert time.monotonic() - began < 1
    assert lines.lost == 15
    stream.reads.set()
    lines.put("last")  # or lost as well, when it came too soon
    lines.close()
    written = stream.getvalue().splitlines()
    assert written[:11] == ["first", *(f"line {n}" for n in range(10))]
    assert sum(int(line.split()[1]) for line in written if line.startswith("lost")) == lines.lost


def test_a_stream_that_is_gone_harms_nobody() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        lines = Lines(stream, lost)
        os.close(reading)
        for n in range(5):
            lines.put(f"line {n}")
        lines.close(5)
        assert lines.lost >= 5
        lines.put("afterwards")


def test_what_the_stream_cannot_show_is_shown_otherwise(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        lines = Lines(stream, lost)
        lines.put("5 € and \udcff")
        lines.close()
    assert (tmp_path / "log").read_text() == "5 \\u20ac and \\udcff\n"
    assert lines.lost == 0


UNREAD = """
import sys, time
from infra.telemetry.lines import Lines
lines = Lines(sys.stdout, lambda count: "lost", most=100)
for n in range(5_000):
    lines.put("x" * 1_000)
    time.sleep(0 if n % 100 else 0.001)
began = time.monotonic()
lines.close(0.3)
assert time.monotonic() - began < 2
assert lines.lost > 1_000, lines.lost
print("done", file=sys.stderr)
"""


def test_a_pipe_that_nobody_reads_keeps_no_process_from_ending() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", UNREAD], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "done\n"
    finally:
        process.kill()
        process.communicate()
