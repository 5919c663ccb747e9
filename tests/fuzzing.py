"""Mutated inputs for every format that the software reads: none may end in a traceback, a hang, much memory or a silent acceptance.

    python -m tests.fuzzing [--inputs 10000] [--seed 0] [FORMAT ...]

Prints one line for each format. An input is refused (one line, `HyperForgetError`), or it is read as what it was before it was changed; a
format without checksums, such as a user's own arrays, may also be read as something else. All else is a fault, which is kept in
`tests/fuzzed/`. `nox -s fuzz` runs it.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hyperforget_jax.errors import HyperForgetError

KEPT = Path(__file__).with_name("fuzzed")
LONGEST = 2.0
"""Seconds that an input may take."""
MEMORY = 200e6
"""Bytes that an input may take beside twice its size."""
Random = np.random.Generator
PICKLE = b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."


@dataclass(frozen=True)
class Format:
    """Files of one kind, and what reads them.

    Attributes:
      name: of the format.
      folder: with the files as they were written.
      files: names of those that are mutated.
      read: reads a copy of the folder; returns arrays and plain values.
      checked: whether every changed byte must be refused or be without effect.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], Any]
    checked: bool


def flip(content: bytearray, rng: Random) -> bytearray:
    for place in rng.integers(len(content), size=rng.integers(1, 4)):
        content[place] ^= 1 << int(rng.integers(8))
    return content


def overwrite(content: bytearray, rng: Random) -> bytearray:
    start, size = int(rng.integers(len(content))), int(rng.integers(1, 17))
    content[start : start + size] = rng.bytes(len(content[start : start + size]))
    return content


def truncate(content: bytearray, rng: Random) -> bytearray:
    return content[: int(rng.integers(len(content)))]


def extend(content: bytearray, rng: Random) -> bytearray:
    return content + rng.bytes(int(rng.integers(1, 64)))


def swap(content: bytearray, rng: Random) -> bytearray:
    size = int(rng.integers(1, max(2, len(content) // 8)))
    one, other = sorted(int(each) for each in rng.integers(max(1, len(content) - size), size=2))
    first, second = content[one : one + size], content[other : other + size]
    content[one : one + size], content[other : other + size] = second, first
    return content


def remove(content: bytearray, rng: Random) -> bytearray:
    start = int(rng.integers(len(content)))
    return content[:start] + content[start + int(rng.integers(1, 33)) :]


def repeat(content: bytearray, rng: Random) -> bytearray:
    start, size = int(rng.integers(len(content))), int(rng.integers(1, 65))
    return content[:start] + content[start : start + size] * int(rng.integers(2, 9)) + content[start:]


def enlarge(content: bytearray, rng: Random) -> bytearray:
    """A digit becomes many, as in a huge shape; or four bytes become the largest number."""
    digits = [place for place, byte in enumerate(content) if 48 <= byte <= 57]
    if digits and rng.random() < 0.7:
        place = digits[int(rng.integers(len(digits)))]
        return content[:place] + str(int(rng.integers(1, 2**62))).encode() + content[place + 1 :]
    start = int(rng.integers(len(content)))
    content[start : start + 4] = rng.choice(
        [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x00\x00"]
    )
    return content


def replace_word(content: bytearray, rng: Random) -> bytearray:
    """A word that headers and JSON have becomes another one."""
    words = (
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"-1",
        b"1e999",
        b"NaN",
        b"<i8",
        b"|O",
        b"F32",
        b"BF16",
        b"..",
        b"/etc/passwd",
        b"0",
        b'"x"',
    )
    places = [place for place, byte in enumerate(content) if byte in b'":,[]{}<|']
    if not places:
        return overwrite(content, rng)
    start = places[int(rng.integers(len(places)))] + 1
    word = words[int(rng.integers(len(words)))]
    return content[:start] + word + content[start + int(rng.integers(0, len(word) + 1)) :]


def other_file(content: bytearray, rng: Random) -> bytearray:
    return bytearray(
        [PICKLE, b"", b"{}", b"[]", b"null", b"\n", b"PK\x05\x06" + bytes(18), rng.bytes(len(content))][
            int(rng.integers(8))
        ]
    )


MUTATIONS = (flip, overwrite, truncate, extend, swap, remove, repeat, enlarge, replace_word, other_file)


def mutated(whole: bytes, rng: Random) -> bytes:
    """Another content: one mutation in most cases, up to three."""
    content = bytearray(whole)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        content = MUTATIONS[int(rng.integers(len(MUTATIONS)))](content or bytearray(b"\x00"), rng)
    return bytes(content)


def same(one: Any, other: Any) -> bool:
    """Whether two results of a reader are equal, NaN being equal to itself."""
    ours, theirs = jax.tree.flatten(one), jax.tree.flatten(other)
    if ours[1] != theirs[1]:
        return False
    return all(
        np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")
        if isinstance(a, np.ndarray | jax.Array)
        else a == b or a != a
        for a, b in zip(ours[0], theirs[0], strict=True)
    )


def attempt(each: Format, folder: Path, size: int, before: Any) -> str:
    """What became of an input: "refused", "unchanged", "accepted"; or a fault, in words."""
    memory, start = _reset_peak(), time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, 2 * LONGEST)
    try:
        found = each.read(folder)
    except HyperForgetError as error:
        text = str(error)
        outcome = "refused" if "\n" not in text and len(text) < 2000 else f"fault: no line, {text[:200]!r}"
    except TimeoutError:
        outcome = "fault: it hangs"
    except Exception as error:
        outcome = f"fault: {type(error).__name__}: {error}"
    else:
        outcome = "unchanged" if same(found, before) else "fault: accepted in silence" if each.checked else "accepted"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if outcome.startswith("fault"):
        return outcome
    if time.perf_counter() - start > LONGEST:
        return f"fault: {time.perf_counter() - start:.1f} s"
    if _peak() - memory > MEMORY + 2 * size:
        return f"fault: {(_peak() - memory) / 1e6:.0f} MB for {size} bytes"
    return outcome


def fuzz(each: Format, inputs: int, seed: int, keep: Callable[[str, str, bytes, str], None]) -> Counter[str]:
    """Counts of outcomes; `keep` takes format, file, content and fault."""
    rng, counts = np.random.default_rng(seed), Counter[str]()
    before = each.read(each.folder)
    signal.signal(signal.SIGALRM, _stop)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / each.folder.name
        shutil.copytree(each.folder, folder)
        for _ in range(inputs):
            name = each.files[int(rng.integers(len(each.files)))]
            whole = (each.folder / name).read_bytes()
            content = mutated(whole, rng)
            if content == whole:
                counts["unchanged"] += 1
                continue
            (folder / name).write_bytes(content)
            outcome = attempt(each, folder, len(content), before)
            (folder / name).write_bytes(whole)
            counts[outcome.partition(":")[0]] += 1
            if outcome.startswith("fault"):
                keep(each.name, name, content, outcome)
        left = sorted(path.name for path in Path(temporary).iterdir())
        if left != [each.folder.name]:
            counts["fault"] += 1
            keep(each.name, ", ".join(left), b"", "fault: files are written outside the folder")
    return counts


def _stop(*_: object) -> None:
    raise TimeoutError


def _reset_peak() -> float:
    """Memory in use, in bytes; the highest is counted from here on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """The highest memory in use since the last reset, in bytes."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return 1024.0 * int(line.split()[1])


def main() -> int:
    """Fuzzes all formats, or those that are named; exit status 1 if there is a fault."""
    from tests.fuzzed_formats import formats

    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("formats", nargs="*")
    options = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for each in formats(Path(folder)):
            if options.formats and each.name not in options.formats:
                continue
            start = time.perf_counter()
            counts = fuzz(each, options.inputs, options.seed, _keep)
            told = ", ".join(f"{counts[name]} {name}" for name in ("refused", "unchanged", "accepted", "fault"))
            print(f"{each.name}: {told}, {time.perf_counter() - start:.0f} s", flush=True)
            faults += counts["fault"]
    print(f"{faults} faults")
    return int(faults > 0)


def _keep(format_: str, name: str, content: bytes, fault: str) -> None:
    print(f"  {format_}/{name}: {fault[:300]}", flush=True)
    KEPT.mkdir(exist_ok=True)
    number = len(list(KEPT.glob(f"{format_}-*")))
    if number < 20:
        (KEPT / f"{format_}-{number}-{Path(name).name}").write_bytes(content)


def regression_inputs(format_: str) -> Iterator[Path]:
    """Inputs of a format that were faults once."""
    yield from sorted(KEPT.glob(f"{format_}-*"))


if __name__ == "__main__":
    sys.exit(main())
