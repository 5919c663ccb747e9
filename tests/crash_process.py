"""Processes that ask before every call that changes a folder; for `tests.crash_search`.

A worker process imports what is slow once and is forked for each run, before JAX has started anything. The forked process runs a program in
a folder, with `tests/crash_shim.c` preloaded, and waits for an answer before each write-like call below the folder.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SHIM = Path(__file__).with_name("crash_shim.c")
GO, HALF = 0, -1
"""Answers: the call goes on; it writes half of its bytes. A positive number is the errno that it fails with."""
LONGEST_S = 300
"""Seconds between two calls of a program, at most."""


class Call(NamedTuple):
    """A write-like call that a process is about to make: operation, and path in the watched folder."""

    operation: str
    path: str


@dataclass(frozen=True)
class Ending:
    """How a process ended: exit status (negative: the signal), and what it printed on stderr."""

    status: int
    errors: str


def build_shim(folder: Path) -> Path:
    """Compiles the shim into a folder; returns the library."""
    library = folder / "crash_shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


class Worker(contextlib.AbstractContextManager["Worker"]):
    """One process that is forked for every run; the runs of a worker follow each other."""

    def __init__(self, place: Path, shim: Path, program: str) -> None:
        """Starts the process.

        Args:
          place: a folder of its own; the watched folder is `work` in it, and runs start in it.
          shim: the library.
          program: MODULE:FUNCTION, which takes arguments and returns an exit status. MODULE's `prepare`, if any, is called before forks.
        """
        self.place, self.root = place.resolve(), place.resolve() / "work"
        self.place.mkdir(parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.place / "socket"))
        self._listener.listen()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash_process", program],
            env={
                **os.environ,
                "GIT_DIR": "no/such/folder",
                "LD_PRELOAD": str(shim),
                "CRASH_SOCKET": str(self.place / "socket"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._connection: socket.socket | None = None
        self._pid = 0
        self.ending = Ending(0, "")

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._listener.close()

    def calls(self, arguments: Sequence[str]) -> Iterator[Call]:
        """Runs the program; each call is one that waits for an answer. Ends with the process, and `ending` tells how."""
        self._pid = self._tell({"place": str(self.place), "root": str(self.root), "arguments": [*arguments]})
        with contextlib.ExitStack() as stack:
            if self._output not in self._readable(self._listener):
                self._connection = stack.enter_context(self._listener.accept()[0])
                lines = stack.enter_context(self._connection.makefile("rb"))
                while self._readable(self._connection) and (line := lines.readline()):
                    operation, path = os.fsdecode(line).rstrip("\n").split("\t", 1)
                    yield Call(operation, os.path.relpath(path, self.root))
        status = int(self._line())
        errors = (self.place / "stderr").read_text(encoding="utf-8", errors="replace")
        self.ending = Ending(status, errors)

    def answer(self, value: int) -> None:
        """Lets the call that waits go on, or fail."""
        assert self._connection
        self._connection.sendall(struct.pack("=i", value))

    def kill(self) -> None:
        """SIGKILL: the call that waits is never made."""
        os.kill(self._pid, signal.SIGKILL)

    @property
    def _output(self) -> int:
        assert self._process.stdout
        return self._process.stdout.fileno()

    def _readable(self, other: socket.socket | None) -> list[object]:
        """Waits until the worker or a socket has something to tell."""
        watched: list[object] = [self._output] if other is None else [self._output, other]
        if not (ready := select.select(watched, [], [], LONGEST_S)[0]):
            self.kill()
            raise TimeoutError(f"{LONGEST_S} s without a call")
        return [each for each in ready if other not in ready or each is other]

    def _tell(self, job: dict[str, object]) -> int:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> bytes:
        """A line of the worker, unbuffered: `select` sees what is left."""
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(self._output, 1)
            if not piece:
                raise RuntimeError(f"the worker in {self.place} has ended with status {self._process.wait()}")
            line += piece
        return line


def main() -> int:
    """The worker: a job a line on stdin; of each the process id, then the exit status, on stdout."""
    name, function = sys.argv[1].split(":")
    module = importlib.import_module(name)
    if prepare := getattr(module, "prepare", None):
        prepare()
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        if pid := os.fork():
            os.write(1, f"{pid}\n".encode())
            os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
            continue
        os.chdir(job["place"])
        for descriptor, output in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ["CRASH_ROOT"] = job["root"]
        return int(getattr(module, function)(job["arguments"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
