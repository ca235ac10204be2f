"""Generated encoders: check a value as its shape does, then join its bytes.

Each form writes statements that check a variable and returns the expressions of its bytes, in order; one
`join` makes the record of them. A value that does not fit ends the function with none: `schemas/shape.py`
then finds the words.
"""

from schemas.codec_text import EIGHT_BYTES, Text, inside
from schemas.form import Choice, Form, Integer, Many, Maybe, Part, Raw, Truth
from schemas.form import Text as TextForm

_TABLE = 8192
"""Numbers below stand in the table `EVEN`."""


def encoder(text: Text, form: Part) -> None:
    """Writes `(head, m) -> bytes | None`: the bytes behind `head`."""
    with text.under("(head: bytes, m: Any) -> bytes | None:"):
        parts = _parts(text, form, "m")
        text.add(f"return {_join(['head', *parts])}")


def stem_encoder(text: Text, form: Part, varying: tuple[str, ...]) -> None:
    """Writes `(m) -> (bytes, …) | None`: for each varying field the bytes between it and the next one.

    The first varying field is the first of all.
    """
    assert form.fields[0][0] == varying[0]
    with text.under(f"(m: Any) -> tuple[{', '.join(['bytes'] * len(varying))}] | None:"):
        _refuse_others(text, "m", form)
        stretches: list[list[str]] = []
        for name, part in form.fields:
            if name in varying:
                stretches.append([])
            else:
                stretches[-1] += _field(text, part, "m", name)
        text.add(f"return {', '.join(_join(stretch) for stretch in stretches)}")


def stem_head(text: Text, form: Part, varying: tuple[str, ...]) -> None:
    """Writes `(head, field, bytes, field, bytes …) -> bytes | None`: the stem again, with these varying fields."""
    fields = dict(form.fields)
    args = [f"{name}: object, {name}_stem: bytes" for name in varying]
    with text.under(f"(head: bytes, {', '.join(args)}) -> bytes | None:"):
        parts = ["head"]
        for name in varying:
            parts += [*_parts(text, fields[name], name), f"{name}_stem"]
        text.add(f"return {_join(parts)}")


def _field(text: Text, form: Form, owner: str, name: str) -> list[str]:
    # Neither the owner's nor the field's declared type may be believed before it is checked.
    var = inside(owner, name)
    text.add(f"{var}: {_unproved(form)} = {owner}.{name}")
    return _parts(text, form, var)


def _unproved(form: Form) -> str:
    return "Any" if isinstance(form, Part) or (isinstance(form, Maybe) and isinstance(form.inner, Part)) else "object"


def _parts(text: Text, form: Form, var: str) -> list[str]:
    match form:
        case Integer(low, high):
            return _integer(text, var, low, high)
        case TextForm(low, high):
            return _text(text, var, low, high)
        case Truth():
            _refuse(text, f"type({var}) is not bool")
            return [rf'b"\1" if {var} else b"\0"']
        case Raw():
            _refuse(text, f"type({var}) is not bytes")
            return [f"varint(len({var}) << 1)", var]
        case Choice(cls):
            _refuse(text, f"type({var}) is not {text.cls(cls)}")
            return [f"{text.codes(cls)}[{var}]"]
        case Maybe(inner):
            return _maybe(text, inner, var)
        case Many(Integer(low, high)):
            text.add(f"{var}_B = integers({var}, {low}, {high})")
            _refuse(text, f"{var}_B is None")
            return [f"{var}_B"]
        case Many(item):
            return _many(text, item, var)
        case Part(cls, fields):
            _refuse_others(text, var, form)
            return [part for name, inner in fields for part in _field(text, inner, var, name)]


def _text(text: Text, var: str, low: int, high: int) -> list[str]:
    _refuse(text, f"type({var}) is not str or not {low} <= len({var}) <= {high} or not {var}.isprintable()")
    text.add(f"{var}_B = {var}.encode()")
    return [_number(f"len({var}_B)", 4 * high), f"{var}_B"]  # a character has at most four bytes


def _integer(text: Text, var: str, low: int, high: int) -> list[str]:
    _refuse(text, f"type({var}) is not int or not {low} <= {var} <= {high}")
    if low >= 0 and high in EIGHT_BYTES:
        text.add(f"{var}_B = MOMENTS.get({var})")
        text.add(f"if {var}_B is None:", f"    {var}_B = moment({var})")
        return [f"{var}_B"]
    if low >= 0:
        return [_number(var, high)]
    text.add(f"{var}_Z = {var} << 1 if {var} >= 0 else ~({var} << 1)")
    return [f"SHORT[{var}_Z] if {var}_Z < 16384 else varint({var}_Z)"]


def _number(value: str, most: int) -> str:
    """The bytes of an integer that is not negative and at most `most`."""
    if most < _TABLE:
        return f"EVEN[{value}]"
    return f"EVEN[{value}] if {value} < {_TABLE} else varint({value} << 1)"


def _maybe(text: Text, inner: Form, var: str) -> list[str]:
    text.add(f"if {var} is None:", rf'    {var}_U = b"\0"')
    with text.under("else:"):
        parts = [r'b"\2"', *_parts(text, inner, var)]
        text.add(f"{var}_U = {_join(parts)}")
    return [f"{var}_U"]


def _many(text: Text, item: Form, var: str) -> list[str]:
    one = f"{var}_I"
    _refuse(text, f"type({var}) is not tuple")
    text.add(f"{var}_O: list[bytes] = []")
    with text.under(f"if {var}:"):
        text.add(f"{var}_O.append(varint(len({var}) << 1))")
        text.add(f"{one}: {_unproved(item)}")
        with text.under(f"for {one} in {var}:"):
            parts = _parts(text, item, one)
            text.add(f"{var}_O += [{', '.join(parts)}]")
    text.add(rf'{var}_O.append(b"\0")')
    return [f'b"".join({var}_O)']


def _refuse(text: Text, wrong: str) -> None:
    text.add(f"if {wrong}:", "    return None")


def _refuse_others(text: Text, var: str, form: Part) -> None:
    # Not `type(x) is not C`: a type checker would take it for proof of x's fields, and a compiler that goes by
    # types would read them unasked, a bool for an integer.
    text.add(f"{var}_T: object = type({var})")
    _refuse(text, f"{var}_T is not {text.cls(form.cls)}")


def _join(parts: list[str]) -> str:
    return f'b"".join([{", ".join(parts)}])'
