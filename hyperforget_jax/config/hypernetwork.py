"""Defaults of the hypernetwork: its transformer, its process, its training and its sampler."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class HypernetworkConfig:
    """The diffusion transformer (section 3; the paper's size is 1536 x 12, 16 heads)."""

    kind: Literal["dihyfo1", "dihyfo2"] = "dihyfo2"
    """dihyfo1 updates given weights, knowing their losses (Figure 1a); dihyfo2 generates from the prompt alone (1b)."""
    metric: Literal["class_losses", "one_loss", "mean_loss", "mean_error"] = "class_losses"
    """What is asked for: every class's loss; or one number as in G.pt (section A.6): a class's loss, the mean loss, the mean error."""
    metric_class: int = 0
    """one_loss: output position of the class."""
    exposure: bool = True
    """Whether the condition also has the exposure of every class and the age of the checkpoint (ours), or losses alone (the paper's)."""
    conditioning: Literal["adaln", "tokens"] = "adaln"
    """adaln: the condition modulates every block (arXiv 2212.09748). tokens: it is further tokens (the paper's)."""
    hidden_size: int = 256
    """Hidden size of a token."""
    depth: int = 4
    """Transformer blocks."""
    num_heads: int = 4
    """Attention heads; they divide the hidden size."""
    mlp_ratio: int = 4
    """Width of a block's MLP, in multiples of the hidden size."""
    frequencies: int = 16
    """Frequencies of the encoder of a class loss."""
    max_frequency: float = 8.0
    """Highest of them, in cycles per standard deviation of the log loss; the lowest is 1/8."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations; parameters are float32."""
    remat: bool = False
    """Whether the backward pass computes a block's activations again instead of keeping them: less memory, more time."""
    loss_floor: float = 1e-3
    """Constant c in the condition log(loss + c), in nats; it keeps losses near zero apart."""


@dataclass(frozen=True)
class DiffusionConfig:
    """Forward process and what the transformer predicts."""

    timesteps: int = 1000
    """Steps T of the forward process; the timesteps are 0..T-1."""
    schedule: Literal["linear", "cosine"] = "linear"
    """Noise schedule: linear in beta (the paper's) or cosine (arXiv 2102.09672)."""
    prediction: Literal["x0", "epsilon", "v"] = "x0"
    """Output of the transformer: the clean tokens (the paper's), the noise, or the velocity (arXiv 2202.00512)."""
    weighting: Literal["uniform", "min_snr"] = "uniform"
    """Weight of a timestep's error: equal (the paper's) or min-SNR (arXiv 2303.09556)."""
    min_snr_ceiling: float = 5.0
    """Signal-to-noise ratio above which min-SNR, and the error of logits, weigh no higher."""
    functional_weight: float = 1.0
    """Weight of the error of the predicted model's logits beside that of its tokens (ours); 0: tokens alone (the paper's)."""
    functional_images: int = 16
    """Training images of every class on which those logits are compared, drawn anew in every step."""
    class_dropout: float = 0.1
    """Chance that a class's loss, or its exposure, of a training condition is not asked for ("don't care"), each for itself."""
    kind_dropout: float = 0.2
    """Chance that no loss is asked for, that no exposure is, and that the age is not, each for itself."""
    full_dropout: float = 0.0
    """Chance that nothing is asked for, as guidance needs."""


@dataclass(frozen=True)
class TrainingConfig:
    """Training of the hypernetwork."""

    seed: int | None = None
    """Seed of the training alone, so that one zoo can train several; None: that of the run."""
    steps: int = 2000
    """Optimiser steps."""
    batch_size: int = 256
    """Checkpoints per step."""
    learning_rate: float = 1e-3
    """Peak step size of AdamW."""
    warmup_steps: int = 100
    """Steps of linear warm-up; a cosine to zero follows."""
    weight_decay: float = 0.05
    """AdamW's decay of matrices (biases and embeddings are left alone)."""
    beta2: float = 0.99
    """AdamW's second-moment decay."""
    clip_norm: float = 1.0
    """Global gradient norm above which a gradient is scaled down."""
    ema_decay: float = 0.998
    """Decay of the averaged parameters, warmed up as min(decay, (1 + step) / (10 + step))."""
    log_every: int = 50
    """Steps that a record of the learning curve averages; the first after a restart has only the steps since."""
    checkpoint_every: int = 500
    """Steps between saved states; a stopped run goes on from the last one."""
    grad_accum_steps: int = 1
    """Parts that a batch is taken in, one after another: less memory, the same step. It divides the batch."""
    shard_parameters: bool = False
    """Whether parameters, their average and the optimiser are divided among the devices (FSDP) instead of copied."""
    alignment_every: int = 0
    """Steps between measurements of prompt alignment on validation images (Figures 9 to 18); 0: none before the end."""
    alignment_families: int = 8
    """Families of models sampled for one of them."""
    tensorboard: bool = False
    """Whether curves are written for TensorBoard too, which needs the extra `tensorboard`."""
    untrained_share: float = 0.25
    """dihyfo1: share of the examples that start from random weights, not from an earlier checkpoint of the run."""
    unrelated_share: float = 0.25
    """dihyfo1: share of the examples that start from a checkpoint of another run, so that any model can be updated in one call."""
    untrained: int = 2048
    """dihyfo1: random models to draw those from."""


@dataclass(frozen=True)
class DistillationConfig:
    """The student: the hypernetwork's transformer, trained on to need few steps (ours)."""

    steps: int = 0
    """Optimiser steps; 0: there is no student, and the hypernetwork itself is sampled. Images are those of data.distillation_size."""
    sampling_steps: int = 3
    """Denoising steps of the student."""
    lessons: int = 32768
    """Models that the hypernetwork samples once, for the student to make from the same noise."""
    lesson_steps: int = 12
    """Denoising steps of these, by DPM-Solver++(2M)."""
    batch_size: int = 128
    """Lessons per step."""
    learning_rate: float = 3e-4
    """Peak step size of AdamW; else the student is trained as the hypernetwork is."""
    loss_weight: float = 1.0
    """Weight of the squared distance to the class losses that are asked for, in standard deviations of their logarithms, beside that to the
    hypernetwork's tokens."""


@dataclass(frozen=True)
class SamplingConfig:
    """Generation of models."""

    sampler: Literal["ddpm", "ddim", "dpm"] = "ddim"
    """ddpm: fixed variances (the paper's). ddim: fewer, deterministic steps (arXiv 2010.02502). dpm: DPM-Solver++(2M), of second order
    where ddim is of first (arXiv 2211.01095)."""
    steps: int = 50
    """Denoising steps; ddpm uses all timesteps when this equals them."""
    spacing: Literal["even", "trailing"] = "even"
    """even: timesteps from the noisiest to the least noisy one. trailing: equal steps that end at the clean model (arXiv 2305.08891)."""
    eta: float = 0.0
    """ddim: share of ddpm's fresh noise in a step; 0 is deterministic."""
    temperature: float = 1.0
    """Factor on all noise: below 1 models are nearer to the typical one of their prompt (truncation); 1 samples what was learned."""
    guidance_scale: float = 1.0
    """Guidance scale w: unconditional + w (conditional - unconditional) estimates (arXiv 2207.12598); 1 is none."""
    batch_size: int = 256
    """Models denoised together: the bound on memory."""
