"""A model for others, with the evidence that belongs to it: one folder, written whole or not at all.

model.safetensors, model.json   the model (`unlearn.model_file`); model.onnx if it is asked for
certificate.json                what was asked and when, of what run, what was measured beside clean runs, what is and is not guaranteed
certificate.html                the same on one page
manifest.json                   bytes and SHA-256 of every file
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperforget_jax import data
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import evidence, ledger, workdir
from hyperforget_jax.pipeline.reference import CLEAN_FOLDER
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.pipeline.unlearning import StoredResult
from hyperforget_jax.report import certificate as page
from hyperforget_jax.runtime import artifacts, records
from hyperforget_jax.unlearn import model_file, requests
from hyperforget_jax.unlearn.requests import Floats, UnlearningResult
from hyperforget_jax.zoo import statistics

FORMAT = 1
CERTIFICATE, PAGE = "certificate.json", "certificate.html"
EXPORT = "exported model"
"""The kind of artifact that the manifest of such a folder tells."""


@dataclass(frozen=True)
class Thresholds:
    """What a model must reach on test images before it is written; None: anything will do.

    Attributes:
      max_forget_accuracy: of the model.
      min_retain_accuracy: of the model.
      max_c2st: cross-validated AUC that tells all samples of the answer from clean runs.
    """

    max_forget_accuracy: float | None = None
    min_retain_accuracy: float | None = None
    max_c2st: float | None = None

    def against(self, measures: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every threshold that is set, with what was reached and whether that is enough.

        Raises:
          HyperForgetError: a threshold on the two-sample test, which could not be made.
        """
        values = {name: line["value"] for name, line in evidence.of_whole_sets(measures).items()}
        if self.max_c2st is not None and evidence.C2ST not in values:
            raise HyperForgetError(f"a threshold on C2ST cannot be checked: {'; '.join(measures['left_out'])}")
        named = (
            ("max_forget_accuracy", "forget_accuracy", self.max_forget_accuracy),
            ("min_retain_accuracy", "retain_accuracy", self.min_retain_accuracy),
            ("max_c2st", evidence.C2ST, self.max_c2st),
        )
        return [
            {"threshold": name, "limit": limit, "reached": values[of], "met": _met(name, values[of], limit)}
            for name, of, limit in named
            if limit is not None
        ]


@dataclass(frozen=True)
class Delivery:
    """What became of a model for others.

    Attributes:
      certificate: as it is written, or would be.
      written: whether all thresholds are met, and the folder is there.
    """

    certificate: Mapping[str, Any]
    written: bool

    @property
    def unmet(self) -> list[str]:
        """Every threshold that is not met, in words."""
        return [
            f"{each['threshold']} {each['limit']:g}, reached {each['reached']:.4f}"
            for each in self.certificate["thresholds"]
            if not each["met"]
        ]


def deliver(
    folder: Path, run: Run, answer: StoredResult, forget: Sequence[int], thresholds: Thresholds, onnx: bool
) -> Delivery:
    """Measures the first selected model of an answer, and writes it with its certificate if it reaches what is required.

    Args:
      folder: a new one.
      run: the finished run.
      answer: its answer.
      forget: labels that this request is about; the answer may forget more.
      thresholds: what the model must reach.
      onnx: whether `model.onnx` is written too.

    Raises:
      HyperForgetError: the folder holds something, disk full, no permission; nothing then stands at `folder`.
    """
    measures = evidence.measure(answer.asked.run, answer.result.best, answer.result.models)
    judged = thresholds.against(measures)
    certificate = {**certify(run, answer, forget, measures), "thresholds": judged}
    if not all(each["met"] for each in judged):
        return Delivery(certificate, False)
    return Delivery(export(folder, run, answer, certificate, onnx), True)


def validate_place(folder: Path, first: str = artifacts.MANIFEST) -> None:
    """Refuses a place that holds something already, before any work.

    Args:
      folder: to be written; it is filled under its name with ".partial", where what a stopped process has left is removed.
      first: the file that is written first, by which such a folder is known.

    Raises:
      HyperForgetError: a file, or a folder that is not empty, of either name.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    for path, ours in ((folder, False), (partial, (partial / first).is_file())):
        if path.exists() and not ours and (not path.is_dir() or any(path.iterdir())):
            raise HyperForgetError(f"{path} holds something already: name a new folder")


def certify(run: Run, answer: StoredResult, forget: Sequence[int], measures: Mapping[str, Any]) -> dict[str, Any]:
    """What `certificate.json` tells, but for the checksums of the model.

    Args:
      run: the finished run.
      answer: its answer; the first selected model is the one that is written.
      forget: labels that this request is about; the answer may forget more.
      measures: from `evidence.measure`.
    """
    asked, result = answer.asked, answer.result
    task, labels = run.config.task, asked.labels
    earlier = sorted({*labels} - {*forget} - {*task.always})
    request = asked.run.config.request
    return {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": run.command,
        "request": {
            "forget": sorted(forget),
            "forgotten": list(labels),
            "earlier_requests": earlier,
            "prompts": request.prompts,
            "samples": request.samples,
            "selected": request.num_selected,
            "seed": asked.seed,
            "row": int(result.selected[0]),
            "from": None
            if asked.start is None
            else {"file": str(asked.start), "sha256": artifacts.checksum(asked.start)},
        },
        "asked_of_the_hypernetwork": _asked(run, result),
        "run": {
            "folder": str(run.folder),
            "method": run.method,
            "identity": artifacts.as_json(workdir.identity(run.config)),
            "files": {name: artifacts.checksum(run.folder / name) for name in of_run(run.folder, labels)},
            "zoo": _seen(run, labels),
        },
        "data": {
            **data.identity(run.config.data, task.purged),
            "name": run.dataset.name,
            "classes": list(run.dataset.classes),
            "images": {name: len(getattr(run.dataset, name).labels) for name in ("train", "validation", "test")},
        },
        "measures": dict(measures),
        "guarantee": {
            "purged": sorted({*labels} & {*task.purged}),
            "scrubbed": sorted({*labels} & {*task.scrubbed}),
            "fast_answer": sorted({*labels} - {*task.purged}),
        },
        **artifacts.provenance(),
    }


def export(folder: Path, run: Run, answer: StoredResult, certificate: Mapping[str, Any], onnx: bool) -> dict[str, Any]:
    """Writes the folder, and the request into the ledger of the run; returns the certificate as it is written.

    Args:
      folder: a new one.
      run: the finished run.
      answer: its answer.
      certificate: from `certify`.
      onnx: whether `model.onnx` is written too.

    Raises:
      HyperForgetError: the folder holds something, disk full, no permission; nothing then stands at `folder`.
    """
    validate_place(folder)
    about = model_file.description(run.dataset, run.sizes, answer.asked.labels)
    made_from = {"kind": EXPORT, "format": FORMAT}
    with artifacts.new_artifact(folder, made_from, run.inputs) as partial_folder:
        model_file.write(partial_folder, answer.result.best, about, onnx)
        files = {path.name: artifacts.checksum(path) for path in sorted(partial_folder.glob("model.*"))}
        whole = records.sealed({**certificate, "model": {"files": files}})
        artifacts.write_text(partial_folder / CERTIFICATE, json.dumps(whole, indent=2, allow_nan=False) + "\n")
        artifacts.write_text(partial_folder / PAGE, page.page(whole))
        told = {
            "forget": certificate["request"]["forget"],
            "forgotten": certificate["request"]["forgotten"],
            "folder": str(folder),
            "certificate": artifacts.checksum(partial_folder / CERTIFICATE),
        }
        ledger.enter(run.folder, "answer", told)
    return whole


def of_run(folder: Path, labels: Sequence[int]) -> list[str]:
    """Names of the files of a run that an answer and its evidence rest on; manifests stand for the files that they list."""
    names = [
        workdir.CONFIG,
        workdir.CERTIFICATE,
        f"{HYPERNETWORK}/{artifacts.MANIFEST}",
        f"{CLEAN_FOLDER}/{requests.name_of(labels)}/{artifacts.MANIFEST}",
    ]
    return [name for name in names if (folder / name).is_file()]


def _met(name: str, value: float, limit: float) -> bool:
    return value >= limit if name.startswith("min") else value <= limit


def _asked(run: Run, result: UnlearningResult) -> dict[str, Any]:
    """The prompt in use, class by class: losses in nats and, where they are part of a condition, exposures and age; None: left open."""
    count, classes = run.dataset.num_classes, [str(label) for label in run.dataset.classes]
    prompt = result.candidate_prompts[result.chosen]

    def told(values: Floats) -> dict[str, float | None]:
        return {name: None if np.isnan(value) else float(value) for name, value in zip(classes, values, strict=True)}

    asked: dict[str, Any] = {"losses": told(prompt[:count])}
    if run.config.hypernetwork.exposure and len(prompt) == 2 * count + 1:
        asked |= {
            "exposures": told(prompt[count : 2 * count]),
            "age": None if np.isnan(prompt[-1]) else float(prompt[-1]),
        }
    return asked


def _seen(run: Run, labels: Sequence[int]) -> dict[str, int]:
    """Training runs that the hypernetwork learned from, and how many of them never saw an image of the classes."""
    last = statistics.last_of_runs(statistics.load(run.folder / HYPERNETWORK))
    exposures = last.exposures[:, list(run.dataset.positions(labels))]  # [runs, classes]
    return {"runs": len(exposures), "never_saw_the_classes": int((exposures == 0.0).all(1).sum())}
