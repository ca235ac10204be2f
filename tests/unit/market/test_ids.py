"""Ids are the same for ever: however they are computed, they are the hash of their parts behind their lengths."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import birthplace, born, born_id, derived_id
from schemas.envelope import Command, CommandMeta

NAMES = st.one_of(
    st.text(st.characters(max_codepoint=126), max_size=20),
    st.text(max_size=12),
    st.integers(120, 300).map(lambda n: "a" * n),
    st.integers(60, 140).map(lambda n: "é" * n),
)


def by_the_book(*parts: str | int) -> str:
    """As ids are defined: every part as text, as bytes, behind its length."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()


@given(
    st.lists(NAMES, min_size=4, max_size=4),
    st.none() | st.integers(0, 4_102_444_800_000_000),
    st.integers(0, 3) | st.integers(990, 1010),
)
def test_an_id_is_the_hash_of_who_wished_what(names: list[str], valid_until: int | None, n: int) -> None:
    family, key, actor, command_id = names
    command = Command(key, CommandMeta(command_id, actor, "correlation", valid_until, None, None), None)
    expected = by_the_book(family, key, actor, command_id, valid_until or 0, n)
    assert born_id(family, command, n) == expected
    place = birthplace(family, command)
    assert [born(place, n), born(place, n)] == [expected, expected], "a birth changes nothing for the next one"


@given(st.lists(NAMES | st.integers(-(10**20), 10**20), max_size=8))
def test_an_id_is_the_hash_of_its_parts(parts: list[str | int]) -> None:
    assert derived_id(*parts) == by_the_book(*parts)


@pytest.mark.parametrize(("one", "other"), [(("ab", "c"), ("a", "bc")), (("a",), ("a", "")), (("1", 2), ("12",))])
def test_no_border_between_parts_can_move(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert derived_id(*one) != derived_id(*other)
