"""`python -m tests.faults.soak --seed S --minutes M`: a deployment in a storm of faults, day after day.

Three brokers and a database of its own, every process a Python of its own; two decide, one of them as a standby. Each
round is a new deployment that lives through a whole day under load. Ends with the counts and a verdict; with 1 on any
difference.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Final

from infra.postgres.server import LocalPostgres
from schemas.catalog import FAMILIES
from tests.cluster import LocalCluster
from tests.faults.load import Load
from tests.faults.processes import STANDBY, Nursery, Place, interpreter
from tests.faults.storm import Storm
from tests.faults.trial import lived

COUNTS: Final = dict.fromkeys(FAMILIES, 1) | {"market": 4, "site": 2, "billing": 2, "settlement": 2}
MORE: Final = {STANDBY: "decide", "second react": "react"}
ROUND_SECONDS: Final = 900.0
"""A round that is not quiet by then has failed."""

_PAUSE_SECONDS: Final = 0.12


class Soak:
    """Rounds in a storm until the time is over."""

    def __init__(self, seed: int, folder: Path, plant: str | None) -> None:
        self._seed, self._folder, self._plant = seed, folder, plant
        self._cluster, self._database = LocalCluster(folder / "kafka"), LocalPostgres(folder / "postgres")
        self._began = time.monotonic()
        self.faults, self.killed = Counter[str](), Counter[str]()
        self.commands = self.records = self.trades = self.rounds = 0
        self.problems = list[str]()

    def run(self, minutes: float, kills: int) -> bool:
        """Whether nothing differed; no round begins after so many minutes and kills."""
        try:
            self._database.start()
            with self._cluster:
                while not self.problems and (self.seconds < minutes * 60 or self.killed.total() < kills):
                    self.rounds += 1
                    asyncio.run(self._round())
        finally:
            self._database.destroy()
        return not self.problems

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    @property
    def counted(self) -> str:
        """What was done and what stands on the logs, in one line."""
        return (
            f"{self.rounds} rounds in {self.seconds:,.0f} s, {self.killed.total()} kills ({_counts(self.killed)}),"
            f" {self.faults.total()} faults ({_counts(self.faults)}), {self.commands:,} commands,"
            f" {self.records:,} records, {self.trades:,} trades"
        )

    async def _round(self) -> None:
        seed = self._seed * 1_000 + self.rounds
        place = Place(
            f"soak_{uuid.uuid4().hex[:8]}",
            self._database.dsn,
            self._cluster.bootstrap,
            self._folder / f"round-{self.rounds}",
            COUNTS,
            (3, 2),
        )
        load = Load(seed, markets=8, homes=8, orders=30)
        self._say(f"round {self.rounds}: seed {seed}, {load.commands:,} commands to {place.name}")
        storm = Storm(seed, self._cluster, self._database, lambda kind, hit: self._say(f"{kind}: {hit}"))
        try:
            with Nursery() as nursery:
                found = await lived(
                    place,
                    nursery if self._plant else interpreter,
                    load,
                    storm,
                    pause=_PAUSE_SECONDS,
                    seconds=ROUND_SECONDS,
                    plants={role: [self._plant] for role in ("decide", "project")} if self._plant else {},
                    more=MORE,
                    witnessed=True,
                )
            self.commands += found.commands
            self.records += found.records
            self.trades += found.events["TradeMade"]
            self.problems += found.problems
            told = f"{found.commands:,} commands, {found.records:,} records, {found.events['TradeMade']:,} trades"
        except Exception as failed:  # also servers that did not come back
            self.problems.append(f"{type(failed).__name__}: {failed}")
            told = "it did not end"
        self.faults += storm.counts
        self.killed += storm.killed
        verdict = "no difference" if not self.problems else "DIFFERS"
        self._say(f"round {self.rounds}: {storm.killed.total()} kills, {told}: {verdict}")

    def _say(self, text: str) -> None:
        print(f"{self.seconds:7.1f} s  {text}", flush=True)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def main() -> int:
    """The exit code: 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="the same seed draws the same load and the same faults")
    parser.add_argument("--minutes", type=float, default=15.0, help="go on for so long")
    parser.add_argument("--kills", type=int, default=100, help="and until so many were killed")
    parser.add_argument("--plant", help="a bug of tests/faults/planted.py in every process that decides or projects")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(asked.seed, folder, asked.plant)
    holds = soak.run(asked.minutes, asked.kills)
    print(f"\nmake soak SEED={asked.seed} MINUTES={asked.minutes:g}: {soak.counted}")
    if holds:
        shutil.rmtree(folder, ignore_errors=True)
        print("verdict: no difference")
        return 0
    print("verdict: DIFFERS\n" + "\n".join(soak.problems) + f"\nlogs are kept in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
