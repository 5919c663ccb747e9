"""Contenders take turns, so that a noisy machine disturbs all of them alike; the best turn counts."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

Piece = Callable[[], object]


class Timing(NamedTuple):
    """Seconds of one piece.

    Attributes:
      best: in the fastest turn.
      spread: by how much the slowest turn was slower, as a share of the fastest.
    """

    best: float
    spread: float


def alternate(
    pieces: Mapping[str, Piece], rounds: int, seconds: float, on_round: Callable[[int], None]
) -> dict[str, Timing]:
    """Times pieces in turn: A, B, C, A, B, C, …

    Args:
      pieces: name to a piece of work; jax arrays that it returns are waited for.
      rounds: turns of every piece.
      seconds: a piece is repeated in its turn until about that time is over, and runs at least once.
      on_round: called with 1 after every round.

    Returns:
      Name to timing. Neither compilation, in the first call of a piece, nor the second one counts, nor the first of each turn: that
      one gets back the memory which the system took while others had their turns.
    """
    repeats = {}
    for name, piece in pieces.items():
        _timed(piece, 1)
        repeats[name] = max(1, round(seconds / _timed(piece, 1)))
    turns: dict[str, list[float]] = {name: [] for name in pieces}
    for _ in range(rounds):
        for name, piece in pieces.items():
            _timed(piece, 1)
            turns[name].append(_timed(piece, repeats[name]))
        on_round(1)
    return {name: Timing(min(times), max(times) / min(times) - 1.0) for name, times in turns.items()}


def _timed(piece: Piece, repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(piece())
    return (time.perf_counter() - begun) / repeats
