"""The generated codec as text: the same everywhere, a typed module by itself, used only where it is today's."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.catalog import MessageType, all_messages
from schemas.codec_functions import Functions
from schemas.codec_source import body_encoder, source
from schemas.form import part_of
from schemas.message import Kind, event
from tests.unit.schemas.other_bytes import FRAME, by_fastavro, datum_of, extreme, extremes, oddly

ROOT = Path(__file__).parents[3]
MESSAGES = all_messages()
ORDER = next(m for m in MESSAGES if m.name == "gridbook.market.OrderAccepted")
READINGS = next(m for m in MESSAGES if m.name == "gridbook.meter.ReadingsRecorded")


def test_the_same_messages_give_the_same_text_everywhere() -> None:
    script = (
        "from hashlib import sha256; from schemas.catalog import all_messages; from schemas.codec_source import source;"
        "print(sha256(source(all_messages()).encode()).hexdigest())"
    )
    run = [sys.executable, "-c", script]
    found = {
        subprocess.run(run, cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, timeout=60).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_the_text_is_a_module_whose_functions_are_used_where_they_are_todays(tmp_path: Path) -> None:
    file = tmp_path / "made.py"
    file.write_text(source([ORDER, READINGS]))
    spec = importlib.util.spec_from_file_location("made", file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    functions = Functions(vars(made))
    for message in (ORDER, READINGS):
        assert functions.encoder(message).__module__ == functions.decoder(message).__module__ == "made"
        for meta, body in extremes(message):
            head = functions.meta_encoder(message.kind)(FRAME, meta)
            assert head is not None
            record = FRAME + by_fastavro(message, datum_of(message, meta, body))
            assert functions.encoder(message)(head, body) == record
            assert functions.decoder(message)(FRAME + oddly(message, meta, body)) == (meta, body, True)
    other = MESSAGES[0]
    assert functions.encoder(other)(b"", extreme(part_of(other.cls), False, 0)) is not None


def test_the_text_passes_the_type_checker(tmp_path: Path) -> None:
    """A compiler goes by the types; so whatever it compiles from is checked strictly."""
    file = tmp_path / "made.py"
    file.write_text(source([m for m in MESSAGES if m.family in ("market", "log")]))
    run = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", "--follow-imports=silent"]
    run += ["--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(file)]
    done = subprocess.run(
        run, check=False, cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_functions_of_another_text_are_not_used() -> None:
    name = body_encoder(ORDER).name
    stale = {f"{name[:-12]}{'0' * 12}": lambda head, body: b"stale"}
    body = extreme(part_of(ORDER.cls), True, 1)
    assert Functions(stale).encoder(ORDER)(b"", body) == Functions().encoder(ORDER)(b"", body) != b"stale"
    assert Functions({name: lambda head, body: b"compiled"}).encoder(ORDER)(b"", body) == b"compiled"


@event
class Blurred:
    """A fact whose field could be mistaken for another's part."""

    leaf__text: int


def test_names_of_fields_leave_room_for_names_of_their_parts() -> None:
    with pytest.raises(TypeError, match="leaf__text"):
        source([MessageType("gridbook.x.Blurred", "x", Kind.EVENT, Blurred)])
