"""How much is timed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pieces:
    """Size of the pieces of work; each is repeated until its turn is long enough for the clock."""

    rounds: int = 7
    """Turns of every contender; the best one counts."""
    seconds: float = 0.5
    """Least length of a turn."""
    snapshots: int = 12
    """Snapshots of a block in a piece of ours; a block's start is part of the piece."""
    cpu_naive_runs: int = 64
    """Runs that the naive vmap trains together on a CPU, where more are slower: their images no longer fit the cache."""
    torch_snapshots: int = 20
    """Snapshots of a PyTorch run in a piece."""
    cpu_products: tuple[int, ...] = (2048, 3072)
    """Sides of the square products whose best rate is the peak of a CPU."""
    accelerator_products: tuple[int, ...] = (4096, 8192)
    """The same for an accelerator."""
    growth_rounds: int = 3
    """Turns of every size in the tables of growth."""
    growth_snapshots: int = 2
    """Snapshots of a block in a piece of growth."""
    growth_runs: tuple[int, ...] = (32, 128, 512)
    """Runs per block in the tables of growth."""
    growth_hidden: tuple[int, ...] = (2, 4, 8, 16)
    """Hidden units there."""
    growth_classes: tuple[int, ...] = (2, 4, 10)
    """Classes there."""
    growth_from: tuple[int, int, int] = (128, 2, 4)
    """Runs, hidden units and classes of what does not vary there."""
