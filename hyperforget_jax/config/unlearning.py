"""Defaults of the task, requests, reference models and evaluation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.constructors import PrimitiveConstructorSpec

ForgetSet = Annotated[
    tuple[int, ...],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="CLASS[,CLASS...]",
        instance_from_str=lambda words: tuple(int(label) for label in words[0].split(",") if label),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(str(label) for label in value)],
    ),
]
"""Classes to forget together; on the command line `2,3` is one set and `2 3` are two."""


Prompts = Literal["best", "drawn"]
"""How models are prompted: all by one prompt, or each by a draw of its own."""


@dataclass(frozen=True)
class TaskConfig:
    """What may be forgotten and what is asked."""

    pivots: tuple[int, ...] = (0, 1)
    """Classes that are never forgotten; every stored checkpoint is good on them (section 4)."""
    forget_sets: tuple[ForgetSet, ...] = ((2,), (3,), (2, 3))
    """Requests to answer, each a set of classes to forget."""
    purged: tuple[int, ...] = ()
    """Classes whose images have had no influence on anything in the run; a purge sets it. Every request forgets them too."""
    scrubbed: tuple[int, ...] = ()
    """Classes that the hypernetwork has been taught to forget in whatever it makes; a scrub sets it. Every request forgets them too."""

    @property
    def always(self) -> tuple[int, ...]:
        """Classes that every request forgets."""
        return tuple(sorted({*self.purged, *self.scrubbed}))


@dataclass(frozen=True)
class RequestConfig:
    """How a request becomes prompts, and prompts become one answer."""

    prompts: Prompts = "drawn"
    """drawn: every model has a prompt of its own, the losses of a clean run (ours), so that models vary as retrained ones do. best: one
    prompt, chosen on validation (the paper's). A run with drawn prompts answers by the best one as well, with the same sampling
    settings, under a name of its own."""
    samples: int = 256
    """Models sampled per request (N)."""
    forget_levels: int = 3
    """Levels of forget loss among the candidate prompts."""
    retain_quantiles: tuple[float, ...] = (0.02, 0.05, 0.1, 0.25)
    """Shares of the matching checkpoints, best retain loss first, whose median is a candidate prompt."""
    retain_factors: tuple[float, ...] = (1.0, 0.8)
    """Factors on the retain losses of every candidate prompt: below 1 asks for a little more than checkpoints have reached."""
    forget_tolerance: float = 0.001
    """Forget accuracy on validation above which a model is of score 0."""
    trial_samples: tuple[int, ...] = (8, 24, 64)
    """Models sampled to judge a candidate prompt, round by round, once for each hypernetwork and forget set (successive halving)."""
    trial_factor: int = 3
    """One candidate in so many, the best ones, goes on to the next round."""
    trial_steps: int = 10
    """Sampling steps in all rounds but the last, at most; the last has sampling.steps."""
    score_tolerance: float = 0.002
    """Mean retain accuracy that a prompt may lack beside the best one's and still be chosen, for asking a higher forget loss."""
    num_selected: int = 5
    """Models selected on validation and averaged, as in Tables 1-4."""
    rounds: int = 3
    """Times that `hyperforget update` applies DiHyFo-1 to its own output, with the same prompt; the first is the answer."""


@dataclass(frozen=True)
class ReferenceConfig:
    """The reference models of models retrained without the forget set."""

    seeds: int = 32
    """Models per forget set (M)."""
    clean_runs: int = 256
    """Clean runs per forget set, by the zoo's recipe, which no hypernetwork is trained on: the clean reference."""
    epochs: float = 25.0
    """Passes over the retained images."""
    batch_size: int = 64
    """Images in a minibatch."""
    learning_rate: float = 4e-3
    """Adam's step size, decayed to zero by a cosine."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured beside the accuracies."""

    alignment_prompts: int = 20
    """Regularly spaced target losses per class (equation 6)."""
    alignment_families: int = 32
    """Noise draws; each is one family of models, prompted at every target."""
    alignment_quantiles: tuple[float, float] = (0.02, 0.95)
    """Ends of the grid, as quantiles of the class's loss in the zoo where the other classes are learned."""
    alignment_epsilon: float = 1e-8
    """Constant epsilon of equation 6, in squared nats."""
    learned_share: float = 0.02
    """Share of the zoo, lowest mean loss first, whose median losses are the good values of a sweep."""
    bootstrap: int = 1000
    """Resamples behind each 95% interval."""
    distribution_models: int = 128
    """Models a side of two-sample tests, diversity and relearning, at most: unselected samples, and half of the clean reference; 0: none of
    these is measured."""
    c2st_images: int = 200
    """Test images, evenly spaced and as many of every class, whose probabilities a two-sample test sees."""
    c2st_trees: int = 100
    """Trees of the random forest that tells unlearned models from clean runs."""
    c2st_permutations: int = 6
    """Refits to permuted labels behind the null interval of a two-sample test."""
    relearning_shots: tuple[int, ...] = (1, 5, 20)
    """Training images a class, retained and forgotten, that models are fine-tuned on, once for each number."""
    relearning_steps: tuple[int, ...] = (5, 10, 20, 40, 60)
    """Steps of Adam after which the accuracy on the forgotten test images is measured."""
