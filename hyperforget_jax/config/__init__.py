"""Every default of a setting, with its unit and its meaning. Constants that define a method stand beside it.

`configs/*.py` build a `Config` for one setting; the command line overrides single fields; the
resolved value is saved beside every artifact. All dataclasses are frozen: a config is a value.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tyro.constructors import PrimitiveConstructorSpec

from hyperforget_jax.config.hypernetwork import (
    DiffusionConfig,
    HypernetworkConfig,
    SamplingConfig,
    TrainingConfig,
)
from hyperforget_jax.errors import HyperForgetError

__all__ = [
    "ClassifierConfig",
    "CodecConfig",
    "Config",
    "DataConfig",
    "DiffusionConfig",
    "EvaluationConfig",
    "ForgetSet",
    "HypernetworkConfig",
    "LoaderConfig",
    "ReferenceConfig",
    "RequestConfig",
    "SamplingConfig",
    "TaskConfig",
    "TrainingConfig",
    "ZooConfig",
    "flatten",
    "unflatten",
]

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


@dataclass(frozen=True)
class DataConfig:
    """Which images, which classes, and how they are split."""

    name: str = "digits"
    """Dataset: digits (embedded), mnist, fashion_mnist, arrays (your own file), or tfds:NAME (such as tfds:kmnist)."""
    dir: str | None = None
    """Folder with the four IDX files of mnist or fashion_mnist; None: the copy that tensorflow-datasets has prepared."""
    file: str | None = None
    """arrays: a .npz or .safetensors file with x_train, y_train, x_test, y_test and optional class_names."""
    classes: tuple[int, ...] = (0, 1, 2, 3)
    """Labels that take part, in the order of the classifier's outputs; none: all labels of the dataset, in rising order."""
    validation_size: int = 360
    """Images held out of the training images (before the choice of classes) for labels and selection."""
    standardise: bool = False
    """Shift and scale every input to mean 0 and variance 1 on the training images."""


@dataclass(frozen=True)
class TaskConfig:
    """What may be forgotten and what is asked."""

    pivots: tuple[int, ...] = (0, 1)
    """Classes that are never forgotten; every stored checkpoint is good on them (section 4)."""
    forget_sets: tuple[ForgetSet, ...] = ((2,), (3,), (2, 3))
    """Requests to answer, each a set of classes to forget."""


@dataclass(frozen=True)
class ClassifierConfig:
    """The small model whose weights are the data."""

    hidden: tuple[int, ...] = (3,)
    """Width of each hidden layer; the depth is free."""


@dataclass(frozen=True)
class ZooConfig:
    """Training runs that fill the zoo (section A.5, Figures 23-25)."""

    runs: int = 1024
    """Independent training runs."""
    runs_per_block: int = 256
    """Runs trained together; they share minibatches, so layer 1 of a block is one matrix product."""
    epochs: float = 25.0
    """Passes over the training images of each run."""
    batch_size: int = 64
    """Images in a minibatch, before a run's own undersampling."""
    snapshots: int = 50
    """Moments of a run at which a checkpoint may be kept."""
    learning_rate: tuple[float, float] = (2e-3, 8e-3)
    """Range of Adam's step size, drawn log-uniformly per run."""
    undersample_probability: float = 0.75
    """Share of runs in which a random subset of the forgettable classes is undersampled."""
    never_seen_probability: float = 0.5
    """Chance that an undersampled class keeps no image at all."""
    keep_rate: tuple[float, float] = (1e-3, 0.3)
    """Range of the share of images that an undersampled class keeps otherwise, log-uniform."""
    deletion_probability: float = 0.3
    """Share of runs in which a random subset of classes is deleted part-way (de-optimisation, Figure 24)."""
    deletion_time: tuple[float, float] = (0.2, 0.7)
    """Range of the moment of deletion, as a share of the run."""
    selection_probability: tuple[float, float] = (1.0, 0.5)
    """Chance beta of keeping a snapshot, at the start and at the end of a run, linear between."""
    loss_shift_threshold: float | None = None
    """Change of a class loss since the snapshot before, in nats, above which one is kept whatever beta; None: never."""
    pivot_accuracy: float = 0.8
    """Threshold gamma: a checkpoint is kept only if every pivot's accuracy is above it."""
    min_learned: int = 0
    """Classes, whichever, that must be above gamma too: the relaxed condition with few pivots or none."""
    bin_edges: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
    """Bounds between the loss levels of a class, in nats: the bins of Figure 25 and of the coverage report."""
    max_per_bin: int | None = None
    """Most checkpoints of a block in a loss bin of a forgettable class; one with room in any bin is kept. None: no cap."""
    max_per_combination: int | None = None
    """Most checkpoints of a block in a high/low combination of the forgettable classes. None: no cap."""
    min_per_combination: int = 0
    """Checkpoints that every combination must reach: blocks aimed at those that fall short are added until they do."""
    max_added_blocks: int = 8
    """Most blocks added for that; what is then still short is reported with its reason."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the stored weights; the losses are those of the rounded models."""
    memory_gib: float = 4.0
    """Memory that building may take, in GiB; a block that needs more is refused."""
    folder: str | None = None
    """Place of the zoo, which runs of equal data, classifier and zoo settings may share; None: zoo/ in the workdir."""
    validation_share: float = 0.1
    """Share of runs kept away from training; the split is by run, since neighbouring checkpoints leak."""


@dataclass(frozen=True)
class LoaderConfig:
    """Which checkpoints of the zoo a training sees, and how they are read."""

    resample: Literal["combinations", "losses", "none"] = "combinations"
    """Drawn equally often: high/low combinations of the forgettable classes, levels of the mean loss (Figure 29), or checkpoints."""
    loss_levels: int = 20
    """losses: levels between the least and the greatest mean loss, in equal steps of its logarithm."""
    reverse_probability: float = 0.0
    """Pairs: chance that the earlier checkpoint is the target, so that losses climb (section A.5)."""
    memory_gib: float = 4.0
    """Weights of at most so many GiB are read into memory at the start; those of a larger zoo are read from disk, batch by batch."""
    threads: int = 2
    """Threads that read batches ahead of the training."""
    prefetch: int = 8
    """Batches that they are ahead."""


@dataclass(frozen=True)
class CodecConfig:
    """How weights become tokens."""

    kind: Literal["functional", "raw"] = "functional"
    """functional: symmetries removed, neuron tokens (ours). raw: chunks of each tensor (the paper's)."""
    basis_size: int = 48
    """Functional: directions K kept of the images' second moment; the rest of an input weight is dropped."""
    chunk_size: int = 128
    """Raw: most weights in a token; below the hypernetwork's width."""


@dataclass(frozen=True)
class RequestConfig:
    """How a request becomes prompts, and prompts become one answer."""

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
    samples_per_candidate: int = 64
    """Models sampled to judge a candidate."""
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


@dataclass(frozen=True)
class Config:
    """One setting of the whole path, from images to a report."""

    seed: int = 0
    """Seed of every random stream."""
    workdir: str = "runs/digits4_dihyfo2"
    """Folder for every artifact of the run."""
    overwrite: bool = False
    """Delete what another config left in the workdir."""
    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    zoo: ZooConfig = field(default_factory=ZooConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)
    hypernetwork: HypernetworkConfig = field(default_factory=HypernetworkConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    request: RequestConfig = field(default_factory=RequestConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


def flatten(config: Any) -> dict[str, Any]:
    """The config as `{"zoo.runs": 1024, …}`: dotted names, JSON-ready values (tuples become lists)."""

    def plain(value: Any) -> Any:
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            flat |= {f"{item.name}.{name}": leaf for name, leaf in flatten(value).items()}
        else:
            flat[item.name] = plain(value)
    return flat


def unflatten(flat: Mapping[str, Any]) -> Config:
    """The config of a flat one: the inverse of `flatten`, also after a round trip through JSON.

    Raises:
      HyperForgetError: a field is missing or unknown; names it.
    """

    def build(default: Any, prefix: str) -> Any:
        values = {}
        for item in dataclasses.fields(default):
            name, old = f"{prefix}{item.name}", getattr(default, item.name)
            if dataclasses.is_dataclass(old):
                values[item.name] = build(old, f"{name}.")
            elif name in rest:
                values[item.name] = frozen(rest.pop(name))
            else:
                raise HyperForgetError(
                    f"the config lacks {name}: it was written by another version of hyperforget_jax"
                )
        return dataclasses.replace(default, **values)

    def frozen(value: Any) -> Any:
        return tuple(frozen(item) for item in value) if isinstance(value, list) else value

    rest = dict(flat)
    config: Config = build(Config(), "")
    if rest:
        raise HyperForgetError(
            f"the config has an unknown field {next(iter(rest))}: it was written by another version of hyperforget_jax"
        )
    return config
