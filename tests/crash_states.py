"""States of a folder: taken, kept once for each content, put back and compared; for `tests.crash_search`."""

import hashlib
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

State = Mapping[str, str]
"""Digest of the content by path in the folder; the path of a folder ends in a slash, and its digest is empty."""


class Store:
    """Contents on disk, by digest; several threads may share it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder

    def keep(self, content: bytes) -> str:
        """Keeps a content; returns its digest."""
        digest = hashlib.sha256(content).hexdigest()
        if not (place := self._folder / digest).exists():
            partial = place.with_name(f"{digest}-{threading.get_ident()}")
            partial.write_bytes(content)
            partial.rename(place)
        return digest

    def read(self, digest: str) -> bytes:
        """A content; that of a folder is empty."""
        return (self._folder / digest).read_bytes() if digest else b""


class Folder:
    """A folder whose states are taken and put back."""

    def __init__(self, root: Path, store: Store) -> None:
        self._root, self._store = root, store
        self._known = dict[str, tuple[tuple[int, ...], str]]()

    def state(self, touched: str = "") -> State:
        """The state as it is.

        Args:
          touched: path of what was written since the last look; of other files dates and sizes tell whether they are read again.
        """
        found = dict[str, str]()
        for above, _, files in os.walk(self._root):
            inside = os.path.relpath(above, self._root)
            found[f"{inside}/"] = ""
            for name in files:
                path = os.path.normpath(f"{inside}/{name}")
                told = Path(above, name).stat()
                key = (told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
                known = self._known.get(path)
                if known is None or known[0] != key or path == touched:
                    known = self._known[path] = key, self._store.keep(Path(above, name).read_bytes())
                found[path] = known[1]
        return found

    def restore(self, state: State) -> None:
        """Makes the folder what it was; a state of nothing is no folder."""
        shutil.rmtree(self._root, ignore_errors=True)
        self._known.clear()
        for path, digest in sorted(state.items()):
            place = self._root / path
            if digest:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(self._store.read(digest))
            else:
                place.mkdir(parents=True, exist_ok=True)


def changed(before: State, after: State) -> set[str]:
    """Paths that two states differ in."""
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def differing_bytes(ours: State, theirs: State, store: Store) -> int:
    """Bytes by which two states differ, file by file; what is missing or too much counts whole, and one byte at least."""
    total = 0
    for path in changed(ours, theirs):
        one, other = store.read(ours.get(path, "")), store.read(theirs.get(path, ""))
        pairs = zip(one, other, strict=False)
        total += max(1, abs(len(one) - len(other)) + sum(a != b for a, b in pairs))
    return total
