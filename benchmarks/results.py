"""What was measured, kept: one file a benchmark, with the machine it was measured on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.figure import Figure

FOLDER: Final = Path(__file__).parent / "results"


def write(
    name: str, figures: Sequence[Figure], machine: Mapping[str, Any], seconds: float, folder: Path = FOLDER
) -> Path:
    """Replaces `<name>.json`: machine, seconds that it took, figures."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    content = {
        "benchmark": name,
        "machine": machine,
        "seconds": round(seconds, 1),
        "figures": [asdict(figure) for figure in figures],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path
