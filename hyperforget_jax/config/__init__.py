"""Every default of a setting, with its unit and its meaning. Constants that define a method stand beside it.

`configs/*.py` build a `Config` for one setting; the command line overrides single fields; the
resolved value is saved beside every artifact. All dataclasses are frozen: a config is a value.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperforget_jax.config.attacks import AttackConfig
from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.config.comparison import ComparisonConfig
from hyperforget_jax.config.hypernetwork import (
    DiffusionConfig,
    DistillationConfig,
    HypernetworkConfig,
    SamplingConfig,
    TrainingConfig,
)
from hyperforget_jax.config.scrub import ScrubConfig
from hyperforget_jax.config.shadows import ShadowsConfig
from hyperforget_jax.config.unlearning import (
    EvaluationConfig,
    ForgetSet,
    Prompts,
    ReferenceConfig,
    RequestConfig,
    TaskConfig,
)
from hyperforget_jax.config.zoo import ClassifierConfig, CodecConfig, DataConfig, LoaderConfig, ZooConfig
from hyperforget_jax.errors import HyperForgetError

__all__ = [
    "AttackConfig",
    "BottleneckConfig",
    "ClassifierConfig",
    "CodecConfig",
    "ComparisonConfig",
    "Config",
    "DataConfig",
    "DiffusionConfig",
    "DistillationConfig",
    "EvaluationConfig",
    "ForgetSet",
    "HypernetworkConfig",
    "LoaderConfig",
    "Prompts",
    "ReferenceConfig",
    "RequestConfig",
    "SamplingConfig",
    "ScrubConfig",
    "ShadowsConfig",
    "TaskConfig",
    "TrainingConfig",
    "ZooConfig",
    "flatten",
    "unflatten",
]


@dataclass(frozen=True)
class Config:
    """One setting of the whole path, from images to a report."""

    seed: int = 0
    """Seed of every random stream."""
    workdir: str = "runs/digits4_dihyfo2"
    """Folder for every artifact of the run."""
    overwrite: bool = False
    """Delete what a run of another config has made in the workdir."""
    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    zoo: ZooConfig = field(default_factory=ZooConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)
    hypernetwork: HypernetworkConfig = field(default_factory=HypernetworkConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
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


ADDED: Mapping[str, Any] = {"task.scrubbed": ()}
"""Fields that configs of before them lack, and what these meant."""


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
                raise HyperForgetError(f"the config lacks {name}: it was written by another version of hyperforget_jax")
        return dataclasses.replace(default, **values)

    def frozen(value: Any) -> Any:
        return tuple(frozen(item) for item in value) if isinstance(value, list) else value

    rest = {**ADDED, **flat}
    config: Config = build(Config(), "")
    if rest:
        raise HyperForgetError(
            f"the config has an unknown field {next(iter(rest))}: it was written by another version of hyperforget_jax"
        )
    return config
