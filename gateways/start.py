"""Where every process of `gridbook` starts: compiled modules or plain Python is chosen before anything is imported.

Nothing of ours but `infra.compiled` may be imported here before the choice: who has imported a module as plain Python
keeps it.
"""

import os
import sys
from typing import Final

from infra.compiled import told, use_compiled

VARIABLE: Final = "GRIDBOOK_COMPILED"
"""The setting `compiled` (`gateways/settings.py`), asked for before settings can be read."""

CONFIGURATION: Final = 2
"""As `gateways.supervise.CONFIGURATION`."""


def main() -> None:
    """Entry point of the console script and of the processes that `gridbook up` starts."""
    asked = os.environ.get(VARIABLE) or "auto"
    if asked != "no":
        use_compiled()
    if asked == "yes" and not told().startswith("compiled"):
        print(f"{VARIABLE} is yes, and this is {told()}", file=sys.stderr)
        sys.exit(CONFIGURATION)
    from gateways.cli import main as gridbook

    gridbook()


if __name__ == "__main__":
    main()
