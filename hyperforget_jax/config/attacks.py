"""Defaults of the attacks on unlearned models."""

from dataclasses import dataclass

from hyperforget_jax.config.ranges import ATTACKS, validate_settings
from hyperforget_jax.config.unlearning import EvaluationConfig


@dataclass(frozen=True)
class AttackConfig:
    """How unlearned models are attacked, and what their reference models are held against."""

    seed: int = 0
    """Of random halves of the reference models, and of searches."""
    attacked_models: int = 64
    """Unlearned models that are attacked one by one, at most; attacks on groups take all."""
    attacked_reference: int = 128
    """Reference models that are attacked one by one, at most."""
    control_splits: int = 20
    """Random halves of the reference models, one against the other, behind the interval of an attack that needs two groups of models."""
    entropy_images: int = 2000
    """Images of each kind, evenly spaced, whose entropies the paper's attacker sees, at most."""
    margin_clip: float = 100.0
    """Largest absolute margin, a logit; larger ones are set to it."""
    cmia_neighbours: int = 2
    """Classes, those that retrained models answer most on forgotten images, against which one attacker each is fitted."""
    cmia_images: int = 200
    """Images of either kind that an attacker is fitted on, at most, evenly spaced."""
    cmia_penalty: float = 1.0
    """C of the attackers, support vector machines with an RBF kernel."""
    klom_bins: int = 20
    """Bins of the histograms of an image's margins, shared by both groups of models."""
    klom_floor: float = 1e-5
    """Least share of the reference models in a bin where unlearned ones lie."""
    klom_quantile: float = 0.95
    """Over images, of the divergence."""
    klom_models: int = 100
    """Fewest models a side: histograms of fewer are noise."""
    klom_images: int = 1000
    """Test images in a suite of attacks, evenly spaced, at most."""
    shadow_images: int = 64
    """Forgotten training images in a suite of attacks, evenly spaced, at most."""
    false_positive_rates: tuple[float, ...] = (0.01, 0.001)
    """At which the true positive rate of an attack with shadow models is reported."""
    two_sample_models: int = 64
    """Models a side of a two-sample test, at most."""
    two_sample_splits: int = 10
    """Random halves of the reference models behind the interval of two-sample tests and of diversity."""
    two_sample_trees: int = 25
    """Trees of the random forest."""
    relearning_shots: tuple[int, ...] = EvaluationConfig.relearning_shots
    """Training images a class, retained and forgotten, that models are fine-tuned on, once for each number."""
    relearning_steps: tuple[int, ...] = EvaluationConfig.relearning_steps
    """Steps of Adam after which forget accuracy is measured; the result of relearning is its mean over them."""
    retained_shots: int = 50
    """Training images a class that models are fine-tuned on where retained classes alone are shown."""
    prototype_images: int = 5
    """Images of each forgotten class whose mean feature is its prototype."""
    prototype_weight: float = 0.5
    """Share of the prototype in the new class vector (a)."""
    head_labels: tuple[int, ...] = (1, 5, 50)
    """Labelled images a class that the output layer is refitted to, once for each number."""
    linear_penalty: float = 1.0
    """C of the refitted output layer and of the linear probe: weight of the summed losses against |weights|^2 / 2."""
    linear_steps: int = 500
    """Accelerated gradient steps of a linear fit."""
    rounding_bits: tuple[int, ...] = (8, 4)
    """Bits that weights are rounded to, once for each number."""
    probe_images: int = 1000
    """Images, evenly spaced and as many of every kind, that hidden units are compared on, that probes are fitted to, and that they are
    tested on, at most."""
    neighbours: int = 5
    """k of k-NN on hidden units."""
    sets_at_once: int = 64
    """Forget sets that are scored in one call of an exhaustive search."""
    search_batch: int = 256
    """Prompts in one call of a search."""
    search_restarts: int = 16
    """Best prompts of the sweep that a search starts from; half of the starts are dropped after every round, until one is left."""
    search_rounds: int = 12
    """Rounds of a search."""
    search_elite: float = 0.125
    """Share of a start's prompts in a round that its next prompts are drawn around."""
    search_width: float = 0.5
    """Standard deviation of the first round, in standard deviations of a prompt column over the sweep."""
    search_least_width: float = 0.02
    """Least standard deviation of later rounds, in the same unit."""


def validate_attacks(config: AttackConfig) -> None:
    """Refuses a config with a number out of range.

    Raises:
      HyperForgetError: names the field, the number and the range.
    """
    validate_settings(config, ATTACKS, "attacks")
