"""What a zoo holds: its coverage as table, figure and file."""

from experiments import stages
from experiments.run import Run
from hyperforget_jax.zoo.store import Zoo


def report(run: Run, zoo: Zoo) -> None:
    """Prints how many checkpoints every combination of high and low losses has."""
    counts = stages.covered(run, zoo)
    for name, count in counts.items():
        run.console.print(f"{name}: {count} ({count / max(1, len(zoo)):.2%})")
