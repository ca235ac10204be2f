"""Columns give back what was put into them."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.columns import repeated, repeated_of, texts, texts_of


@given(st.lists(st.text(st.sampled_from("ab\n\r\u2028 "), max_size=3), max_size=5))
def test_texts_come_back_also_with_ends_of_lines_in_them(values: list[str]) -> None:
    assert texts_of(texts(values)) == values


@given(st.lists(st.one_of(st.integers(-2, 2), st.none(), st.tuples(st.integers(0, 1), st.text(max_size=1)))))
def test_repeated_values_come_back_and_are_held_once(values: list[object]) -> None:
    packed = repeated(values)
    assert repeated_of(packed) == values
    assert len(packed[0]) == len(set(values))
