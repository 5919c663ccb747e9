"""The PyTorch contender of `experiments.benchmarks.hypernetwork` (extra `bench`): the same transformer, training and sampler."""

import math
from typing import Any

import jax
import numpy as np
import torch

from experiments.benchmarks import hypernetwork_work
from experiments.benchmarks.hypernetwork_work import Setting
from experiments.benchmarks.timing import Work
from experiments.benchmarks.torch_transformer import Transformer, load
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.diffusion import samplers, schedule
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.runtime import machine

VERSION: str = torch.__version__
ONLY = {
    "hypernetwork.kind": "dihyfo2",
    "hypernetwork.conditioning": "adaln",
    "hypernetwork.remat": False,
    "diffusion.prediction": "x0",
    "diffusion.weighting": "uniform",
    "diffusion.class_dropout": 0.0,
    "diffusion.full_dropout": 0.0,
    "training.grad_accum_steps": 1,
    "sampling.sampler": "ddim",
    "sampling.eta": 0.0,
    "sampling.guidance_scale": 1.0,
}
"""What of a config this contender knows; ours knows the rest too."""


def refusal(config: Config) -> str | None:
    """Why PyTorch cannot take part; None if it can."""
    flat = flatten(config)
    for name, known in ONLY.items():
        if flat[name] != known:
            return f"its transformer has {name} {known}, this config {flat[name]}"
    if not machine.is_cpu() and not (jax.default_backend() == "gpu" and torch.cuda.is_available()):
        return f"PyTorch {VERSION} does not see the {jax.default_backend()} that JAX uses"
    return None


def use_all_cores() -> None:
    """Gives PyTorch what JAX has by default: every core and, on a GPU, float32 products in TF32."""
    torch.set_num_threads(machine.cores())
    if not machine.is_cpu():
        torch.set_float32_matmul_precision("high")


class Trainer:
    """A model in training: fused AdamW that decays matrices alone, clipping, warm-up and cosine, moving average.

    Attributes:
      model: what is trained.
      averages: moving average of its parameters, in their order.
    """

    def __init__(self, setting: Setting, params: Params) -> None:
        self._setting, self._config = setting, setting.config.training
        self._alpha_bar = alpha_bar(setting)
        self._steps = 0
        self.model = build_model(setting, params)
        self._params = list(self.model.parameters())
        self.averages = [each.detach().clone() for each in self._params]
        decays: dict[bool, list[torch.Tensor]] = {True: [], False: []}
        for name, values in self.model.named_parameters():
            decays[not name.rpartition(".")[-1].startswith(("bias", "position"))].append(values)
        groups = [
            {"params": decays[True], "weight_decay": self._config.weight_decay},
            {"params": decays[False], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, betas=(0.9, self._config.beta2), fused=True)

    def step(
        self, tokens: torch.Tensor, losses: torch.Tensor, timesteps: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """One step, as `train_step.step`.

        Args:
          tokens: [B, T, W], clean.
          losses: [B, K], standardised.
          timesteps: [B].
          noise: [B, T, W], zero where the layout's mask is.

        Returns:
          The denoising loss [].
        """
        left = self._alpha_bar[timesteps][:, None, None]  # [B, 1, 1]
        noisy = left.sqrt() * tokens + (1.0 - left).sqrt() * noise  # [B, T, W]
        with autocast(self._setting):
            output = self.model(noisy, timesteps, losses)  # [B, T, W]
        loss = (output.float() - tokens).square().sum() / (len(tokens) * self.model.mask.sum())
        self._adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._params, self._config.clip_norm)
        for group in self._adam.param_groups:
            group["lr"] = self._learning_rate()
        self._adam.step()
        decay = min(self._config.ema_decay, (1.0 + self._steps) / (10.0 + self._steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self._params, 1.0 - decay)
        self._steps += 1
        return loss.detach()

    def _learning_rate(self) -> float:
        peak, warmup = self._config.learning_rate, self._config.warmup_steps
        if self._steps < warmup:
            return peak * self._steps / warmup
        progress = (self._steps - warmup) / max(self._config.steps - warmup, 1)
        return peak * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def training(setting: Setting, steps: int) -> Work:
    """Trains on from where it was, on the batch of ours, with noise and timesteps of its own."""
    trainer = Trainer(setting, hypernetwork_work.start(setting).params)
    clean, condition = hypernetwork_work.batch(setting, setting.config.training.batch_size)
    tokens, losses = tensor(clean), tensor(condition.target)
    timesteps = setting.config.diffusion.timesteps

    def work() -> None:
        for _ in range(steps):
            times = torch.randint(timesteps, (len(tokens),), device=tokens.device)
            noise = torch.where(trainer.model.mask, torch.randn_like(tokens), 0.0)
            trainer.step(tokens, losses, times, noise)
        wait()

    return work


def sampling(setting: Setting) -> Work:
    """Samples one batch, up to its tokens: decoding, which ours does too, is a thousandth of the work."""
    model = build_model(setting, hypernetwork_work.perturbed(setting))
    clean, condition = hypernetwork_work.batch(setting, setting.config.sampling.batch_size)
    like, losses = tensor(clean), tensor(condition.target)

    def work() -> None:
        sample(setting, model, torch.randn_like(like), losses)
        wait()

    return work


def sample(setting: Setting, model: Transformer, noise: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """Tokens [N, T, W] from noise [N, T, W] and standardised losses [N, K] by deterministic DDIM, as `samplers.sample`."""
    levels = alpha_bar(setting).tolist()
    visited = samplers.visited(setting.config.diffusion.timesteps, setting.config.sampling).tolist()
    following = [levels[timestep] for timestep in visited[1:]] + [1.0]
    with torch.inference_mode(), autocast(setting):
        noisy = torch.where(model.mask, setting.config.sampling.temperature * noise, 0.0)
        for timestep, there in zip(visited, following, strict=True):
            here = levels[timestep]
            times = torch.full(noisy.shape[:1], timestep, device=noisy.device)  # [N]
            clean = model(noisy, times, losses).float()
            estimate = (noisy - math.sqrt(here) * clean) / math.sqrt(1.0 - here)  # of the noise
            noisy = math.sqrt(there) * clean + math.sqrt(1.0 - there) * estimate
    return noisy


def difference(setting: Setting, models: int) -> float:
    """Largest difference between outputs of ours and PyTorch's with the same parameters, on some noisy models, in full float32."""
    exact = setting.changed(dtype="float32")
    params = hypernetwork_work.perturbed(exact)
    noisy, condition = hypernetwork_work.batch(exact, models)
    times = jax.random.randint(exact.key("times"), (models,), 0, exact.config.diffusion.timesteps)
    with jax.default_matmul_precision("highest"):
        ours = jax.jit(exact.transformer.apply)(params, noisy, times, condition)
    model, before = build_model(exact, params), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    with torch.inference_mode():
        theirs = model(tensor(noisy), tensor(times), tensor(condition.target))
    torch.set_float32_matmul_precision(before)
    return float(np.abs(np.asarray(ours) - theirs.cpu().numpy()).max())


def build_model(setting: Setting, params: Params) -> Transformer:
    """PyTorch's transformer with our parameters, on the device."""
    model = Transformer(setting.config.hypernetwork, setting.layout, setting.num_losses)
    return load(model, params).to(device())


def alpha_bar(setting: Setting) -> torch.Tensor:
    """The forward process [timesteps], on the device."""
    return tensor(schedule.make(setting.config.diffusion).alpha_bar)


def autocast(setting: Setting) -> Any:
    """bfloat16 where the config has it."""
    enabled = setting.config.hypernetwork.dtype == "bfloat16"
    return torch.autocast(device(), torch.bfloat16, enabled=enabled)


def device() -> str:
    """The device that JAX uses, as PyTorch calls it."""
    return "cpu" if machine.is_cpu() else "cuda"


def tensor(values: jax.Array) -> torch.Tensor:
    """A copy of an array, on the device."""
    return torch.tensor(np.asarray(values), device=device())


def wait() -> None:
    """Returns once the device has nothing left to do."""
    if not machine.is_cpu():
        torch.cuda.synchronize()
