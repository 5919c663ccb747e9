"""The hypernetwork's transformer: a DiT over weight tokens with adaLN-Zero conditioning (arXiv 2212.09748).

The only module that imports flax; everything else sees `init(key)` and `apply(params, noisy, timesteps, conditions)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from hyperforget_jax.config import HypernetworkConfig
from hyperforget_jax.weights.layout import TokenLayout

Params = Any
TIMESTEP_FREQUENCIES = 128
MAX_PERIOD = 10_000.0
LOWEST_FREQUENCY = 0.125


class Transformer(NamedTuple):
    """A network as two functions.

    Attributes:
      init: key -> parameters.
      apply: (parameters, noisy [B, T, W], timesteps [B], conditions [B, K]) -> [B, T, W].
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[[Params, jax.Array, jax.Array, jax.Array], jax.Array]


def make(config: HypernetworkConfig, layout: TokenLayout, num_classes: int) -> Transformer:
    """The transformer for one token layout and K class losses; at initialisation its output is zero."""
    module = DiT(config, layout)
    shape = (1, layout.num_tokens, layout.width)

    def init(key: jax.Array) -> Params:
        example = (
            jnp.zeros(shape, jnp.float32),
            jnp.zeros(1, jnp.int32),
            jnp.zeros((1, num_classes), jnp.float32),
        )
        return module.init(key, *example)["params"]

    def apply(params: Params, noisy: jax.Array, timesteps: jax.Array, conditions: jax.Array) -> jax.Array:
        return cast(jax.Array, module.apply({"params": params}, noisy, timesteps, conditions))

    return Transformer(init, apply)


class DiT(nn.Module):
    """Tokens in, tokens out; every block is modulated by timestep and class losses."""

    config: HypernetworkConfig
    layout: TokenLayout

    @nn.compact
    def __call__(self, noisy: jax.Array, timesteps: jax.Array, conditions: jax.Array) -> jax.Array:
        """Predicts the diffusion target.

        Args:
          noisy: [B, T, W], noised tokens, zero where the layout's mask is.
          timesteps: [B], integers.
          conditions: [B, K], standardised log losses.
        """
        config, layout = self.config, self.layout
        kinds, positions = jnp.array(layout.kinds), jnp.array(layout.positions)
        num_kinds, num_positions = max(layout.kinds) + 1, max(layout.positions) + 1
        project_in = self.param("project_in", _lecun, (num_kinds, layout.width, config.width))
        bias_in = self.param("bias_in", nn.initializers.zeros, (num_kinds, config.width))
        position = self.param("position", nn.initializers.zeros, (num_positions, config.width))
        project_out = self.param(
            "project_out", nn.initializers.zeros, (num_kinds, config.width, layout.width)
        )
        bias_out = self.param("bias_out", nn.initializers.zeros, (num_kinds, layout.width))

        time = Embedder(config.width, name="time")(timestep_features(timesteps))  # [B, C]
        losses = Embedder(config.width, name="losses")(self._loss_features(conditions))  # [B, C]
        condition = nn.silu(time + losses)  # [B, C]
        x = jnp.einsum("btw,twc->btc", noisy, project_in[kinds])  # [B, T, C]
        x = x + (bias_in[kinds] + position[positions])[None]  # [B, T, C]
        for index in range(config.depth):
            x = Block(config, name=f"block_{index}")(x, condition)  # [B, T, C]
        shift, scale = Modulation(2, config.width, name="modulation_out")(condition)  # [B, 1, C] each
        x = modulate(_norm(x), shift, scale)  # [B, T, C]
        x = jnp.einsum("btc,tcw->btw", x, project_out[kinds]) + bias_out[kinds][None]  # [B, T, W]
        return jnp.where(layout.mask[None], x, 0.0)  # [B, T, W]

    def _loss_features(self, conditions: jax.Array) -> jax.Array:
        """Frequency-based encoder of the class losses (section 3): [B, K] to [B, K * (2 F + 1)]."""
        config = self.config
        frequencies = jnp.geomspace(LOWEST_FREQUENCY, config.max_frequency, config.frequencies)  # [F]
        angles = 2.0 * jnp.pi * conditions[..., None] * frequencies[None, None]  # [B, K, F]
        features = jnp.concatenate([conditions[..., None], jnp.sin(angles), jnp.cos(angles)], axis=-1)
        return features.reshape(conditions.shape[0], -1)  # [B, K * (2 F + 1)]


class Block(nn.Module):
    """Attention and MLP, each gated; both gates are zero at initialisation (adaLN-Zero)."""

    config: HypernetworkConfig

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        """One block: x [B, T, C], condition [B, C]."""
        width, heads = self.config.width, self.config.heads
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = Modulation(6, width, name="modulation")(
            condition
        )
        h = modulate(_norm(x), shift_a, scale_a)  # [B, T, C]
        qkv = nn.Dense(3 * width, kernel_init=_xavier, name="qkv")(h)  # [B, T, 3 C]
        q, k, v = jnp.moveaxis(qkv.reshape(*h.shape[:2], 3, heads, -1), 2, 0)  # [B, T, heads, C / heads] each
        attended = jax.nn.dot_product_attention(q, k, v).reshape(h.shape)  # [B, T, C]
        x = x + gate_a * nn.Dense(width, kernel_init=_xavier, name="attention_out")(attended)  # [B, T, C]
        h = modulate(_norm(x), shift_m, scale_m)  # [B, T, C]
        h = nn.Dense(self.config.mlp_ratio * width, kernel_init=_xavier, name="mlp_in")(
            h
        )  # [B, T, mlp_ratio * C]
        return x + gate_m * nn.Dense(width, kernel_init=_xavier, name="mlp_out")(nn.gelu(h))  # [B, T, C]


class Embedder(nn.Module):
    """Two-layer MLP from features [B, F] to [B, C]."""

    width: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Embeds features."""
        hidden = nn.silu(nn.Dense(self.width, kernel_init=_small, name="in")(features))  # [B, C]
        return nn.Dense(self.width, kernel_init=_small, name="out")(hidden)  # [B, C]


class Modulation(nn.Module):
    """`count` arrays [B, 1, C] from the condition [B, C]; all zero at initialisation."""

    count: int
    width: int

    @nn.compact
    def __call__(self, condition: jax.Array) -> list[jax.Array]:
        """Projects the condition."""
        dense = nn.Dense(self.count * self.width, kernel_init=nn.initializers.zeros, name="dense")
        return jnp.split(dense(condition)[:, None], self.count, axis=-1)


def timestep_features(timesteps: jax.Array) -> jax.Array:
    """Sines and cosines of integer timesteps [B]: [B, 256] (arXiv 1706.03762)."""
    exponents = jnp.arange(TIMESTEP_FREQUENCIES, dtype=jnp.float32) / TIMESTEP_FREQUENCIES
    angles = timesteps.astype(jnp.float32)[:, None] * (MAX_PERIOD ** (-exponents))[None]  # [B, 128]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)  # [B, 256]


def modulate(x: jax.Array, shift: jax.Array, scale: jax.Array) -> jax.Array:
    """x (1 + scale) + shift."""
    return x * (1.0 + scale) + shift


def _norm(x: jax.Array) -> jax.Array:
    """Layer norm without learned scale or bias: the modulation brings both."""
    return nn.LayerNorm(use_bias=False, use_scale=False, epsilon=1e-6)(x)


_xavier = nn.initializers.xavier_uniform()
_small = nn.initializers.normal(0.02)
_lecun = nn.initializers.variance_scaling(
    1.0, "fan_in", "truncated_normal", in_axis=-2, out_axis=-1, batch_axis=(0,)
)
