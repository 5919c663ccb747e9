"""How much is timed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timed:
    """What every benchmark times; a piece of work is repeated until its turn is long enough for the clock."""

    rounds: int = 7
    """Turns of every contender; the best one counts."""
    seconds: float = 0.5
    """Least length of a turn."""
    cpu_products: tuple[int, ...] = (2048, 3072)
    """Sides of the square products whose best rate is the peak of a CPU."""
    accelerator_products: tuple[int, ...] = (4096, 8192)
    """The same for an accelerator."""
    growth_rounds: int = 3
    """Turns of every size in the tables of growth."""


@dataclass(frozen=True)
class Pieces(Timed):
    """Size of the pieces of `experiments.benchmarks.zoo`."""

    snapshots: int = 12
    """Snapshots of a block in a piece of ours; a block's start is part of the piece."""
    cpu_naive_runs: int = 64
    """Runs that the naive vmap trains together on a CPU, where more are slower: their images no longer fit the cache."""
    torch_snapshots: int = 20
    """Snapshots of a PyTorch run in a piece."""
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


@dataclass(frozen=True)
class HypernetPieces(Timed):
    """Size of the pieces of `experiments.benchmarks.hypernetwork`."""

    cpu_steps: int = 1
    """Training steps in a piece on a CPU; the device is waited for after the last one."""
    accelerator_steps: int = 16
    """The same on an accelerator, where waiting takes time."""
    models: int = 1024
    """Random classifiers that the codec is fitted on."""
    growth_width: tuple[int, ...] = (256, 384, 512)
    """Hidden sizes in the tables of growth."""
    growth_tokens: tuple[int, ...] = (3, 8, 16)
    """Tokens of a classifier there: one for each hidden unit, and one for the output bias."""
    growth_batch: tuple[int, ...] = (64, 256, 1024)
    """Classifiers per step there."""
    growth_from: tuple[int, int, int] = (256, 8, 256)
    """Width, tokens and batch of what does not vary there."""
