"""Tidy rows that are measured when a table first asks for them, and read afterwards; anew, if what they come from has changed."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts


def rows(
    run: Run, name: str, measured: Callable[[], Iterable[Mapping[str, Any]]], **settings: Any
) -> list[dict[str, Any]]:
    """Rows of the artifact `NAME/results` in a run's workdir, which is made if it is missing or was made from something else.

    Args:
      run: a finished one; its config and its hypernetwork are what rows come from.
      name: of the folder.
      measured: makes the rows.
      settings: constants that decide the rows beside the config; JSON-ready.
    """
    place = run.folder / name / "results"
    hypernetwork = artifacts.checksum(run.folder / "hypernetwork" / artifacts.MANIFEST)
    sources = {"config": identity(run.config), "hypernetwork": hypernetwork, **settings}
    made_from = json.loads(json.dumps(sources))  # as a manifest tells it
    if not artifacts.is_complete(place) or artifacts.manifest(place)["made_from"] != made_from:
        with artifacts.writing_errors(place):
            place.parent.mkdir(exist_ok=True)  # measuring may leave artifacts of its own there
        found = [*measured()]
        with artifacts.new_artifact(place, made_from) as folder:
            artifacts.write_rows(folder / "results.jsonl", found)
    artifacts.verify(place)
    return artifacts.read_rows(place / "results.jsonl")
