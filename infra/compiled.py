"""The hot modules as native code: the same sources, compiled ahead by `make compile`, and the same bytes.

A build stands in `build/compiled/<fingerprint>`, never beside the sources. The fingerprint is that of all sources
that a build is made from or leans on, of the Python and of the compiler: whoever changes one of them has another
fingerprint, finds no build of that name, and runs as plain Python, until `make compile` has run again.

Import order: `use_compiled` must come before the first import of any of `MODULES`, in a module that imports
nothing of `schemas`, `domain` or `consumers` itself. Mixed sets would hold two classes of one name; so a call that
comes too late does nothing and says so.
"""

import importlib
import re
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent

CODEC: Final = "schemas.codec_compiled"
"""The generated codec; there is no such source, a build makes it (`schemas/codec_source.py`)."""

MODULES: Final = (
    "schemas.envelope",
    "schemas.log.commands",
    "schemas.log.events",
    "schemas.market.commands",
    "schemas.market.events",
    "schemas.meter.commands",
    "schemas.meter.events",
    "schemas.codec_varints",
    "schemas.columns",
    "schemas.partition",
    CODEC,
    "domain.identity",
    "domain.market.book",
    "domain.market.capability",
    "domain.market.contract_state",
    "domain.market.contract_versions",
    "domain.market.credit_state",
    "domain.market.deadlines",
    "domain.market.decider",
    "domain.market.evolution",
    "domain.market.exposure",
    "domain.market.gates",
    "domain.market.matching",
    "domain.market.network",
    "domain.market.refusal",
    "domain.market.state",
    "domain.market.timers",
    "domain.market.trading",
    "domain.market.validation",
    "consumers.chain",
    "consumers.memory",
    "consumers.partition",
    "benchmarks.kernel_loop",
)
"""What is compiled: what every order of a market passes through between its record and those of its facts, and what
every reading is read by."""

ROOMS: Final = ("schemas", "domain", "consumers")
_ALSO: Final = (
    "benchmarks/kernel_loop.py",
    "infra/compile.py",
    "infra/compiled.py",
    "infra/native_source.py",
)
_SUFFIX: Final = str(sysconfig.get_config_var("EXT_SUFFIX"))
_GROUP: Final = "__mypyc"


_WHY_PLAIN: Final = ["nobody has asked for the compiled modules"]


def use_compiled(root: Path = ROOT) -> str:
    """Has the compiled modules imported from now on, if there is a build of exactly these sources.

    Returns:
        As `told`.
    """
    if _served() is None:
        early = next((name for name in MODULES if name in sys.modules), None)
        folder = builds(root) / fingerprint(root)
        if early is not None:
            _WHY_PLAIN[0] = f"{early} was imported before the compiled modules could be chosen"
        elif not folder.is_dir():
            _WHY_PLAIN[0] = "there is no build of these sources (make compile)"
        else:
            sys.meta_path.insert(0, _Builds(folder))
    return told()


def told() -> str:
    """A sentence for the log: which modules run how, and why."""
    served = _served()
    if served is None:
        return f"plain Python: {_WHY_PLAIN[0]}"
    return f"compiled: {len(MODULES)} modules from build {served.folder.name}"


def compiled_codec() -> Mapping[str, Any] | None:
    """The functions of the compiled codec by name, for `schemas.codec.Codec`; none where plain Python runs."""
    return None if _served() is None else vars(importlib.import_module(CODEC))


def builds(root: Path = ROOT) -> Path:
    """The folder of all builds of a checkout."""
    return root / "build" / "compiled"


def fingerprint(root: Path = ROOT) -> str:
    """The name of the build that belongs to these sources, this Python and the compiler of the lock."""
    found = sha256(f"{sys.implementation.cache_tag} {_SUFFIX} mypy {compiler(root)}\n".encode())
    for path in sources(root):
        data = (root / path).read_bytes()
        found.update(f"{path.as_posix()} {len(data)}\n".encode())
        found.update(data)
    return found.hexdigest()[:24]


def sources(root: Path = ROOT) -> Sequence[Path]:
    """The sources whose change asks for another build, relative to the checkout: whole rooms, because constants
    of one module are compiled into others."""
    rooms = (path.relative_to(root) for room in ROOMS for path in (root / room).rglob("*.py"))
    return [*sorted(rooms), *map(Path, _ALSO)]


def compiler(root: Path = ROOT) -> str:
    """The version of mypy, whose part mypyc is, that the lock names."""
    found = re.search(r"^mypy(?:\[mypyc\])?==(\S+)", (root / "requirements.lock").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


class _Builds(MetaPathFinder):
    """Serves the modules of a build, and the library that they share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {name: folder / f"{name.replace('.', '/')}{_SUFFIX}" for name in MODULES}
        for library in folder.glob(f"*{_GROUP}{_SUFFIX}"):
            self._files[library.name.removesuffix(_SUFFIX)] = library

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, str(file)))


def _served() -> _Builds | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, _Builds)), None)
