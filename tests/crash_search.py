"""Stops a whole run at every call that changes its folder, and starts it again: it must end with the same bytes, and nothing left over.

    python -m tests.crash_search [--modes kill,again,enospc,eio] [--share 1.0] [--whole 0.02] [--seed 0] [--workers 2] [--place DIR]

  --modes     kill: the process is gone before the call; again: so is the process that goes on from there; enospc: the disk is full from
              that call on; eio: that call fails
  --share     of the points of each mode that are searched, drawn by the seed
  --whole     share of the searched points whose run is followed to its end, not only to where it is as an undisturbed run was
  --place     folder for the work; else a temporary one

An undisturbed run of `smoke_dihyfo2` is recorded: at each call the state of its folder is what a process killed there leaves. From every
different one the command is started again. For a failing disk it is started where something has just been finished, and the calls up to
the next such moment fail in turn: the command must end with one line and status 2, or go on, and what it leaves must be sound too.
`nox -s crash` runs it. `tests/crash_points.py` says when a state is sound, `tests/crash_program.py` what runs may differ in.

Not covered: a power cut, which loses what the system had not written yet, and the cache of compiled programs.
"""

import argparse
import contextlib
import errno
import queue
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.crash_points import Bench, Fault, Key, Outcome, Point, Program, distinct, milestones, unannounced
from tests.crash_process import Call, Worker, build_shim
from tests.crash_states import State, Store

ERRORS = {"enospc": errno.ENOSPC, "eio": errno.EIO}
MODES = ("kill", "again", *ERRORS)
Say = Callable[[str], None]


class Job(NamedTuple):
    """A point to search: its name, the state it starts from, the goals, the call that fails and its errno; None: no call fails."""

    name: str
    state: State
    goals: frozenset[Key]
    fails: tuple[int, int] | None = None


class Result(NamedTuple):
    """Of a search: points by mode, how many there are of them, what became of them, and the faults."""

    searched: Counter[str]
    found: Counter[str]
    became: Counter[str]
    faults: list[Fault]


class Search:
    """The search of one program by several benches."""

    def __init__(self, benches: Sequence[Bench], seed: int, share: float, whole: float, say: Say) -> None:
        self._free = queue.SimpleQueue[Bench]()
        for bench in benches:
            self._free.put(bench)
        self._first, self._num, self._say = benches[0], len(benches), say
        self._share, self._whole, self._random = share, whole, random.Random(seed)
        self.result = Result(Counter(), Counter(), Counter(), [])
        self.points, _ = self._first.follow({})
        self._final, self._goals = self.points[-1].state, milestones(self._first, self.points)
        self._sound = set[tuple[Key, bool]]()

    def run(self, modes: Sequence[str]) -> Result:
        """Searches the modes."""
        for what in unannounced(self.points):
            self.result.faults.append(Fault("unseen call", what, "the shim misses a call: add it"))
        places = distinct(self._first.program, [point.call for point in self.points if point.call])
        self._say(
            f"{len(self.points) - 1} calls, {len(places)} different (stage, operation, file), {len(self._goals)} milestones"
        )
        second = self._recover("kill", self._killed(self.points)) if {"kill", "again"} & {*modes} else []
        if "again" in modes:
            self._recover("again", second)
        segments = self._segments() if {*ERRORS} & {*modes} else []
        for mode in ERRORS.keys() & {*modes}:
            self._fail(mode, segments)
        return self.result

    def _killed(self, points: Sequence[Point], name: str = "") -> list[Job]:
        """Different states of points that nothing is known of yet, as starting points."""
        jobs, goals = list[Job](), dict(self._goals)
        for number, point in enumerate(points):
            if points is self.points:
                goals.pop(number, None)
            key = self._mark(point.state)
            if key not in self._sound:
                self._sound.add(key)
                jobs.append(Job(f"{name}{_named(number, point.call)}", point.state, frozenset(goals.values())))
        return jobs

    def _mark(self, state: State) -> tuple[Key, bool]:
        """What tells starting points apart: a lock that a process has left counts."""
        return self._first.key(state), "run.lock" in state

    def _recover(self, mode: str, jobs: Sequence[Job]) -> list[Job]:
        """Starts the program in states; returns states on the way that were not known."""
        outcomes = self._done(mode, jobs, lambda bench, job: bench.recover(job.state, job.name, self._final, job.goals))
        others = list[Job]()
        for job, outcome in outcomes:
            others += [
                other._replace(goals=job.goals) for other in self._killed(outcome.points[:-1], f"{job.name}, then ")
            ]
        return others

    def _segments(self) -> list[Job]:
        """Every call from one milestone to the next, as a point to fail; those of the start, which all have in common, once."""
        numbers, jobs, before = list(self._goals), list[Job](), list[Call]()
        for index, number in enumerate(numbers[:-1]):
            goals = frozenset(self._goals[other] for other in numbers[index + 1 :])
            points, _ = self._first.follow(self.points[number].state, goals)
            calls = [point.call for point in points if point.call]
            known = 0
            if index > 1:
                pairs = zip(before, calls, strict=False)
                known = next(
                    (at for at, (one, other) in enumerate(pairs) if one != other), min(len(before), len(calls))
                )
            before = calls
            state = self.points[number].state
            jobs += [
                Job(_named(number, call, at), state, goals, (at, 0)) for at, call in enumerate(calls) if at >= known
            ]
        return jobs

    def _fail(self, mode: str, segments: Sequence[Job]) -> None:
        """Lets calls fail, and starts the program in what that leaves."""
        jobs = [
            job._replace(name=f"{mode} at {job.name}", fails=(job.fails[0], ERRORS[mode]))
            for job in segments
            if job.fails
        ]

        def failed(bench: Bench, job: Job) -> Outcome:
            assert job.fails
            return bench.fail(job.state, *job.fails, job.name, self._final, job.goals)

        left = list[Job]()
        for job, outcome in self._done(mode, jobs, failed):
            left += [
                other._replace(goals=job.goals) for other in self._killed(outcome.points[-1:], f"{job.name}, then ")
            ]
        self._recover(f"after {mode}", left)

    def _done(
        self, mode: str, jobs: Sequence[Job], work: Callable[[Bench, Job], Outcome]
    ) -> Iterator[tuple[Job, Outcome]]:
        """A share of the jobs with their outcomes, and their faults told."""
        chosen = sorted(self._random.sample(range(len(jobs)), round(self._share * len(jobs)))) if jobs else []
        picked = [jobs[number] for number in chosen]
        whole = [job._replace(goals=frozenset()) if self._random.random() < self._whole else job for job in picked]
        start = time.perf_counter()

        def worked(job: Job) -> Outcome:
            bench = self._free.get()
            try:
                return work(bench, job)
            finally:
                self._free.put(bench)

        became = Counter[str]()
        with ThreadPoolExecutor(self._num) as pool:
            outcomes = list(zip(picked, pool.map(worked, whole), strict=True))
        for _, outcome in outcomes:
            became[outcome.became] += 1
            self.result.faults.extend(outcome.faults)
            for fault in outcome.faults:
                self._say(f"  {fault.kind}: {fault.where}: {fault.told}")
        self.result.searched[mode], self.result.found[mode] = len(picked), len(jobs)
        self.result.became.update(became)
        told = ", ".join(f"{count} {what}" for what, count in became.items())
        self._say(f"{mode}: {len(picked)} of {len(jobs)} points: {told or 'none'}; {time.perf_counter() - start:.0f} s")
        return iter(outcomes)


def _named(number: int, call: Call | None, later: int | None = None) -> str:
    told = f"{call.operation} {call.path}" if call else "the end"
    return f"{number}{'' if later is None else f'+{later}'} {told}"


def search(
    place: Path,
    program: Program,
    target: str,
    modes: Sequence[str],
    workers: int,
    seed: int,
    share: float,
    whole: float,
    say: Say,
) -> Result:
    """Searches a program.

    Args:
      place: an empty folder for the work.
      program: what is run.
      target: MODULE:FUNCTION, see `Worker`.
      modes: of MODES.
      workers: processes that work at once.
      seed: of all draws.
      share: of the points that are searched.
      whole: share of these that are followed to the end.
      say: takes lines.
    """
    shim, store = build_shim(place), Store(place / "contents")
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(Worker(place / f"worker-{number}", shim, target)) for number in range(workers)]
        return Search([Bench(worker, store, program) for worker in started], seed, share, whole, say).run(modes)


def main() -> int:
    """Searches `hyperforget run`; exit status 1 if there is a fault."""
    from tests import crash_program

    parser = argparse.ArgumentParser()
    parser.add_argument("--modes", default=",".join(MODES))
    for name, default in (("share", 1.0), ("whole", 0.02)):
        parser.add_argument(f"--{name}", type=float, default=default)
    for name, number in (("seed", 0), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--place", type=Path)
    options = parser.parse_args()
    start, modes = time.perf_counter(), options.modes.split(",")
    if unknown := {*modes} - {*MODES}:
        parser.error(f"--modes has {', '.join(sorted(unknown))}: choose {', '.join(MODES)}")
    program = Program(crash_program.ARGUMENTS, crash_program.normal, crash_program.is_leftover, crash_program.general)
    with contextlib.ExitStack() as stack:
        place = options.place or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        found = search(
            place,
            program,
            "tests.crash_program:run",
            modes,
            options.workers,
            options.seed,
            options.share,
            options.whole,
            lambda line: print(line, flush=True),
        )
    kinds = Counter[str]()
    for fault in found.faults:
        kinds[fault.kind] += fault.size
    told = ", ".join(f"{kinds[kind]} {words}" for kind, words in KINDS.items())
    print(
        f"{found.searched.total()} of {found.found.total()} crash points: {told}; {(time.perf_counter() - start) / 60:.1f} min"
    )
    return int(bool(found.faults))


KINDS = {
    "differing bytes": "differing bytes",
    "leftover": "leftovers",
    "traceback": "tracebacks",
    "ending": "other endings",
    "unseen call": "unseen calls",
}

if __name__ == "__main__":
    sys.exit(main())
