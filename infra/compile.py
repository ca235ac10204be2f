"""`python -m infra.compile` (`make compile`): makes the build of native code that belongs to today's sources.

It needs a C compiler and Python's headers; everything runs without a build too, with the same results.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from infra.compiled import CODEC, MODULES, ROOT, builds, compiler, fingerprint, sources
from infra.native_source import native_source
from schemas.catalog import messages_of
from schemas.codec_source import source

_ENCODED: Final = {
    "market": {
        "CancelOrder",
        "CommandRefused",
        "ContractConcluded",
        "OrderAccepted",
        "OrderCancelled",
        "OrdersCancelled",
        "SubmitOrder",
        "TradeMade",
    },
    "meter": {"ReadingsRecorded", "ReadingsUnchanged", "RecordReadings"},
}
"""Messages in the compiled codec: those of every order and of every reading. It is most of what there is to compile,
and those of all messages would take minutes; for the others the same functions run as plain Python."""

_COMPILER: Final = {"MYPYC_OPT_LEVEL": "1", "MYPYC_DEBUG_LEVEL": "0"}
"""More optimisation doubles the time to compile and gains nothing: the time goes to Python's own library."""

_KEPT: Final = 3
"""Builds that stay, this one included: another process may just be starting on the one before."""

_CONFIGURATION: Final = """[mypy]
explicit_package_bases = true
mypy_path = $MYPY_CONFIG_FILE_DIR
follow_imports = silent
cache_dir = {cache}

[mypy-{codec}]
allow_redefinition = true
"""
"""The generated codec uses a name for what may be missing and then for what is there."""


class CannotCompile(RuntimeError):
    """There is no compiler, or it refuses the sources: everything runs as plain Python."""


def build(root: Path = ROOT) -> Path:
    """The build that belongs to the sources; made in some twenty seconds when it is not there yet.

    Raises:
        CannotCompile: see there.
    """
    kept = builds(root)
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept, prefix=".making-") as made:
        place, copy = Path(made), Path(made, "sources")
        # Copied first: what is edited meanwhile must not come in under another fingerprint.
        for path in (*sources(root), Path("requirements.lock")):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, copy / path)
        folder = kept / fingerprint(copy)
        if not folder.is_dir():
            _compile(root, copy, kept / ".cache")
            shutil.copytree(copy, place / "whole", ignore=_all_but_libraries)
            try:
                (place / "whole").rename(folder)
            except OSError:
                if not folder.is_dir():  # else somebody else has just made the same one
                    raise
    _forget_old(kept, folder)
    return folder


def _compile(root: Path, copy: Path, cache: Path) -> None:
    asked = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(os.environ.get("CC", asked).split()[0]) is None:
        raise CannotCompile(f"there is no C compiler ({asked}): install gcc and Python's headers")
    if version("mypy") != compiler(root):
        raise CannotCompile(f"mypy is {version('mypy')}, the lock says {compiler(root)}: make the environment anew")
    encoded = (m for family, names in _ENCODED.items() for m in messages_of(family) if m.cls.__name__ in names)
    (copy / f"{CODEC.replace('.', '/')}.py").write_text(source(encoded))
    files = [f"{name.replace('.', '/')}.py" for name in MODULES]
    for file in files:
        (copy / file).write_text(native_source((copy / file).read_text()))
    (copy / "mypy.ini").write_text(_CONFIGURATION.format(cache=cache, codec=CODEC))
    ran = subprocess.run([sys.executable, "-m", "mypyc", *files], cwd=copy, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = "\n".join((ran.stdout + ran.stderr).splitlines()[-30:])
        raise CannotCompile(f"mypyc refuses the sources:\n{said}")


def _all_but_libraries(folder: str, names: list[str]) -> Sequence[str]:
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    own = "build" if Path(folder, "mypy.ini").exists() else ""
    return [n for n in names if n == own or not (n.endswith(suffix) or Path(folder, n).is_dir())]


def _forget_old(kept: Path, folder: Path) -> None:
    os.utime(folder)
    whole = [path for path in kept.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for old in sorted(whole, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def main() -> int:
    """Builds; 0, or 1 with a sentence about what is missing."""
    began = time.monotonic()
    try:
        folder = build()
    except CannotCompile as error:
        print(f"compiled nothing: {error}", file=sys.stderr)
        return 1
    print(f"compiled {len(MODULES)} modules to {folder.relative_to(ROOT)} in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
