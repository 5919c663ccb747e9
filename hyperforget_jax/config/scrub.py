"""Defaults of a scrub: a hypernetwork is taught to forget classes in whatever it makes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ScrubConfig:
    """How a hypernetwork is scrubbed."""

    steps: int = 600
    """Optimizer steps."""
    batch_size: int = 128
    """Lessons in a step."""
    learning_rate: float = 2e-4
    """Peak step size of AdamW."""
    lessons: int = 4096
    """Samples of the hypernetwork as it was, each under conditions held to what models that never saw the classes have."""
    lesson_steps: int = 15
    """Denoising steps of DPM-Solver++ behind a sample."""
    least_quantile: float = 0.05
    """Quantile of the class losses of clean runs below which no loss of a scrubbed class can be asked for."""
    jitter: float = 0.5
    """Standard deviation of the factor's logarithm by which losses of audit prompts are multiplied, so that no two lessons are alike."""
