"""Forks processes of the product from one that has imported it already: a new life costs hundredths of a second.

What runs in them is `gridbook` with its arguments, as from the command line, and before it what a test plants there
(`tests/faults/planted.py`). One JSON line asks, one answers. They end with this process, however it ends.
"""

import json
import os
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from gateways.cli import main as gridbook
from gateways.settings import PARENT
from tests.faults.planted import PLANTS


def serve() -> None:
    """Answers until nobody asks any more."""
    lines: list[socket.socket] = []
    for text in sys.stdin:
        asked: dict[str, Any] = json.loads(text)
        if "ended" in asked:
            pid, status = os.waitpid(asked["ended"], os.WNOHANG)
            answer: Any = os.waitstatus_to_exitcode(status) if pid else None
        else:
            ours, theirs = socket.socketpair()
            lines.append(ours)
            answer = os.fork()
            if not answer:
                for line in lines:
                    line.close()
                os.set_inheritable(theirs.fileno(), True)
                _live(asked["argv"], asked["environ"] | {PARENT: str(theirs.detach())}, asked["log"], asked["plants"])
            theirs.close()
        print(json.dumps(answer), flush=True)


def _live(argv: Sequence[str], environ: Mapping[str, str], log: str, plants: Sequence[str]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor, onto in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(descriptor, onto)
        sys.argv = ["gridbook", *argv]
        os.environ.update(environ)
        for plant in plants:
            PLANTS[plant]()
        gridbook()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
