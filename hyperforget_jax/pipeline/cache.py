"""Measurements beside a run's own results: made when they are first asked for, and made anew if what they come from has changed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts


def rows(
    run: Run, name: str, measure: Callable[[], Iterable[Mapping[str, Any]]], **settings: Any
) -> list[dict[str, Any]]:
    """Results in long form, kept as the artifact `NAME/results` in a run's workdir.

    Args:
      run: a finished one; its config and its hypernetwork are what the results come from.
      name: of the folder.
      measure: makes the rows.
      settings: what else decides the rows, such as constants and forget sets; JSON-ready.

    Raises:
      HyperForgetError: the stored rows are damaged; disk full, no permission.
    """
    folder = run.folder / name / "results"
    hypernetwork = artifacts.checksum(run.folder / "hypernetwork" / artifacts.MANIFEST)
    made_from = artifacts.as_json({"config": identity(run.config), "hypernetwork": hypernetwork, **settings})
    if not artifacts.is_complete(folder) or artifacts.manifest(folder)["made_from"] != made_from:
        with artifacts.writing_errors(folder):
            folder.parent.mkdir(exist_ok=True)  # measuring may leave artifacts of its own there
        measured = [*measure()]
        with artifacts.new_artifact(folder, made_from) as partial_folder:
            artifacts.write_rows(partial_folder / "results.jsonl", measured)
    artifacts.verify(folder)
    return artifacts.read_rows(folder / "results.jsonl")
