"""The transformer of DiHyFo-2 with adaLN-Zero in PyTorch, as one would write it there; parameters are named as ours, see `load`."""

import math
from collections import OrderedDict

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hyperforget_jax.config import HypernetworkConfig
from hyperforget_jax.diffusion.dit import LOWEST_FREQUENCY, MAX_PERIOD, TIMESTEP_FREQUENCIES, Params
from hyperforget_jax.weights.layout import TokenLayout


class Transformer(nn.Module):  # type: ignore[misc] # PyTorch is not there for mypy
    """Tokens in, tokens out; all parameters await `load`."""

    def __init__(self, config: HypernetworkConfig, layout: TokenLayout, num_losses: int) -> None:
        super().__init__()
        width, kinds, places = config.hidden_size, max(layout.kinds) + 1, max(layout.positions) + 1
        self.depth = config.depth
        self.time = embedder(2 * TIMESTEP_FREQUENCIES, width)
        self.losses = embedder(num_losses * (2 * config.frequencies + 2), width)
        self.project_in = nn.Parameter(torch.empty(kinds, layout.width, width))
        self.bias_in = nn.Parameter(torch.empty(kinds, width))
        self.position_in = nn.Parameter(torch.empty(places, width))
        for index in range(config.depth):
            self.add_module(f"block_{index}", Block(config))
        self.norm = layer_norm(width)
        self.modulation_out = nn.Linear(width, 2 * width)
        self.project_out = nn.Parameter(torch.empty(kinds, width, layout.width))
        self.bias_out = nn.Parameter(torch.empty(kinds, layout.width))
        exponents = torch.arange(TIMESTEP_FREQUENCIES) / TIMESTEP_FREQUENCIES
        frequencies = np.geomspace(LOWEST_FREQUENCY, config.max_frequency, config.frequencies)
        constants = {
            "mask": torch.tensor(layout.mask),
            "kinds": torch.tensor(layout.kinds),
            "positions": torch.tensor(layout.positions),
            "time_frequencies": MAX_PERIOD**-exponents,
            "loss_frequencies": torch.tensor(2.0 * math.pi * frequencies, dtype=torch.float32),
        }
        for name, values in constants.items():
            self.register_buffer(name, values, persistent=False)

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
        """Predicts the clean tokens [B, T, W] of noisy ones at timesteps [B], asked for standardised losses [B, K]."""
        angles = timesteps[:, None] * self.time_frequencies  # [B, 128]
        time = self.time(torch.cat([angles.cos(), angles.sin()], -1))  # [B, C]
        value = losses[..., None]  # [B, K, 1]
        angles = value * self.loss_frequencies  # [B, K, F]
        features = torch.cat([value, angles.sin(), angles.cos(), torch.ones_like(value)], -1)
        modulator = functional.silu(time + self.losses(features.flatten(1)))  # [B, C]
        x = torch.einsum("btw,twc->btc", noisy, self.project_in.index_select(0, self.kinds))
        x = x + self.bias_in.index_select(0, self.kinds) + self.position_in.index_select(0, self.positions)
        for index in range(self.depth):
            x = self.get_submodule(f"block_{index}")(x, modulator)  # [B, T, C]
        shift, scale = self.modulation_out(modulator)[:, None].chunk(2, -1)  # [B, 1, C] each
        x = self.norm(x) * (1.0 + scale) + shift
        x = torch.einsum("btc,tcw->btw", x, self.project_out.index_select(0, self.kinds))
        return torch.where(self.mask, x + self.bias_out.index_select(0, self.kinds), 0.0)  # [B, T, W]


class Block(nn.Module):  # type: ignore[misc] # PyTorch is not there for mypy
    """Attention and MLP, modulated and gated."""

    def __init__(self, config: HypernetworkConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.mlp_ratio * config.hidden_size
        self.heads = config.num_heads
        self.norm = layer_norm(width)
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_in = nn.Linear(width, inner)
        self.mlp_out = nn.Linear(inner, width)

    def forward(self, x: torch.Tensor, modulator: torch.Tensor) -> torch.Tensor:
        """One block: x [B, T, C], modulator [B, C]."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(modulator)[:, None].chunk(6, -1)
        qkv = self.qkv(self.norm(x) * (1.0 + scale_a) + shift_a)  # [B, T, 3 C]
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [B, heads, T, C / heads]
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # [B, T, C]
        x = x + gate_a * self.attention_out(attended)
        h = self.mlp_in(self.norm(x) * (1.0 + scale_m) + shift_m)  # [B, T, 4 C]
        return x + gate_m * self.mlp_out(functional.gelu(h, approximate="tanh"))


def embedder(features: int, width: int) -> nn.Sequential:
    """Two-layer MLP from features to the width."""
    layers = {"in": nn.Linear(features, width), "silu": nn.SiLU(), "out": nn.Linear(width, width)}
    return nn.Sequential(OrderedDict(layers))


def layer_norm(width: int) -> nn.LayerNorm:
    """Layer norm without learned scale or bias."""
    return nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)


def load(model: Transformer, params: Params) -> Transformer:
    """The model with our parameters; PyTorch refuses them (`RuntimeError`) if one is missing, too many or of another shape."""
    named = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *place, name = (part.key for part in path if part.key != "dense")
        values = torch.tensor(np.asarray(leaf))
        if name == "kernel":
            name, values = "weight", values.T
        named[".".join([*place, name])] = values
    model.load_state_dict(named, strict=True)
    return model
