"""What the explorer and the certificate of a small model show, with texts that are no plain words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.data.source import Preprocessing
from hyperforget_jax.report.explorer import Group, Shown

SIZES, SHAPE = (12, 5, 3), (3, 4)


def stacked(seed: int, count: int) -> Params:
    """Models with biases, of very different sizes of weights: float16 has normal and subnormal numbers among them."""
    made = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(seed), count))
    sizes = jnp.array([1.0, 1e-3, 30.0])[:, None]
    return tuple({"w": layer["w"] * sizes[:count, :, None], "b": layer["b"] + sizes[:count] / 7} for layer in made)


def small_explorer() -> Shown:
    """Two forget sets of three classes; inputs are shifted and scaled."""
    rng = np.random.default_rng(0)
    share = np.full(3, 1 / 3)
    groups = tuple(
        Group(
            forget,
            stacked(seed, 3),
            stacked(seed + 1, 2),
            share,
            share,
            np.array([np.nan, 1.0, 2.0]),
            share,
            share,
            share,
        )
        for seed, forget in ((1, (7,)), (5, (7, 9)))
    )
    preprocessing = Preprocessing(16, rng.uniform(size=12), rng.uniform(0.5, 2, size=12))
    names = ("</script><b>x", 'a"b', "plain")
    images, labels = rng.normal(size=(4, 12)).astype(np.float32), np.array([0, 1, 2, 2])
    about = ("<i>data</i>", (5, 7, 9), names, SHAPE, SIZES, preprocessing, (5,), ())
    return Shown(*about, images, labels, stacked(9, 1), share, groups)


def small_certificate() -> dict[str, Any]:
    """A certificate of a model that forgets a purged class and others, with what is left out and what was required."""
    accuracy = {"images": 10, "value": 0.5, "low": 0.3, "high": 0.7, "reference": 0.5}
    accuracy |= {"reference_low": 0.4, "reference_high": 0.6}
    lines = (("retain_accuracy", None, "inside"), ("forget_accuracy", None, "above"), ("class_accuracy", 2, "below"))
    attack = {"attack": "c2st", "value": 0.7, "reference": 0.5, "low": 0.4, "high": 0.6}
    return {
        "date": "2026-11-27T10:00:00+00:00",
        "command": "hyperforget unlearn runs/a --forget 2",
        "request": {
            "forget": [2],
            "forgotten": [2, 3],
            "earlier_requests": [3],
            "prompts": "drawn",
            "samples": 8,
            "selected": 2,
            "seed": 0,
            "row": 1,
            "from": {"file": "model.safetensors", "sha256": "a" * 64},
        },
        "asked_of_the_hypernetwork": {"losses": {"2": None, "3": 4.0}, "exposures": {"2": 0.0, "3": 1.0}, "age": 1.0},
        "run": {
            "folder": "runs/a",
            "method": "dihyfo1",
            "files": {"config.json": "b" * 64},
            "zoo": {"runs": 9, "never_saw_the_classes": 3},
        },
        "data": {"name": "digits4", "classes": [0, 1, 2, 3]},
        "measures": {
            "accuracies": [
                {**accuracy, "metric": metric, "class": label, "position": position}
                for metric, label, position in lines
            ],
            "attacks": [{**attack, "position": "above", "of": "all samples"}],
            "left_out": ["membership: nothing to ask about"],
            "reference_models": 64,
        },
        "thresholds": [{"threshold": "max_c2st", "limit": 0.8, "reached": 0.7, "met": True}],
        "guarantee": {"purged": [3], "scrubbed": [2], "fast_answer": [2]},
        "model": {"files": {"model.safetensors": "c" * 64}},
        "versions": {"jax": "0.10.2"},
        "git": None,
    }
