"""What an annotation may be in a message, and what is refused before any record is written."""

from typing import Any

import pytest

from schemas.form import Integer, Many, Maybe, Text, Truth, form_of
from schemas.message import value
from schemas.shape import record_shape
from schemas.values import Id, Minutes


@value
class Nothing:
    """A part without fields."""


@value
class Tree:
    """A part that contains itself."""

    branches: "tuple[Tree, ...]"


@value
class Twin:
    """One of two classes of a name."""

    at: int


def twins() -> Any:
    first = Twin

    @value
    class Both:
        """Contains two classes of one name."""

        one: first
        other: _other()  # type: ignore[valid-type]

    return Both


def _other() -> Any:
    @value
    class Twin:
        """The other one."""

        at: str

    return Twin


def test_ranges_are_those_of_the_annotation() -> None:
    assert form_of(Minutes) == Integer(1, 1440)
    assert form_of(Id) == Text(1, 96)
    assert form_of(int) == Integer(-(2**63), 2**63 - 1)
    assert form_of(Minutes | None) == Maybe(Integer(1, 1440))
    assert form_of(tuple[bool, ...]) == Many(Truth())


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (float, "no Avro form"),
        (dict[str, int], "no Avro form"),
        (int | str, "one type or null"),
        (int | str | None, "one type or null"),
        (tuple[int, int], "one item type and any length"),
        (tuple[Nothing, ...], "at least one field"),
        (Tree, "contains itself"),
    ],
)
def test_what_has_no_form_is_refused(annotation: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        form_of(annotation)


def test_two_classes_of_one_name_do_not_stand_in_one_message() -> None:
    with pytest.raises(TypeError, match=r"two classes named gridbook\.x\.Twin"):
        record_shape(twins(), "gridbook.x")
