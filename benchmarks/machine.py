"""What a figure was measured on: without it a number means nothing to anybody else."""

import os
import platform
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from infra.compiled import CODEC, MODULES
from infra.kafka.broker.runtime import KAFKA_VERSION

_LIBRARIES: Final = ("aiokafka", "cramjam", "fastavro", "psycopg", "pydantic", "eventsourcing")
HOT: Final = tuple(name for name in MODULES if name != CODEC)
"""Modules that may be compiled; plain Python gives the same bytes."""


def facts() -> dict[str, Any]:
    """Processor, cores, versions, and which of the hot modules are compiled."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kafka": KAFKA_VERSION,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "compiled": compiled(HOT),
    }


def compiled(names: Iterable[str]) -> list[str]:
    """Those of the modules that were not loaded from plain Python source; all are plain when it is empty."""
    return [name for name in names if not (import_module(name).__file__ or "").endswith(".py")]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
