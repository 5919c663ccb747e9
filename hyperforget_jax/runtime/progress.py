"""Progress of long work: a bar with rate and time left on a terminal, a line now and then in a log."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def track(console: Console, task: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows how far a task is.

    Args:
      console: where to.
      task: what is being done, such as "zoo".
      total: units of the whole task.
      unit: what is counted, such as "runs".

    Yields:
      A function that takes the number of units just finished.
    """
    started_at = time.monotonic()
    if console.is_terminal:
        columns = (
            TextColumn(f"{task:<14}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit + " · {task.fields[rate]} ·", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            row = bar.add_task(task, total=total, rate="")

            def advance_bar(count: int) -> None:
                bar.advance(row, count)
                done = bar.tasks[0].completed
                bar.update(row, rate=_rate(done, time.monotonic() - started_at, unit))

            yield advance_bar
        return

    done, last = 0, started_at

    def advance_line(count: int) -> None:
        nonlocal done, last
        done, now = done + count, time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or done >= total:
            last, elapsed = now, now - started_at
            left = elapsed / done * (total - done)
            rate = _rate(done, elapsed, unit)
            console.print(f"{task}: {done}/{total} {unit} · {rate} · {left:.0f} s left", highlight=False)

    yield advance_line


def _rate(done: float, seconds: float, unit: str) -> str:
    return f"{done / max(seconds, 1e-9):.4g} {unit}/s"
