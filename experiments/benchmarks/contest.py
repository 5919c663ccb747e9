"""One setting: all contenders in the same rounds, and what their times say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.benchmarks import clock, flops, machine, naive_vmap, ours
from experiments.benchmarks.clock import Piece, Timing
from experiments.benchmarks.pieces import Pieces, Timed
from experiments.benchmarks.task import Task


class Contender(NamedTuple):
    """A piece of work, the checkpoints that it makes and the FLOPs of its model's products."""

    piece: Piece
    checkpoints: int
    flops: int


def hold(
    task: Task, pieces: Pieces, torch: Mapping[str, Piece], on_round: Callable[[int], None]
) -> dict[str, Any]:
    """Times every contender on one setting.

    Args:
      task: the setting's block.
      pieces: how much is timed.
      torch: the PyTorch loop's pieces, each of `pieces.torch_snapshots`; empty if it is left out.
      on_round: called with 1 after every round.

    Returns:
      JSON-ready: the setting's size, how the contenders compare, and the figures of each. Rates are those of the best round; the
      peak is the rate of the best product.
    """
    field = contenders(task, pieces, torch)
    work = {name: each.piece for name, each in field.items()}
    timings = clock.alternate(work, pieces.rounds, pieces.seconds, on_round)
    peak = peak_of(field, timings)
    found = {name: figures(each, timings[name], peak) for name, each in field.items()}
    rates = {name: row["checkpoints_per_second"] for name, row in found.items()}
    return {
        "classifier": "-".join(str(size) for size in task.sizes),
        "training_images": len(task.training.labels),
        "validation_images": len(task.validation.labels),
        "varying_pixels": len(task.pixels),
        "runs_per_block": task.runs,
        "batch_size": task.batch_size,
        "steps_per_snapshot": task.steps_per_snapshot,
        "ours_over_torch": _over(rates, [name for name in torch if "fused" not in name]),
        "ours_over_torch_fused": _over(rates, [name for name in torch if "fused" in name]),
        "ours_over_naive_vmap": rates["ours"] / rates["naive_vmap"],
        "peak_gflops_per_second": peak / 1e9,
        "share_of_peak": found["training_steps"]["share_of_peak"],
        "contenders": found,
    }


def _over(rates: Mapping[str, float], others: Sequence[str]) -> float | None:
    """Our rate over the best of some others; None if there are none."""
    return rates["ours"] / max(rates[name] for name in others) if others else None


def contenders(task: Task, pieces: Pieces, torch: Mapping[str, Piece]) -> dict[str, Contender]:
    """Everyone who takes part, in the order of their turns."""
    count, naive = pieces.snapshots, task.first(pieces.cpu_naive_runs) if machine.is_cpu() else task
    narrow = (len(task.pixels), *task.sizes[1:])
    training = task.steps_per_snapshot * flops.step(narrow, task.batch_size)
    training_all_pixels = task.steps_per_snapshot * flops.step(task.sizes, task.batch_size)
    scoring = flops.scoring(task.sizes, len(task.validation.labels))

    def made(piece: Piece, checkpoints: int, each: int) -> Contender:
        return Contender(piece, checkpoints, checkpoints * each)

    return {
        "ours": made(ours.block(task, count), task.runs * count, training + scoring),
        **{
            name: made(piece, pieces.torch_snapshots, training_all_pixels + scoring)
            for name, piece in torch.items()
        },
        "naive_vmap": made(naive_vmap.block(naive, 1), naive.runs, training + scoring),
        "training_steps": made(ours.block(task.unscored(), count), task.runs * count, training),
        "scoring": made(ours.scoring(task), task.runs, scoring),
        **products(pieces, "float32"),
    }


def products(pieces: Timed, dtype: str) -> dict[str, Contender]:
    """The square products whose best rate is the machine's peak."""
    return {
        f"product_{side}": Contender(machine.product(side, dtype), 0, flops.product(side))
        for side in machine.product_sides(pieces)
    }


def peak_of(field: Mapping[str, Any], timings: Mapping[str, Timing]) -> float:
    """The peak in FLOP/s: the rate of the best product in a field of contenders."""
    return max(each.flops / timings[name].best for name, each in field.items() if name.startswith("product"))


def figures(contender: Contender, timing: Timing, peak: float) -> dict[str, Any]:
    """What is told of a contender; None where it makes no checkpoints."""
    made = contender.checkpoints
    rate = contender.flops / timing.best
    return {
        "checkpoints_per_second": made / timing.best if made else None,
        "us_per_checkpoint": timing.best / made * 1e6 if made else None,
        "gflops_per_second": rate / 1e9,
        "share_of_peak": rate / peak,
        "spread": timing.spread,
    }
