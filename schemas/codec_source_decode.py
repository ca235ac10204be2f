"""Generated decoders: walk over the bytes with one place `p`, then build the classes.

Each form writes statements that move `p` over its bytes and returns the expression of its value. Slices may
reach behind the end: then `p` does too, and either the next byte is missing or the end is not where it
should be, so one comparison at the end finds every record that is cut or padded.
"""

from schemas.codec_text import EIGHT_BYTES, Text, inside
from schemas.form import Choice, Form, Integer, Many, Maybe, Part, Raw, Truth
from schemas.form import Text as TextForm
from schemas.values import INT64_MAX

_FRAME = 5
_TABLE = 64
"""Enums up to this size have numbers of one byte."""


class _Reader:
    """Writes the statements of one decoder; `checked`: whether it also asks if integers and texts fit their ranges."""

    def __init__(self, text: Text, checked: bool) -> None:
        self._text, self._checked = text, checked

    def value(self, form: Form, var: str) -> str:
        """Writes the statements that read a form; returns the expression of the value."""
        add, text = self._text.add, self._text
        match form:
            case Integer(low, high):
                return self._integer(var, low, high)
            case TextForm(low, high):
                self._span()
                add(f"{var} = b[p:q].decode()", "p = q")
                if self._checked:
                    add(f"if not {low} <= len({var}) <= {high} or not {var}.isprintable():", "    fits = False")
                return var
            case Raw():
                self._span()
                add(f"{var} = b[p:q]", "p = q")
                return var
            case Truth():
                add("z = b[p]", "p += 1", "if z > 1:", '    raise ValueError("a boolean is 0 or 1")')
                add(f"{var} = z == 1")
                return var
            case Choice(cls):
                add("z, p = unsigned_at(b, p)" if len(cls) > _TABLE else "z = b[p]")
                add(f"{var} = {text.members(cls)}[z]", f"if {var} is None:")
                add(f'    raise ValueError("no {cls.__name__} has this number")')
                if len(cls) <= _TABLE:
                    add("p += 1")
                return var
            case Maybe(inner):
                return self._maybe(inner, var)
            case Many(Integer(low, high)):
                add(f"{var}, p = integers_at(b, p)")
                if self._checked:
                    with text.under(f"if {var} and (min({var}) < {low} or max({var}) > {high}):"):
                        add("fits = False")
                return var
            case Many(item):
                return self._many(item, var)
            case Part(cls, fields):
                values = [self.value(part, inside(var, name)) for name, part in fields]
                return f"{text.cls(cls)}({', '.join(values)})"

    def _integer(self, var: str, low: int, high: int) -> str:
        add, text = self._text.add, self._text
        if low >= 0 and high in EIGHT_BYTES:
            add(f"{var}_Z = MOMENTS_READ.get(b[p : p + 8])")
            with text.under(f"if {var}_Z is None:"):
                add("z, p = moment_at(b, p)")
            with text.under("else:"):
                add(f"z = {var}_Z", "p += 8")
        else:
            add("z = b[p]")
            with text.under("if z < 128:"):
                add("p += 1")
            with text.under("else:"):
                add("y = b[p + 1]")
                with text.under("if y < 128:"):
                    add("z += (y << 7) - 128", "p += 2")
                with text.under("else:"):
                    add("z, p = longer_at(b, p)")
        add(f"{var} = z >> 1")
        with text.under("if z & 1:"):
            add(f"{var} = ~{var}")
            if self._checked and low >= 0:
                add("fits = False")
        self._range(var, low, high)
        return var

    def _range(self, var: str, low: int, high: int) -> None:
        if not self._checked:
            return
        wrong = []
        if low > 0 or -INT64_MAX - 1 < low < 0:
            wrong.append(f"{var} < {low}")
        if high < INT64_MAX:
            wrong.append(f"{var} > {high}")
        if wrong:
            self._text.add(f"{'el' if low >= 0 else ''}if {' or '.join(wrong)}:", "    fits = False")

    def _span(self) -> None:
        add, text = self._text.add, self._text
        add("z = b[p]")
        with text.under("if z & 129:"):
            add("p, q = span_at(b, p)")
        with text.under("else:"):
            add("p += 1", "q = p + (z >> 1)")

    def _maybe(self, inner: Form, var: str) -> str:
        add, text = self._text.add, self._text
        add(f"{var}: {text.type(inner)} | None = None", "z = b[p]", "p += 1")
        with text.under("if z == 2:"):
            add(f"{var} = {self.value(inner, f'{var}_S')}")
        with text.under("elif z:"):
            add('raise ValueError("neither null nor a value")')
        return var

    def _many(self, item: Form, var: str) -> str:
        add, text = self._text.add, self._text
        add(f"{var}: list[{text.type(item)}] = []", f"{var}_N, p = block_at(b, p)")
        with text.under(f"while {var}_N:"):
            with text.under(f"for _ in range({var}_N):"):
                add(f"{var}.append({self.value(item, f'{var}_I')})")
            add(f"{var}_N, p = block_at(b, p)")
        return f"tuple({var})"


def decoder(text: Text, meta: Part, body: Part, checked: bool) -> None:
    """Writes `(b) -> (meta, body, fits)` over a framed record."""
    reader = _Reader(text, checked)
    returns = f"tuple[{text.cls(meta.cls)}, {text.cls(body.cls)}, bool]"
    with text.under(f"(b: bytes) -> {returns}:"):
        if checked:
            text.add("fits = True")
        text.add(f"p = {_FRAME}")
        values = [reader.value(meta, "m"), reader.value(body, "d")]
        text.add("if p != len(b):", "    ended(b, p)")
        text.add(f"return {', '.join(values)}, {'fits' if checked else 'True'}")
