"""Locks between processes, also of several machines: who works in a folder, alone or beside others.

`flock` holds where the file system has it: such a lock ends with its process. Lustre and some NFS have none. There a process announces
itself by a file of its own, then looks for others: of two that come at once each sees the other, withdraws and tries again.
"""

import contextlib
import contextvars
import datetime
import errno
import fcntl
import json
import os
import random
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hyperforget_jax.errors import HyperForgetError

LOCK = "run.lock"
"""The file in a folder that a process holds while it works there."""
NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF)
"""Errors of file systems without `flock`; NFS answers EBADF for a folder."""
NO_WRITING = (errno.EACCES, errno.EPERM, errno.EROFS)
TRIES = 5
"""Times that a process without `flock` announces itself before it believes that another one stays."""
_scope: contextvars.ContextVar["_Scope | None"] = contextvars.ContextVar("scope", default=None)


class _Scope:
    """Locks that are held until a block ends: by folder, whether the lock is shared, and what lets it go."""

    def __init__(self) -> None:
        self.held: dict[Path, tuple[bool, contextlib.ExitStack]] = {}


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """A block of work; the locks that `hold` takes in it are let go at its end."""
    mine = _Scope()
    token = _scope.set(mine)
    try:
        yield
    finally:
        _scope.reset(token)
        for _, stack in mine.held.values():
            stack.close()


@contextlib.contextmanager
def hold(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Takes the lock of a folder until the innermost `scope` ends, or until this block ends where there is none.

    A lock that the scope has already becomes shared, or one's own alone, as is asked now. A folder that cannot be written needs no
    shared lock.

    Args:
      folder: an existing folder.
      shared: whether others may hold it too, if they share it as well.

    Raises:
      HyperForgetError: another process works there; names it.
    """
    inside, stack = _scope.get(), contextlib.ExitStack()
    if inside and folder in inside.held:
        if inside.held[folder][0] == shared:
            yield
            return
        inside.held.pop(folder)[1].close()
    try:
        stack.enter_context(_locked(folder / LOCK, shared))
    except OSError as error:
        if not (shared and error.errno in NO_WRITING):
            raise
    if inside:
        inside.held[folder] = shared, stack
        yield
        return
    with stack:
        yield


@contextlib.contextmanager
def exclusive(handle: int, claim: Path, *, wait: bool) -> Iterator[None]:
    """Locks an open file or folder; the lock is on the file itself, whatever it is renamed to.

    Args:
      handle: its descriptor.
      claim: beside it, the start of names of files that stand for the lock where there is no `flock`.
      wait: whether to wait for another process.

    Raises:
      BlockingIOError: another process has it, and `wait` is False.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in NO_FLOCK:
            raise
        with _announced(claim, shared=False, wait=wait):
            yield
        return
    yield


@contextlib.contextmanager
def _locked(path: Path, shared: bool) -> Iterator[None]:
    """Holds the lock file at a path, which lists its holders and goes with the last of them."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(path, shared))
            if file is None:
                stack.enter_context(_announced(path, shared=shared, wait=False))
        except BlockingIOError as error:
            raise _refusal(path, error.args) from error
        if file is not None:
            stack.callback(_remove, path, file)
            file.write(_oneself())
            file.flush()
        yield


@contextlib.contextmanager
def _opened(path: Path, shared: bool) -> Iterator[TextIO | None]:
    """The locked file, alone and empty or shared with others; None where there is no `flock`."""
    while True:
        with path.open("a+", encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise BlockingIOError(*file.read().splitlines()) from error
            except OSError as error:
                if error.errno not in NO_FLOCK:
                    raise
                path.unlink(missing_ok=True)
                yield None
                return
            if stands_at(path, file):
                if not shared:
                    file.truncate(0)
                yield file
                return


def _remove(path: Path, file: TextIO) -> None:
    """Removes a lock file, unless others still share it or somebody has removed it."""
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stands_at(path, file):
            path.unlink()


@contextlib.contextmanager
def _announced(path: Path, *, shared: bool, wait: bool) -> Iterator[None]:
    """A lock by files of the holders' own, named after `path`; raises BlockingIOError with what the others tell of themselves."""
    own = path.with_name(f"{path.name}.{'shared' if shared else 'alone'}.{uuid.uuid4().hex}")
    tries = 0
    while True:
        own.write_text(_oneself(), encoding="utf-8")
        others = [
            text
            for other in path.parent.glob(f"{path.name}.{'alone' if shared else '*'}.*")
            if other != own and (text := _read(other)) is not None
        ]
        if not others:
            break
        own.unlink()
        tries += 1
        if not wait and tries == TRIES:
            raise BlockingIOError(*others)
        time.sleep(random.uniform(0.02, 0.2))
    try:
        yield
    finally:
        own.unlink(missing_ok=True)


def _read(announcement: Path) -> str | None:
    """Who announces itself in a file; None if that process is gone. Its file is removed then."""
    try:
        text = announcement.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    if _is_gone(_holder(text)):
        announcement.unlink(missing_ok=True)
        return None
    return text


def stands_at(path: Path, file: TextIO) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _oneself() -> str:
    since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}) + "\n"


def _holder(line: str) -> dict[str, Any]:
    """What a line tells of a holder; empty if it tells nothing."""
    try:
        holder = json.loads(line)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) and {"pid", "host", "since"} <= holder.keys() else {}


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether a process of this machine has ended; nothing is known of those of others."""
    if not isinstance(holder.get("pid"), int) or holder["host"] != socket.gethostname():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _refusal(path: Path, lines: Iterable[str]) -> HyperForgetError:
    found = (_holder(line) for line in lines)
    holders = [holder for holder in found if holder and not _is_gone(holder)]
    holders.sort(key=lambda holder: holder["pid"] != os.getpid())  # a line of one's own may be an old one
    told = "process {pid} on {host}, since {since}".format(**holders[-1]) if holders else "it does not tell its name"
    stale = f"; if it is gone, delete {path}.*" if any(path.parent.glob(f"{path.name}.*")) else ""
    return HyperForgetError(
        f"another process is at work on {path.parent} ({told}): wait for it, or stop it, and run again{stale}"
    )
