"""Floating-point operations of the model's products: 2 for a multiply and its add. Everything else counts as nothing."""

from itertools import pairwise

from hyperforget_jax.config import HypernetworkConfig
from hyperforget_jax.diffusion.dit import TIMESTEP_FREQUENCIES
from hyperforget_jax.weights.layout import TokenLayout


def step(sizes: tuple[int, ...], batch_size: int) -> int:
    """FLOPs of one training step of one model.

    Layer 1 has a forward product and one for its weights' gradient, every deeper layer a third for the gradient of its input.

    Args:
      sizes: width of every layer.
      batch_size: B.
    """
    first, *deeper = (fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    return batch_size * (4 * first + 6 * sum(deeper))


def scoring(sizes: tuple[int, ...], images: int) -> int:
    """FLOPs of one model's forward pass on some images."""
    return 2 * images * sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))


def transformer(config: HypernetworkConfig, layout: TokenLayout, num_losses: int) -> int:
    """FLOPs of a hypernetwork's forward pass for one classifier; a training step counts three of them per classifier.

    With hidden size C and N tokens in the blocks, each block has
      (8 + 4 mlp_ratio) C^2 a token: queries, keys and values, attention's output, MLP in, MLP out; 24 C^2 at a ratio of 4,
      4 N C a token: attention's scores and their product with the values,
      12 C^2: the modulation (adaln).
    Embedders and projections are counted too. Backward is taken as twice the forward, although the first layers need no gradient of
    their input; what rematerialisation computes again does not count.

    Args:
      config: kind and size.
      layout: of the T weight tokens, W coordinates each. N is T with adaln; with tokens also those of the losses and of the
        timestep, and the start's T for DiHyFo-1.
      num_losses: K, losses in a condition; DiHyFo-1 sees 3 K: targets, current ones, differences.
    """
    width, updates, adaln = config.hidden_size, config.kind == "dihyfo1", config.conditioning == "adaln"
    weights, conditions = (1 + updates) * layout.num_tokens, (1 + 2 * updates) * num_losses
    features = 2 * config.frequencies + 2
    tokens = layout.num_tokens if adaln else weights + conditions + 1
    block = tokens * ((8 + 4 * config.mlp_ratio) * width**2 + 4 * tokens * width)
    time = embedder(2 * TIMESTEP_FREQUENCIES, width)
    losses = embedder(conditions * features, width) if adaln else conditions * embedder(features, width)
    modulation = adaln * (config.depth * 12 + 4) * width**2
    projections = 2 * (weights + layout.num_tokens) * layout.width * width
    return config.depth * block + modulation + time + losses + projections


def embedder(features: int, width: int) -> int:
    """FLOPs of a two-layer MLP on one vector of features."""
    return 2 * width * (features + width)
