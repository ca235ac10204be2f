"""Which release this is. Raise it by one with every release that is rolled out beside the one before it."""

from typing import Final

RELEASE: Final = 1
"""The number by which `schemas/published/ledger.json` says since when a schema is readable and since when written."""
