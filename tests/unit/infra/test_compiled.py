"""Compiled modules: the same bytes as plain Python, and only where they are exactly today's sources."""

import ast
import json
import os
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
CHOOSE = "import sys; from pathlib import Path; from infra.compiled import use_compiled; "
SAY = "print(use_compiled(Path(sys.argv[1])))"


def file_of(module: str, suffix: str = ".py") -> str:
    return f"{module.replace('.', '/')}{suffix}"


def copied(to: Path) -> Path:
    """All that a build is made from, somewhere else."""
    for path in (*sources(), Path("requirements.lock")):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, to / path)
    return to


def program(*asked: object) -> str:
    """What a Python of its own prints; sets stand in the same order in each."""
    ran = subprocess.run(
        [sys.executable, *map(str, asked)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.timeout(600)
def test_compiled_and_plain_python_give_the_same_bytes() -> None:
    """Builds when there is no build of these sources yet: half a minute where nothing else runs."""
    if shutil.which(COMPILER) is None:  # then everything runs as plain Python, and who asks is told why
        with pytest.raises(CannotCompile, match="install gcc"):
            build()
        return
    folder = build()
    assert folder == builds() / fingerprint()
    assert all((folder / file_of(name, SUFFIX)).is_file() for name in MODULES)
    plain: dict[str, Any] = json.loads(program("-m", "tests.unit.infra.compiled_day", "plain"))
    native: dict[str, Any] = json.loads(program("-m", "tests.unit.infra.compiled_day", "compiled"))
    assert plain.pop("said").startswith("plain Python")
    assert native.pop("said") == f"compiled: {len(MODULES)} modules from build {folder.name}"
    assert (plain.pop("native"), native.pop("native")) == ([], sorted(MODULES))
    assert native == plain
    assert plain["golden"] == GOLDEN[max(GOLDEN)]


def test_another_source_is_another_build(tmp_path: Path) -> None:
    """A build of old rules beside new ones would decide by the old ones."""
    root = copied(tmp_path)
    assert fingerprint(root) == fingerprint()
    (builds(root) / fingerprint(root)).mkdir(parents=True)
    assert program("-c", CHOOSE + SAY, root).startswith(f"compiled: {len(MODULES)} modules")
    for path in ("domain/market/trading.py", "consumers/limits.py", "infra/native_source.py", "requirements.lock"):
        kept = (root / path).read_text()
        (root / path).write_text(kept.replace("mypy==", "mypy==9.") + "\n# changed\n")
        assert program("-c", CHOOSE + SAY, root) == "plain Python: there is no build of these sources (make compile)"
        (root / path).write_text(kept)
    (root / "domain/market/another.py").write_text("")
    assert program("-c", CHOOSE + SAY, root).startswith("plain Python: there is no build")


def test_a_module_of_the_build_comes_from_the_build_or_not_at_all(tmp_path: Path) -> None:
    """Plain and compiled modules must not mix: two classes would have one name."""
    root = copied(tmp_path)
    (builds(root) / fingerprint(root)).mkdir(parents=True)
    empty = f"{CHOOSE}use_compiled(Path(sys.argv[1]))\ntry: import schemas.envelope\nexcept ImportError: print('none')"
    assert program("-c", empty, root) == "none"


def test_who_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (builds(root) / fingerprint(root)).mkdir(parents=True)
    late = f"import schemas.partition; {CHOOSE}{SAY}; import schemas.envelope; print(schemas.envelope.__file__)"
    said, file = program("-c", late, root).splitlines()
    assert said == "plain Python: schemas.partition was imported before the compiled modules could be chosen"
    assert file.endswith(".py")
    assert use_compiled().startswith("plain Python"), "a test has imported much already"
    assert compiled_codec() is None


def test_without_a_compiler_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CannotCompile, match="install gcc"):
        build(copied(tmp_path))
    assert list(builds(tmp_path).iterdir()) == [], "nothing half-made is left"


def test_another_mypy_than_the_lock_names_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "version", lambda _: "0.1")
    monkeypatch.setenv("CC", sys.executable)
    with pytest.raises(CannotCompile, match=r"mypy is 0\.1"):
        build(copied(tmp_path))


def test_old_builds_go(tmp_path: Path) -> None:
    root = copied(tmp_path)
    for n in range(5):
        (builds(root) / f"old{n}").mkdir(parents=True)
        os.utime(builds(root) / f"old{n}", (n, n))
    (builds(root) / fingerprint(root)).mkdir()
    build(root)
    assert {path.name for path in builds(root).iterdir()} == {fingerprint(root), "old4", "old3"}


def functions(source: str) -> set[tuple[str, int]]:
    """Each function with its line."""
    return {(node.name, node.lineno) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", WRITTEN)
def test_the_native_source_moves_no_line(module: str) -> None:
    """A traceback of a compiled module tells lines of the real source."""
    source = (ROOT / file_of(module)).read_text()
    assert functions(source) <= functions(native_source(source))


SOURCE = '''"""Two classes."""

from dataclasses import dataclass, field

from schemas.message import event


@event
class Said:
    """What was said."""

    what: str
    times: int = 1


@dataclass(slots=True)
class Heard:
    """Who heard it."""

    who: list[str] = field(default_factory=list)


class Deaf(ValueError):
    """Nobody heard it."""
'''


def test_the_native_source_is_the_same_classes() -> None:
    plain: dict[str, Any] = {"__name__": "plain"}
    native: dict[str, Any] = {"__name__": "native", "_mypyc_attr": lambda **_: lambda cls: cls}
    exec(compile(SOURCE, "plain", "exec"), plain)
    exec(compile(native_source(SOURCE), "native", "exec"), native)
    for name in ("Said", "Heard"):
        one, other = plain[name], native[name]
        assert one.__annotations__ == other.__annotations__
        assert one.__doc__ == other.__doc__
        assert [(f.name, f.type, f.default) for f in one.__dataclass_fields__.values()] == [
            (f.name, f.type, f.default) for f in other.__dataclass_fields__.values()
        ]
        assert one.__match_args__ == other.__match_args__
    said, heard = native["Said"]("x"), native["Heard"](["y"])
    assert (repr(said), repr(heard)) == ("Said(what='x', times=1)", "Heard(who=['y'])")
    assert said == native["Said"]("x", 1) != native["Said"]("x", 2)
    assert hash(said) == hash(plain["Said"]("x"))
    assert said.__message_kind__ is plain["Said"].__message_kind__
    with pytest.raises(TypeError, match="unhashable"):
        hash(heard)
    assert issubclass(native["Deaf"], ValueError)


def test_a_class_without_room_behind_it_is_refused() -> None:
    with pytest.raises(ValueError, match="two empty lines"):
        native_source(SOURCE.replace("    times: int = 1\n\n\n", "    times: int = 1\n\n"))
