"""Defaults of the comparison of all methods of unlearning."""

from dataclasses import dataclass, field

from hyperforget_jax.config.attacks import AttackConfig


@dataclass(frozen=True)
class ComparisonConfig:
    """How methods are held beside each other on a finished run."""

    models: int = 104
    """Models trained on everything, each of which every method unlearns: KLoM needs 100, U-LiRA 64."""
    search_models: int = 4
    """Of these, on which settings are searched."""
    candidates: int = 16
    """Settings that a search tries, the same number for every method."""
    worst_models: int = 8
    """Models of a forget set in the search for the worst one."""
    attack: AttackConfig = field(default_factory=AttackConfig)
    """Of all attacks."""
