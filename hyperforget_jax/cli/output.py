"""Streams of a command: what they cannot encode is written plainly, and a reader that goes does not end the work."""

import codecs
import contextlib
import io
import os
import sys
from typing import Any, TextIO

PLAIN = {
    "·": "-",
    "–": "-",
    "—": "-",
    "’": "'",
    "…": "...",
    "²": "^2",
    "×": "x",
    "φ": "phi",
    "−": "-",
    "≤": "<=",
    "≥": ">=",
}
"""What our own texts have beside ASCII, as ASCII."""
GOING_ON = "nobody reads the output any more: the work goes on without it"
_working = False


class _Patient(io.RawIOBase):
    """The raw stream of a descriptor. Once writing fails, all else goes nowhere."""

    def __init__(self, descriptor: int, announce: bool) -> None:
        self._descriptor, self._announce = descriptor, announce

    def write(self, data: Any) -> int:
        """Writes bytes; those that nobody takes count as written."""
        try:
            return os.write(self._descriptor, data)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)
            if self._announce and _working:
                with contextlib.suppress(OSError):
                    print(GOING_ON, file=sys.stderr, flush=True)
            return len(data)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a stream cannot encode."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(each) or ascii(each)[1:-1] for each in text), error.end


def set_up() -> None:
    """Makes the process's own stdout and stderr patient; streams that somebody put in their place stay."""
    codecs.register_error("plainly", _plainly)
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = patient(sys.stdout, announce=True)
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = patient(sys.stderr, announce=False)


def announce_lost_readers() -> None:
    """From now on a reader that goes is told of on stderr: work has begun, and it does not end with the output."""
    global _working
    _working = True


def patient(stream: Any, *, announce: bool) -> TextIO:
    """A stream on the same descriptor that no character and no lost reader can stop.

    Args:
      stream: a text stream of a descriptor.
      announce: whether to say on stderr that a reader has gone; a stream of which this is not said is flushed with every line.
    """
    stream.flush()
    raw = io.BufferedWriter(_Patient(stream.fileno(), announce))
    return io.TextIOWrapper(raw, stream.encoding, "plainly", line_buffering=not announce or stream.isatty())
