"""What becomes of a run that is stopped, or whose disk fails, at one call; for `tests.crash_search`.

A state is sound if a run that starts from it ends like an undisturbed one. Programs are functions of the folder that they find: a run that
comes to a milestone, a state of the undisturbed run without anything unfinished in it, ends as it does from there. So a run is
followed to the next milestone, and milestones are starting points themselves.
"""

import errno
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.crash_process import GO, HALF, Call, Ending, Worker
from tests.crash_states import Folder, State, Store, changed, differing_bytes

TAKE_SPACE = ("create", "write", "mkdir")
"""Operations that a full disk goes on to refuse."""
Key = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Program:
    """What is run, and how its folders are compared.

    Attributes:
      arguments: of a run.
      normal: a state without what may differ.
      is_leftover: whether a path is of something unfinished.
      general: a path without random names.
      refusal: exit status of a run that ends with one line.
    """

    arguments: Sequence[str]
    normal: Callable[[State, Store], State]
    is_leftover: Callable[[str], bool]
    general: Callable[[str], str]
    refusal: int = 2


class Point(NamedTuple):
    """A moment of a run: the call that comes next (None: the end), and the folder's state before it."""

    call: Call | None
    state: State


class Fault(NamedTuple):
    """What is wrong.

    Attributes:
      kind: "traceback", "ending", "differing bytes" or "leftover".
      where: the point.
      told: details.
      size: bytes, or files that are left.
    """

    kind: str
    where: str
    told: str
    size: int = 1


@dataclass
class Outcome:
    """Of one point: what has become of it, its faults, and the states on the way."""

    became: str
    faults: list[Fault] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


class Bench:
    """One worker, its folder, and the program."""

    def __init__(self, worker: Worker, store: Store, program: Program) -> None:
        self._worker, self._store, self.program = worker, store, program
        self._folder = Folder(worker.root, store)

    def follow(
        self, state: State, goals: Collection[Key] = (), fails: Callable[[int, Call], int] = lambda number, call: GO
    ) -> tuple[list[Point], Ending | None]:
        """Runs the program from a state; kills it at the first state of `goals`, before its next call.

        Args:
          state: where it starts.
          goals: keys.
          fails: what answers the call of that number.

        Returns:
          The points, the last of them without a call; how the process ended, None if it was killed.
        """
        self._folder.restore(state)
        points, touched, killed = list[Point](), "", False
        for number, call in enumerate(self._worker.calls(self.program.arguments)):
            found = self._folder.state(touched)
            if goals and self.key(found) in goals:
                killed = True
                self._worker.kill()
                continue
            points.append(Point(call, found))
            touched = call.path
            self._worker.answer(fails(number, call))
        points.append(Point(None, self._folder.state(touched)))
        return points, None if killed else self._worker.ending

    def key(self, state: State) -> Key:
        """Equal for states that may differ in nothing else than time."""
        return frozenset(self.program.normal(state, self._store).items())

    def recover(self, state: State, where: str, final: State, goals: Collection[Key]) -> Outcome:
        """Starts the program in the state of a stopped one."""
        points, ending = self.follow(state, goals)
        outcome = Outcome("comes to the undisturbed run", points=points)
        if ending is None:
            return outcome
        if ending.status:
            outcome.faults.append(_bad_ending(ending, where))
        outcome.became = "goes on to the end"
        outcome.faults += self._differences(points[-1].state, final, where)
        return outcome

    def fail(self, state: State, number: int, code: int, where: str, final: State, goals: Collection[Key]) -> Outcome:
        """Lets the call of a number fail; a disk that is full stays so, after half of what is written."""

        def fails(at: int, call: Call) -> int:
            if at == number:
                return HALF if code == errno.ENOSPC and call.operation == "write" else code
            return code if code == errno.ENOSPC and at > number and call.operation in TAKE_SPACE else GO

        points, ending = self.follow(state, goals, fails)
        if ending is None:
            return Outcome("goes on", points=points)
        if ending.status == 0:
            return Outcome("goes on", self._differences(points[-1].state, final, where), points)
        lines = ending.errors.splitlines()
        if ending.status == self.program.refusal and len(lines) == 1 and lines[0].startswith("error: "):
            return Outcome("ends with one line", points=points)
        return Outcome("fault", [_bad_ending(ending, where)], points)

    def _differences(self, state: State, final: State, where: str) -> list[Fault]:
        ours, theirs = (self.program.normal(each, self._store) for each in (state, final))
        names = changed(ours, theirs)
        faults = list[Fault]()
        if left := sorted(path for path in names if path not in theirs):
            faults.append(Fault("leftover", where, ", ".join(left)[:300], len(left)))
        if wrong := sorted(names.difference(left)):
            parts = ({path: each[path] for path in wrong if path in each} for each in (ours, theirs))
            faults.append(Fault("differing bytes", where, ", ".join(wrong)[:300], differing_bytes(*parts, self._store)))
        return faults


def unannounced(points: Sequence[Point]) -> list[str]:
    """Changes between two calls that the first of them does not explain: calls that nothing saw."""
    found = list[str]()
    for before, after in itertools.pairwise(points):
        if before.call is None or before.call.operation == "rename":
            continue
        paths = {before.call.path, f"{before.call.path}/", "./" if before.call.path == "." else ""}
        found += [f"{path} after {before.call}" for path in changed(before.state, after.state) - paths]
    return found


def milestones(bench: Bench, points: Sequence[Point]) -> dict[int, Key]:
    """Numbers and keys of the points at which something has just got its name and nothing is unfinished; the first and the last too."""
    found = dict[int, Key]()
    for number, point in enumerate(points):
        renamed = number == 0 or point.call is None or getattr(points[number - 1].call, "operation", "") == "rename"
        if renamed and not any(map(bench.program.is_leftover, point.state)):
            key = bench.key(point.state)
            if key not in found.values():
                found[number] = key
    return found


def place(program: Program, call: Call) -> tuple[str, str, str]:
    """Stage, operation and file of a call: the stage is the first part of the path that is no ending of something unfinished."""
    path = program.general(call.path)
    return path.split("/")[0].removesuffix(".partial"), call.operation, path


def distinct(program: Program, calls: Sequence[Call]) -> Counter[tuple[str, str, str]]:
    """Calls by stage, operation and file."""
    return Counter(place(program, call) for call in calls)


def _bad_ending(ending: Ending, where: str) -> Fault:
    kind = "traceback" if "Traceback" in ending.errors else "ending"
    return Fault(kind, where, f"status {ending.status}: {ending.errors[-600:].strip()}")
