"""The hypernetwork's transformer: a DiT over weight tokens (arXiv 2212.09748), conditioned by adaLN-Zero or by tokens.

The only module that imports flax; everything else sees `init(key)` and `apply(params, noisy, timesteps, condition)`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from hyperforget_jax.config import DiffusionConfig, HypernetworkConfig
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.weights.layout import TokenLayout

Params = Any
TIMESTEP_FREQUENCIES = 128
MAX_PERIOD = 10_000.0
LOWEST_FREQUENCY = 0.125


class Transformer(NamedTuple):
    """A model as two functions.

    Attributes:
      init: key -> parameters.
      apply: (parameters, noisy [B, T, W], timesteps [B], condition of B models) -> [B, T, W].
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[[Params, jax.Array, jax.Array, Condition], jax.Array]


def make(
    config: HypernetworkConfig, diffusion: DiffusionConfig, layout: TokenLayout, columns: int, num_losses: int
) -> Transformer:
    """The transformer for one token layout.

    DiHyFo-1 that predicts x_0 adds the tokens it starts from to its output, so at initialisation it returns them; any other
    transformer returns zero.

    Args:
      config: kind and size.
      diffusion: what is predicted.
      layout: of the tokens.
      columns: C, those of a condition.
      num_losses: M, the columns that are losses.
    """
    module = DiT(config, layout)
    tokens = jnp.zeros((1, layout.num_tokens, layout.width), jnp.float32)
    target, current = (jnp.zeros((1, count), jnp.float32) for count in (columns, num_losses))
    updates = config.kind == "dihyfo1"
    residual = diffusion.prediction == "x0"
    example = Condition(target, target, current if updates else None, tokens if updates else None)

    def init(key: jax.Array) -> Params:
        return module.init(key, tokens, jnp.zeros(1, jnp.int32), example)["params"]

    def apply(params: Params, noisy: jax.Array, timesteps: jax.Array, condition: Condition) -> jax.Array:
        output = cast(jax.Array, module.apply({"params": params}, noisy, timesteps, condition))
        return output + condition.start if residual and condition.start is not None else output

    return Transformer(init, apply)


class DiT(nn.Module):
    """Tokens in, tokens out."""

    config: HypernetworkConfig
    layout: TokenLayout

    @nn.compact
    def __call__(self, noisy: jax.Array, timesteps: jax.Array, condition: Condition) -> jax.Array:
        """Predicts the diffusion target.

        Args:
          noisy: [B, T, W], noised tokens, zero where the layout's mask is.
          timesteps: [B], integers.
          condition: of the B models.
        """
        config, layout = self.config, self.layout
        time = Embedder(config, name="time")(timestep_features(timesteps))  # [B, C]
        losses = self._loss_features(condition)  # [B, C or C + 2 M, 2 F + 2]
        x = self._embed(noisy, "in")  # [B, T, C]
        start = None if condition.start is None else self._embed(condition.start, "start")  # [B, T, C]
        if start is not None:
            x = x + start  # place by place, since units of one kind have no position to be found by
        if config.conditioning == "adaln":
            encoded = Embedder(config, name="losses")(losses.reshape(len(losses), -1))  # [B, C]
            modulator = nn.silu(time + encoded)  # [B, C]
        else:
            modulator = None
            encoded = Embedder(config, name="losses")(losses) + self._position("losses", losses.shape[1])
            x = jnp.concatenate(
                [x, *([] if start is None else [start]), encoded, time[:, None]], axis=1
            )  # [B, T or 2 T + columns + 1, C]
        for index in range(config.depth):
            block = nn.remat(Block) if config.remat else Block
            x = block(config, name=f"block_{index}")(x, modulator)
        shift, scale = Modulation(2, config, name="modulation_out")(modulator)  # [B, 1, C] each
        x = modulate(_norm(x[:, : layout.num_tokens]), shift, scale)  # [B, T, C]
        kinds = jnp.array(layout.kinds)
        shape = (max(layout.kinds) + 1, config.hidden_size, layout.width)
        project_out = self.param("project_out", nn.initializers.zeros, shape)
        bias_out = self.param("bias_out", nn.initializers.zeros, (shape[0], shape[2]))
        x = _per_kind(x.astype(jnp.float32), project_out, layout.kinds) + bias_out[kinds][None]
        return jnp.where(layout.mask[None], x, 0.0)  # [B, T, W]

    def _embed(self, tokens: jax.Array, name: str) -> jax.Array:
        """Per-kind projections and learned positions of weight tokens: [B, T, W] to [B, T, C]."""
        config, layout = self.config, self.layout
        kinds, positions = jnp.array(layout.kinds), jnp.array(layout.positions)
        shape = (max(layout.kinds) + 1, layout.width, config.hidden_size)
        project = self.param(f"project_{name}", _lecun, shape)
        bias = self.param(f"bias_{name}", nn.initializers.zeros, (shape[0], config.hidden_size))
        position = self.param(
            f"position_{name}", nn.initializers.zeros, (max(layout.positions) + 1, config.hidden_size)
        )
        x = _per_kind(tokens, project, layout.kinds)  # [B, T, C]
        return (x + (bias[kinds] + position[positions])[None]).astype(config.dtype)

    def _position(self, name: str, count: int) -> jax.Array:
        shape = (count, self.config.hidden_size)
        return self.param(f"position_{name}", nn.initializers.zeros, shape).astype(self.config.dtype)[None]

    def _loss_features(self, condition: Condition) -> jax.Array:
        """Frequency-based encoder (section 3) of each column, and whether it is asked for.

        [B, C, 2 F + 2] of the targets; for DiHyFo-1 [B, C + 2 M, 2 F + 2]: targets, current losses, and the losses' differences.
        """
        config, groups = self.config, [(condition.target, condition.asked)]
        if (current := condition.current) is not None:
            target, asked = (each[:, : current.shape[1]] for each in groups[0])  # [B, M]
            groups += [(current, jnp.ones_like(current)), ((target - current) * asked, asked)]
        values, asked = (jnp.concatenate(each, axis=1) for each in zip(*groups, strict=True))  # [B, C or C + 2 M]
        frequencies = jnp.geomspace(LOWEST_FREQUENCY, config.max_frequency, config.frequencies)  # [F]
        angles = 2.0 * jnp.pi * values[..., None] * frequencies[None, None]
        parts = [values[..., None], jnp.sin(angles), jnp.cos(angles)]
        features = jnp.concatenate(parts, axis=-1) * asked[..., None]
        return jnp.concatenate([features, asked[..., None]], axis=-1)


class Block(nn.Module):
    """Attention and MLP; modulated and gated by a condition (adaLN-Zero), or plain pre-norm without one."""

    config: HypernetworkConfig

    @nn.compact
    def __call__(self, x: jax.Array, modulator: jax.Array | None) -> jax.Array:
        """One block: x [B, T, C], modulator [B, C] or None."""
        config = self.config
        width, heads = config.hidden_size, config.num_heads
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = Modulation(6, config, name="modulation")(modulator)
        h = modulate(_norm(x), shift_a, scale_a)  # [B, T, C]
        qkv = _dense(h, 3 * width, config, "qkv")  # [B, T, 3 C]
        q, k, v = jnp.moveaxis(qkv.reshape(*h.shape[:2], 3, heads, -1), 2, 0)  # [B, T, heads, C / heads] each
        with jax.numpy_dtype_promotion("standard"):  # its softmax raises bfloat16 to float32
            attended = jax.nn.dot_product_attention(q, k, v).reshape(h.shape)  # [B, T, C]
        x = x + gate_a * _dense(attended, width, config, "attention_out")  # [B, T, C]
        h = modulate(_norm(x), shift_m, scale_m)  # [B, T, C]
        h = nn.gelu(_dense(h, config.mlp_ratio * width, config, "mlp_in"))  # [B, T, 4 C]
        return x + gate_m * _dense(h, width, config, "mlp_out")  # [B, T, C]


class Embedder(nn.Module):
    """Two-layer MLP from features [..., F] to [..., C]."""

    config: HypernetworkConfig

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Embeds features."""
        config = self.config
        hidden = nn.Dense(config.hidden_size, kernel_init=_small, dtype=config.dtype, name="in")(features)
        return nn.Dense(config.hidden_size, kernel_init=_small, dtype=config.dtype, name="out")(nn.silu(hidden))


class Modulation(nn.Module):
    """Shift, scale (and gate) for a branch, once (2) or twice (6).

    With a condition [B, C]: arrays [B, 1, C], all zero at initialisation. Without: learned constants, the gates 1.
    """

    count: int
    config: HypernetworkConfig

    @nn.compact
    def __call__(self, condition: jax.Array | None) -> list[jax.Array]:
        """Projects the condition."""
        config, size = self.config, self.count * self.config.hidden_size
        if condition is not None:
            dense = nn.Dense(size, kernel_init=nn.initializers.zeros, dtype=config.dtype, name="dense")
            return jnp.split(dense(condition)[:, None], self.count, axis=-1)
        gates = jnp.array([index % 3 == 2 for index in range(self.count)], jnp.float32)
        start = jnp.repeat(gates, config.hidden_size)
        constants = self.param("constants", lambda _key: start).astype(config.dtype)
        return jnp.split(constants[None, None], self.count, axis=-1)


def timestep_features(timesteps: jax.Array) -> jax.Array:
    """Sines and cosines of integer timesteps [B]: [B, 256] (arXiv 1706.03762)."""
    exponents = jnp.arange(TIMESTEP_FREQUENCIES, dtype=jnp.float32) / TIMESTEP_FREQUENCIES
    angles = timesteps.astype(jnp.float32)[:, None] * (MAX_PERIOD ** (-exponents))[None]  # [B, 128]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)  # [B, 256]


def modulate(x: jax.Array, shift: jax.Array, scale: jax.Array) -> jax.Array:
    """x (1 + scale) + shift."""
    return x * (1.0 + scale) + shift


def _per_kind(x: jax.Array, matrices: jax.Array, kinds: tuple[int, ...]) -> jax.Array:
    """Every token times its kind's matrix: [B, T, A] by [kinds, A, C] -> [B, T, C].

    Neighbours of one kind share a product over their rows; where all kinds differ (raw tokens) one batched product is faster.
    """
    firsts = [position for position, kind in enumerate(kinds) if position == 0 or kinds[position - 1] != kind]
    if len(firsts) == len(kinds):
        return jnp.einsum("bta,tac->btc", x, matrices[jnp.array(kinds)])
    spans = pairwise([*firsts, len(kinds)])
    parts = [x[:, start:stop].reshape(-1, x.shape[2]) @ matrices[kinds[start]] for start, stop in spans]
    return jnp.concatenate([part.reshape(len(x), -1, matrices.shape[2]) for part in parts], axis=1)


def _dense(x: jax.Array, width: int, config: HypernetworkConfig, name: str) -> jax.Array:
    """A dense layer [B, T, C] -> [B, T, width] as one matrix product over B T rows, which XLA differentiates into two more."""
    layer = nn.Dense(width, kernel_init=_xavier, dtype=config.dtype, name=name)
    return layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], width)


def _norm(x: jax.Array) -> jax.Array:
    """Layer norm in float32, without learned scale or bias: the modulation brings both."""
    norm = nn.LayerNorm(use_bias=False, use_scale=False, epsilon=1e-6)
    return norm(x.astype(jnp.float32)).astype(x.dtype)


_xavier = nn.initializers.xavier_uniform()
_small = nn.initializers.normal(0.02)
_lecun = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", in_axis=-2, out_axis=-1, batch_axis=(0,))
