"""Defaults of the data, the classifier, the zoo, its loader and the codec."""

from dataclasses import dataclass
from typing import Literal

from hyperforget_jax.config.unlearning import ForgetSet


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
    distillation_size: int = 0
    """Further images held out of them, on whose class losses alone a student of the hypernetwork is trained (`distillation`)."""
    standardise: bool = False
    """Shift and scale every input to mean 0 and variance 1 on the training images."""


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
    min_clean_runs: int = 32
    """Runs of the training part that never see a forget set and see all else in full, for every set that the task allows (of more than
    256 sets, for 256 random ones): aimed blocks are added, as many as it takes. The last checkpoint of every such run is kept if it is
    good on the pivots, whatever beta and the caps. 0: none are added, and no checkpoint is kept for that."""
    held_out_sets: tuple[ForgetSet, ...] = ()
    """Sets of classes that no run leaves out together, also not among others: requests for them show whether a hypernetwork composes."""
    purgeable: bool = False
    """Whether runs that never see a class owe nothing to its images, not even which pixels take part, so that a purge can keep them: all
    pixels take part then, also those that never vary, which takes more time."""
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
    clean_share: float = 0.0
    """Share of a batch of single checkpoints that are last ones of clean runs, every set of never seen classes equally often."""
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

    kind: Literal["complete", "functional", "raw"] = "complete"
    """complete: neuron tokens from which a model comes back as training left it (ours). functional: the same without what no training image
    shows, symmetries removed. raw: chunks of each tensor (the paper's)."""
    basis_size: int = 48
    """Directions K of the images' second moment that count in full; functional drops the rest of an input weight, complete draws it."""
    whitening: float = 0.75
    """complete: scale of each coordinate of a token between that of all (0) and its own deviation (1), so that weak ones count too."""
    chunk_size: int = 128
    """Raw: most weights in a token; below the hypernetwork's width."""
