"""The product as operators run it: `gridbook …` as processes of this machine on the bed's servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.bed import Bed
from infra.compiled import told

_STOP_S: Final = 15.0
_ROOT: Final = Path(__file__).parent.parent


@contextmanager
def gridbook(
    bed: Bed, words: Sequence[str], deployment: str, settings: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """`gridbook` with these words on Kafka, one copy of every topic: the process and its log (JSON lines).

    It is told to stop in the end, and is killed if it does not within 15 s.
    """
    own = {
        "DATABASE_URL": bed.dsn,
        "KAFKA_BOOTSTRAP": bed.bootstrap,
        "GRIDBOOK_DATA": str(bed.folder / deployment),
        "GRIDBOOK_DEPLOYMENT": deployment,
        "GRIDBOOK_REPLICATION_FACTOR": "1",
        "GRIDBOOK_MIN_INSYNC_REPLICAS": "1",
        "GRIDBOOK_LOG_FORMAT": "json",
        "GRIDBOOK_COMPILED": "yes" if told().startswith("compiled") else "no",
    }
    log = bed.folder / f"{deployment}-{os.urandom(4).hex()}.log"
    with log.open("wb") as writer:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateways.start", *words, "--kafka"],
            cwd=_ROOT,
            env={**os.environ, **own, **settings},
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
        )
    try:
        yield process, log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
