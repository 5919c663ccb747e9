"""Checks of an exported model: its files, the run that it names, the samples and the measures, all made again and compared."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import evidence, ledger, unlearning, workdir
from hyperforget_jax.pipeline.certificate import CERTIFICATE, EXPORT
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.unlearning import Asked
from hyperforget_jax.runtime import artifacts, records
from hyperforget_jax.unlearn import model_file

SAME_LOGITS = 1e-3
"""Largest difference of logits between a model and the same sample on another machine."""
SAME_VALUES = 1e-2
"""Largest difference of a measure between the same models on two machines."""


class Check(NamedTuple):
    """One comparison.

    Attributes:
      name: what is compared.
      passed: whether it agrees.
      found: in words.
    """

    name: str
    passed: bool
    found: str


def read_certificate(folder: Path) -> dict[str, Any]:
    """The certificate of an exported model, after every file of the folder has been compared with its checksum.

    Raises:
      HyperForgetError: no exported model, or a file is missing or changed; names it.
    """
    if not artifacts.is_complete(folder) or not (folder / CERTIFICATE).is_file():
        raise HyperForgetError(
            f"{folder} holds no exported model with a certificate: name the folder of `hyperforget unlearn --out`"
        )
    validate_artifact(folder)
    if artifacts.manifest(folder)["made_from"].get("kind") != EXPORT:
        raise HyperForgetError(f"{folder} is no exported model: name the folder of `hyperforget unlearn --out`")
    certificate: Any = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
    if not isinstance(certificate, dict) or not records.is_sealed(certificate):
        raise HyperForgetError(f"{folder / CERTIFICATE} is damaged: {model_file.REMEDY}")
    model_file.read(folder)
    return certificate


def validate_artifact(folder: Path) -> None:
    """Compares every byte of an artifact, its manifest included.

    Raises:
      HyperForgetError: names the file that is changed.
    """
    artifacts.verify(folder)
    path = folder / artifacts.MANIFEST
    text = path.read_text(encoding="utf-8")
    told = json.loads(text)
    if not records.is_sealed(told) or text != json.dumps(told, indent=2):
        raise HyperForgetError(f"{path} is damaged: {model_file.REMEDY}")


def verify(folder: Path, certificate: dict[str, Any], run: Run | None) -> Iterator[Check]:
    """Checks one after the other; a check that finds damage fails, and the next one goes on.

    Args:
      folder: of the exported model; `read_certificate` has compared its files.
      certificate: of it.
      run: the run that made it; None: only the files of the folder are checked.
    """
    yield Check("files", True, "every byte of the folder is as its manifest says")
    if run is None:
        return
    against = _Against(folder, certificate, run)
    for name, check in against.checks.items():
        try:
            yield Check(name, True, check())
        except HyperForgetError as error:
            yield Check(name, False, str(error))


@dataclass(frozen=True)
class _Against:
    """An exported model against the run that made it; every check returns what it found, or raises."""

    folder: Path
    certificate: dict[str, Any]
    run: Run

    @property
    def checks(self) -> dict[str, Callable[[], str]]:
        """In the order in which they are made."""
        return {"run": self.of_run, "ledger": self.of_ledger, "sample": self.of_sample, "measures": self.of_measures}

    @cached_property
    def asked(self) -> Asked:
        """The request of the certificate."""
        request = self.certificate["request"]
        numbers = request["samples"], request["selected"], request["seed"]
        start = None
        if told := request["from"]:
            start = Path(told["file"])
            if not start.is_file() or artifacts.checksum(start) != told["sha256"]:
                raise HyperForgetError(
                    f"{start} is not the model that was updated: put it back, with SHA-256 {told['sha256']}"
                )
        return unlearning.ask(self.run, request["forgotten"], *numbers, request["prompts"], start)

    @cached_property
    def again(self) -> Params:
        """All models of the answer, sampled again."""
        return unlearning.sample_again(self.asked).models

    def of_run(self) -> str:
        """Files of the run that the certificate names, and every artifact that stands there."""
        folder = self.run.folder
        for name, expected in self.certificate["run"]["files"].items():
            path = folder / name
            if not path.is_file() or artifacts.checksum(path) != expected:
                raise HyperForgetError(f"{path} is not the one of the certificate{self._purged_since()}")
        found = sorted(path.parent for path in folder.rglob(artifacts.MANIFEST))
        for artifact in found:
            validate_artifact(artifact)
        return f"{folder}: every byte of {len(found)} artifacts is as their manifests say"

    def _purged_since(self) -> str:
        path = self.run.folder / workdir.CERTIFICATE
        if not path.is_file() or workdir.CERTIFICATE in self.certificate["run"]["files"]:
            return ": restore it, or name the run that made the model, --run RUN"
        purge: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return f": the run was purged of {purge['classes']} on {purge['date']}, and what made this model is no more"

    def of_ledger(self) -> str:
        """The entry of this certificate in the run's ledger."""
        path, checksum = self.run.folder / ledger.LEDGER, artifacts.checksum(self.folder / CERTIFICATE)
        found = ledger.entries(self.run.folder)
        for entry in found:
            if entry.get("certificate") == checksum:
                return f"entry {entry['number']} of {len(found)} in {path}"
        raise HyperForgetError(f"{path} has no entry of this certificate: restore it from a copy")

    def of_sample(self) -> str:
        """The model, sampled again."""
        row, ours = self.certificate["request"]["row"], model_file.read(self.folder).params
        theirs = jax.tree.map(lambda leaf: leaf[row], self.again)
        if all(np.array_equal(*both) for both in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)):
            return "sampled again, the model is the same to the last bit"
        images = jnp.asarray(self.run.dataset.test.images)
        here, there = (np.asarray(classifier.logits(model, images)) for model in (ours, theirs))
        gap = float(np.abs(here - there).max())
        if not gap <= SAME_LOGITS:
            raise HyperForgetError(
                f"sampled again, row {row} is another model: logits differ by up to {gap:.3g}, expected at most {SAME_LOGITS:g}"
            )
        return f"sampled again, logits differ by up to {gap:.3g}, as on another machine or version"

    def of_measures(self) -> str:
        """Accuracies and attacks, measured again on the model of the folder."""
        again = evidence.measure(self.asked.run, model_file.read(self.folder).params, self.again)
        told, count = self.certificate["measures"], 0
        for part, name in (("accuracies", "metric"), ("attacks", "attack")):
            if len(again[part]) != len(told[part]):
                raise HyperForgetError(f"{len(again[part])} {part} are measured, the certificate has {len(told[part])}")
            for here, there in zip(again[part], told[part], strict=True):
                for key in ("value", "reference"):
                    if not abs(here[key] - there[key]) <= SAME_VALUES:
                        raise HyperForgetError(
                            f"{there[name]} ({key}) is {here[key]:.4f}, the certificate says {there[key]:.4f}"
                        )
                count += 1
        return f"{count} measures are the same"
