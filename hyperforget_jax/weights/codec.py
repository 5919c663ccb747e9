"""The two codecs: a model to tokens and back, written for one model; callers `vmap`.

`Functional` removes every symmetry of the classifier before learning (see `symmetry`, `basis`); `Raw` is the paper's: each tensor
flattened and cut into chunks (section 3). Both are fitted on the zoo's training split and saved beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import CodecConfig
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights import basis, symmetry
from hyperforget_jax.weights.layout import TokenLayout, pad, shapes
from hyperforget_jax.weights.raw import Raw
from hyperforget_jax.weights.tail import Tail

Array = np.ndarray[Any, np.dtype[np.float32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Labels = np.ndarray[Any, np.dtype[np.int32]]

TAIL = "tail_"
"""How the names of the tail's arrays start in a file."""
FITTED_ON = 16_384
"""Most models that a codec is fitted on: means and mean squares over them are known to about 1%, and for 784-7-10 they take 3 GiB."""


@dataclass(frozen=True)
class Functional:
    """Neuron tokens: one per hidden unit, one for the output bias.

    The token of a unit is its incoming code, and for the last hidden layer its outgoing weights as well. The gauge is fixed so
    that equal functions get equal tokens: outgoing weights and output bias are centred over the classes; in the last hidden layer
    |incoming| = |outgoing|, so that an error of either weighs alike in the logits; in earlier layers |incoming| = 1 and
    the units are sorted by their first coordinate. Units of the last hidden layer share one position: the transformer
    treats them as a set.

    A complete codec drops no symmetry: outputs are not centred, and the token of a unit has one further part, the logarithm of the factor
    that brought it into the gauge. What input weights have along directions that the code drops is drawn when a model is made, given
    the unit and what was seen (see `tail`).

    Attributes:
      sizes: width of every layer.
      first: the code of input weights and biases of the first layer.
      mean: [T, W], subtracted; the same for all units of a layer.
      scale: [T, 1], divided by, or [T, W] in a complete codec; the same for all units of a layer.
      seen: [K, D], the pixels that are not 0 in every image of a class; None: what is dropped stays dropped.
      tail: what input weights have along the directions that `first` drops; None: nothing.
    """

    sizes: tuple[int, ...]
    first: basis.Basis
    mean: Array
    scale: Array
    seen: Flags | None = None
    tail: Tail | None = None

    @property
    def complete(self) -> bool:
        """Whether decoding puts back what has no effect on the training images."""
        return self.seen is not None

    @property
    def layout(self) -> TokenLayout:
        """Kinds: the hidden layers, then the output bias."""
        hidden = self.sizes[1:-1]
        widths = [self._incoming_width(index) for index in range(len(hidden))]
        widths[-1] += self.sizes[-1]
        if self.complete:
            widths = [width + 1 for width in widths]
        kinds = [kind for kind, units in enumerate(hidden) for _ in range(units)] + [len(hidden)]
        lengths = [*(widths[kind] for kind in kinds[:-1]), self.sizes[-1]]
        interchangeable = hidden[-1]
        ranked = sum(hidden) - interchangeable
        return TokenLayout(
            mask=np.arange(max(lengths))[None, :] < np.array(lengths)[:, None],
            kinds=tuple(kinds),
            positions=(*range(ranked), *(ranked for _ in range(interchangeable)), ranked + 1),
        )

    def encode(self, params: Params, like: Params | None = None) -> jax.Array:
        """Tokens [T, W] of one model.

        Args:
          params: the model.
          like: another model of the same run, whose units say the order in earlier layers, so that the tokens of both
            correspond; None: its own units do.
        """
        standard = (self._tokens(params, params if like is None else like) - self.mean) / self.scale
        return jnp.where(self.layout.mask, standard, 0.0)

    def decode(self, tokens: jax.Array) -> Params:
        """The model of tokens [T, W], in the gauge described above; of a complete codec in its own, its still pixels' weights 0."""
        values = tokens * self.scale + self.mean  # [T, W]
        layers, further, start = [], [], 0
        hidden, num_classes = len(self.sizes) - 2, self.sizes[-1]
        for index, units in enumerate(self.sizes[1:-1]):
            rows, width = values[start : start + units], self._incoming_width(index)  # [H, W]
            incoming = rows[:, :width] @ self.first.decode.T if index == 0 else rows[:, :width]  # [H, fan_in + 1]
            layers.append({"w": incoming[:, :-1], "b": incoming[:, -1]})
            if index == hidden - 1:
                outgoing, width = rows[:, width : width + num_classes], width + num_classes
            further.append(rows[:, width:])
            start += units
        params: Params = (*layers, {"w": outgoing.T, "b": values[-1, :num_classes]})
        if not self.complete:
            return params
        for index, columns in enumerate(further):
            params = symmetry.rescale(params, index, jnp.exp(-columns[:, 0]))
        return params

    def fill(self, key: jax.Array, params: Params, exposed: jax.Array) -> Params:
        """A decoded model with what its tokens do not tell: its tail, and weights as training finds them at still pixels.

        Args:
          key: a typed key.
          params: one model, from a complete codec; of any other it comes back as it is.
          exposed: [K] bool, the classes that the model has seen; a pixel that is 0 in all their images is still.
        """
        if self.seen is None:
            return params
        order_key, init_key = jax.random.split(key)
        if self.tail is not None:
            further = self.tail.draw(jax.random.fold_in(key, 2), params, self.first, exposed)  # [H, D + 1]
            first, *others = params
            params = ({"w": first["w"] + further[:, :-1], "b": first["b"] + further[:, -1]}, *others)
        still = ~(jnp.asarray(self.seen) & exposed[:, None]).any(0)  # [D]
        first, *others = params
        initial = classifier.initial_weights(init_key, *first["w"].shape)  # [H, D]
        params = ({"w": jnp.where(still[None], initial, first["w"]), "b": first["b"]}, *others)
        # units of earlier layers were sorted; those of the last are in random order already
        return symmetry.random_permutation(order_key, params) if len(self.sizes) > 3 else params

    def augment(self, key: jax.Array, tokens: jax.Array) -> jax.Array:
        """The tokens as they are: no symmetry is left to augment."""
        del key
        return tokens

    def _tokens(self, params: Params, like: Params) -> jax.Array:
        """Tokens [T, W] before standardisation, in the fixed gauge; `like` orders the units of earlier layers."""
        if not self.complete:
            params = symmetry.centre(params)
        hidden = len(params) - 1
        rows: list[jax.Array] = []
        for index in range(hidden):
            norms = jnp.linalg.norm(self._incoming(params, index), axis=1)  # [H]
            if index < hidden - 1:
                factors = symmetry.safe_ratio(jnp.ones_like(norms), norms)  # [H]
                params = symmetry.rescale(params, index, factors)
                like_norms = jnp.linalg.norm(self._incoming(like, index), axis=1)  # [H]
                like = symmetry.normalise(like, index, like_norms)
                order = jnp.argsort(self._incoming(like, index)[:, 0])  # [H]
                params, like = (symmetry.permute(each, index, order) for each in (params, like))
                factors, codes = factors[order], self._incoming(params, index)
            else:
                factors = symmetry.balancing(params, norms)  # [H]
                params = symmetry.rescale(params, index, factors)
                codes = jnp.concatenate([self._incoming(params, index), params[-1]["w"].T], axis=1)
            if self.complete:
                codes = jnp.concatenate([codes, jnp.log(factors)[:, None]], axis=1)
            rows += list(codes)
        return pad([*rows, params[-1]["b"]], self.layout.width)

    def _incoming(self, params: Params, index: int) -> jax.Array:
        """Incoming codes of one hidden layer: [H, K] for the first, [H, units before + 1] after."""
        extended = basis.extended(params[index])  # [H, fan_in + 1]
        return extended @ self.first.encode.T if index == 0 else extended

    def _incoming_width(self, index: int) -> int:
        return self.first.size if index == 0 else self.sizes[index] + 1


Codec = Functional | Raw


def fit(config: CodecConfig, sizes: Sequence[int], models: Params, images: Array, labels: Labels) -> Codec:
    """A codec for classifiers of one shape.

    Args:
      config: kind and sizes.
      sizes: width of every layer.
      models: R stacked models, from the zoo's training split.
      images: [N, D], the training images (not for raw).
      labels: [N], output positions of their classes (complete only).

    Returns:
      The codec, standardised so that the tokens of `models` have unit mean square per kind of token (raw: per tensor; complete:
      nearer to unit mean square per coordinate, as far as `whitening` says, and per coordinate for logarithms of factors). It has no
      tail yet (see `tail.fit`).
    """
    sizes = tuple(sizes)
    if config.kind == "raw":
        plain_raw = Raw(sizes, config.chunk_size, np.ones((1, 1), np.float32))
        sources = [
            i for i, shape in enumerate(shapes(sizes)) for _ in range(-(-int(np.prod(shape)) // config.chunk_size))
        ]
        tokens = np.asarray(jax.jit(jax.vmap(plain_raw.encode))(models), np.float64)
        return Raw(sizes, config.chunk_size, _scale(tokens, plain_raw.layout.mask, sources))
    none, one = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    first, seen = basis.fit(images, config.basis_size), None
    if config.kind == "complete":
        seen = np.stack([images[labels == label].any(0) for label in range(sizes[-1])])  # [K, D]
        lit = np.append(seen.any(0), True)  # [D + 1]; rounding leaves a trace at still pixels
        first = basis.Basis(first.encode * lit, first.decode * lit[:, None])
    plain = Functional(sizes, first, none, one, seen)
    tokens = np.asarray(jax.jit(jax.vmap(plain.encode))(models), np.float64)  # [R, T, W]
    kinds = np.array(plain.layout.kinds)
    means = np.stack([tokens[:, kinds == kind].mean((0, 1)) for kind in kinds])  # [T, W]
    centred = tokens - means
    mask = plain.layout.mask
    scale = _whitened(centred, mask, kinds, config.whitening) if plain.complete else _scale(centred, mask, list(kinds))
    return replace(plain, mean=means.astype(np.float32), scale=scale)


def save(codec: Codec, folder: Path) -> None:
    """Writes the codec's arrays as `codec.safetensors` into a folder; its kind is told by the names in it."""
    arrays: dict[str, Any] = {"sizes": np.array(codec.sizes), "scale": codec.scale}
    if isinstance(codec, Raw):
        arrays["chunk_size"] = np.array(codec.chunk_size)
    else:
        arrays |= {"mean": codec.mean} | vars(codec.first)
        if codec.seen is not None:
            arrays["seen"] = codec.seen
        if codec.tail is not None:
            arrays |= {TAIL + name: values for name, values in vars(codec.tail).items()}
    artifacts.write_arrays(folder / "codec.safetensors", arrays)


def load(folder: Path) -> Codec:
    """Reads what `save` wrote."""
    arrays = artifacts.read_arrays(folder / "codec.safetensors")
    sizes = tuple(int(size) for size in arrays["sizes"])
    if "chunk_size" in arrays:
        return Raw(sizes, int(arrays["chunk_size"]), arrays["scale"])
    first = basis.Basis(arrays["encode"], arrays["decode"])
    parts = {name.removeprefix(TAIL): values for name, values in arrays.items() if name.startswith(TAIL)}
    return Functional(
        sizes, first, arrays["mean"], arrays["scale"], arrays.get("seen"), Tail(**parts) if parts else None
    )


def _whitened(tokens: np.ndarray[Any, Any], mask: Flags, kinds: np.ndarray[Any, Any], share: float) -> Array:
    """Scales [T, W] between that of the kind of token (share 0) and that of each coordinate (1): geometric means, unit mean square.

    The last coordinate of a unit, the logarithm of its factor, has its own.
    """
    own = np.stack([np.sqrt(np.square(tokens[:, kinds == kind]).mean((0, 1))) for kind in kinds])  # [T, W]
    own = np.maximum(own, 1e-6)
    factors = mask & ~np.roll(mask, -1, axis=1) & (kinds < kinds[-1])[:, None]  # [T, W]
    weights = mask & ~factors
    scale = _scale(tokens, weights, list(kinds)) ** (1.0 - share) * own**share  # [T, W]
    squares = np.where(weights, np.square(own / scale), 0.0).sum(1, keepdims=True) / weights.sum(
        1, keepdims=True
    )  # [T, 1]
    found: Array = np.where(weights, scale * np.sqrt(squares), own).astype(np.float32)
    return found


def _scale(tokens: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], groups: list[int]) -> Array:
    """Root mean square [T, 1] over the existing coordinates of each group of tokens."""
    squares = np.where(mask, tokens**2, 0.0).mean(0).sum(1)  # [T]
    group = np.array(groups)
    rms = [np.sqrt(squares[group == g].sum() / mask[group == g].sum()) for g in group]
    return np.maximum(np.array(rms), 1e-6).astype(np.float32)[:, None]
