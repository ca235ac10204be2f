"""The choice between compiled modules and plain Python comes before everything else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateways import start
from gateways.supervise import CONFIGURATION
from infra.compiled import MODULES

ROOT = Path(__file__).parents[3]
SAYS = """
import sys
import gateways.start, infra.compiled
early = [name for name in infra.compiled.MODULES if name in sys.modules]
assert not early, early
gateways.start.use_compiled = lambda: print("asked for the build")
gateways.start.told = lambda: {told!r}
sys.argv = ["gridbook", "--help"]
gateways.start.main()
"""
PLAIN, COMPILED = "plain Python: there is no build", "compiled: all of it"


def started(told: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", SAYS.format(told=told)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != start.VARIABLE} | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("asked", [None, "", "auto", "yes", "no"])
def test_the_build_is_asked_for_before_anything_is_imported_unless_it_is_not_wanted(asked: str | None) -> None:
    ran = started(COMPILED, {} if asked is None else {start.VARIABLE: asked})
    assert ran.returncode == 0, ran.stderr
    assert ("asked for the build" in ran.stdout) is (asked != "no")
    assert "Usage" in ran.stdout


def test_where_native_code_is_demanded_nothing_starts_without_it() -> None:
    assert started(PLAIN, {}).returncode == 0
    ran = started(PLAIN, {start.VARIABLE: "yes"})
    assert ran.returncode == CONFIGURATION == start.CONFIGURATION
    assert PLAIN in ran.stderr
    assert "Usage" not in ran.stdout


def test_the_tests_themselves_run_the_sources() -> None:
    assert not [name for name in MODULES if name in sys.modules and not str(sys.modules[name].__file__).endswith(".py")]
