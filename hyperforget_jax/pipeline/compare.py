"""Every contender on every forget set of a run: accuracies, attacks, cost and worst forget set. Each contender is an artifact."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax.attacks.suite import Suite
from hyperforget_jax.attacks.worst_case import allowed_sets, worst_case
from hyperforget_jax.baselines.search import accuracies
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ComparisonConfig
from hyperforget_jax.config.attacks import validate_attacks
from hyperforget_jax.config.ranges import COMPARISON, validate_settings
from hyperforget_jax.pipeline import attacks
from hyperforget_jax.pipeline.contenders import Answer, Contender, contenders
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.progress import track

FOLDER = "compare"


@dataclass(frozen=True)
class Compared:
    """What was measured of one contender.

    Attributes:
      name: in results.
      summary: one entry a forget set (accuracies, cost, settings), and the worst set of all that are allowed.
      lines: of `report.attacks`, all attacks on all forget sets.
    """

    name: str
    summary: dict[str, Any]
    lines: list[dict[str, Any]]


def compare(run: Run, config: ComparisonConfig) -> list[Compared]:
    """Measures every contender that is not measured yet.

    Args:
      run: a finished one.
      config: how.
    """
    validate_settings(config, COMPARISON, "comparison")
    validate_attacks(config.attack)
    table, found = Table(run, config), list[Compared]()
    field = list(contenders(run, config))
    with track(run.console, "comparison", len(field), "methods") as advance:
        for each in field:
            folder = run.folder / FOLDER / each.name
            made_from = table.made_from(each)
            if not run.reuses(each.name, folder, made_from):
                with run.timed(f"compare {each.name}", resumes=False):
                    summary, lines = table.measure(each)
                folder.parent.mkdir(exist_ok=True)
                with artifacts.new_artifact(folder, made_from) as partial_folder:
                    artifacts.write_text(partial_folder / "summary.json", json.dumps(summary, indent=2) + "\n")
                    artifacts.write_rows(partial_folder / "lines.jsonl", lines)
            found.append(stored(folder, each.name))
            advance(1)
    return found


def stored(folder: Path, name: str) -> Compared:
    """What was measured of a contender before."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return Compared(name, summary, artifacts.read_rows(folder / "lines.jsonl"))


@dataclass(frozen=True)
class Table:
    """What all contenders of one comparison are measured with.

    Attributes:
      run: a finished one.
      config: how.
    """

    run: Run
    config: ComparisonConfig

    @cached_property
    def suites(self) -> list[tuple[tuple[int, ...], Suite]]:
        """The attacks on every forget set, made when a contender first needs them."""
        return list(attacks.suites(self.run, attacks.original(self.run), self.config.attack))

    def made_from(self, contender: Contender) -> dict[str, Any]:
        """What decides a contender's numbers."""
        hypernetwork = artifacts.checksum(self.run.folder / HYPERNETWORK / artifacts.MANIFEST)
        return identity(self.run.config) | {
            "contender": contender.name,
            "hypernetwork": hypernetwork,
            "forget_sets": self.run.config.task.forget_sets,
            "comparison": asdict(self.config),
        }

    def measure(self, contender: Contender) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The summary and the lines of one contender."""
        sets, lines, flops = list[dict[str, Any]](), list[dict[str, Any]](), None
        for labels, prepared in self.suites:
            answer = contender.answer(prepared.forget, None, self.config.models)
            lines += attacks.attack(labels, prepared, {contender.name: answer.models})
            sets.append({"forget_set": [*labels], **self._accuracies(answer, prepared.forget), **_cost(answer)})
            if len(sets) == 1 and answer.flops is not None:  # those of one set are those of all
                flops = answer.flops()
        if len(sets) == 1:  # again, without compilation
            forget = self.suites[0][1].forget
            sets[0] |= _cost(contender.answer(forget, sets[0]["settings"], self.config.models))
        summary = {
            "exact": contender.exact,
            "seconds": min(each["seconds"] for each in sets),
            "flops": flops,
            "sets": sets,
            "worst": self._worst(contender, sets),
        }
        return summary, lines

    def _accuracies(self, answer: Answer, forget: Sequence[int]) -> dict[str, float]:
        retain, forgotten = of_models(answer.models, on_device(self.run.dataset.test), forget)
        return {"retain": retain, "forget": forgotten}

    def _worst(self, contender: Contender, sets: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The allowed forget set with the highest sum of forget accuracy and retain error, on test images.

        Sets of the run keep their answers; others are answered by the settings of the run's first set.
        """
        measured = {self.run.dataset.positions(each["forget_set"]): each for each in sets}

        def of_set(forget: tuple[int, ...]) -> float:
            each = measured.get(forget)
            if each is None:
                answer = contender.answer(forget, sets[0]["settings"], self.config.worst_models)
                each = measured[forget] = self._accuracies(answer, forget)
            return float(each["forget"] + 1 - each["retain"])

        def score(masks: NDArray[np.bool_]) -> list[float]:
            return [of_set(tuple(np.flatnonzero(mask).tolist())) for mask in masks]

        num_classes = self.run.dataset.num_classes
        allowed = allowed_sets(self.run.forgettable, num_classes)
        worst = worst_case(score, allowed, num_classes, "highest", self.config.attack)
        labels = [self.run.dataset.classes[position] for position in worst.forget_set]
        reached = measured[worst.forget_set]
        return {"forget_set": labels, "retain": reached["retain"], "forget": reached["forget"], "sets": len(allowed)}


def of_models(models: Params, images: tuple[jax.Array, jax.Array], forget: Sequence[int]) -> tuple[float, float]:
    """Mean retain and forget accuracy of N stacked models."""
    member = np.isin(np.arange(models[-1]["b"].shape[-1]), list(forget))
    retain, forgotten = accuracies(jax.tree.map(lambda leaf: leaf[None], models), images, jnp.asarray(member))
    return float(retain[0]), float(forgotten[0])


def _cost(answer: Answer) -> dict[str, Any]:
    return {"seconds": answer.seconds, "settings": dict(answer.settings)}
