"""Invented names for the sample's households: SimBench knows none, and a bill reads better with one."""

from examples.agents import chance

_FIRST = ("Ada", "Bela", "Clara", "Dora", "Emil", "Frieda", "Georg", "Hanna", "Ida", "Jakob", "Karla", "Leo")
_LAST = ("Ahorn", "Birke", "Eiche", "Esche", "Fichte", "Kiefer", "Linde", "Pappel", "Tanne", "Ulme", "Weide")


def invented_name(party: str) -> str:
    """A name for a party, the same on every run."""
    return f"{_FIRST[chance(party, 'first') % len(_FIRST)]} {_LAST[chance(party, 'last') % len(_LAST)]}"
