"""What `tests.crash_search` stops: `hyperforget run`, in a process whose slow packages are imported; and what its folder may differ in."""

import importlib
import json
import re
from collections.abc import Sequence

from hyperforget_jax.cli import compile_cache, main
from tests.crash_states import State, Store

ARGUMENTS = ("run", "--config", "smoke_dihyfo2", "--workdir", "work")
IMPORTED = (
    *("hyperforget_jax.cli.run", "orbax.checkpoint", "sklearn.ensemble", "sklearn.linear_model", "sklearn.datasets"),
    *("scipy.stats", "matplotlib.pyplot", "grain"),
)
LOCK, COSTS, PAGE = "run.lock", "costs.jsonl", "report.html"
PAGE_COSTS = re.compile(rb'<div[^>]*aria-label="[^"]* in all">.*?</div>', re.DOTALL)
STATE = re.compile(r"training/states/\d+(?=/)")


def prepare() -> None:
    """What the command does before its verb, and the imports; JAX's backend is not started."""
    main.set_up_process()
    compile_cache.enable()
    for name in IMPORTED:
        importlib.import_module(name)


def run(arguments: Sequence[str]) -> int:
    """The command."""
    return main.main(arguments)


def is_leftover(path: str) -> bool:
    """Whether a path in the folder is of something that is not finished."""
    return re.search(r"\.partial($|[./])|orbax-checkpoint-tmp|\.__lock|\.tmp($|/)", path) is not None


def general(path: str) -> str:
    """A path without the random names that orbax gives."""
    return re.sub(r"\b[0-9a-f]{32}\b", "*", re.sub(r"(\.__lock|-tmp)[-.\w]*", r"\1*", path))


def normal(state: State, store: Store) -> State:
    """What two folders of the same run have in common, to the last byte.

    Named exceptions: `run.lock` (who holds it, since when); `costs.jsonl` (seconds, and a stage that was stopped before it told them has no
    row; one with other lines than stages and seconds stays as it is); the table of these costs in `report.html`; finished
    training states, whose files have random names and dates: the checksum of their numbers, what they were made from and the general
    names of their files stand for them.
    """
    kept, states = dict[str, str](), dict[str, list[str]]()
    for path, digest in state.items():
        if found := STATE.match(path):
            states.setdefault(found[0], []).append(general(path))
        elif path == PAGE:
            kept[path] = store.keep(PAGE_COSTS.sub(b"", store.read(digest)))
        elif path != LOCK and not (path == COSTS and are_costs(store.read(digest))):
            kept[path] = digest
    for path, files in states.items():
        digest = state.get(f"{path}/_CHECKPOINT_METADATA", "")
        told = json.loads(store.read(digest) or b"{}").get("custom_metadata")
        kept[path] = store.keep(json.dumps([told, sorted({*files})], sort_keys=True).encode())
    return kept


def are_costs(content: bytes) -> bool:
    """Whether every line tells a stage and its seconds."""
    rows = [json.loads(line) for line in content.splitlines()]
    return all([*row] == ["stage", "seconds"] and isinstance(row["stage"], str) and row["seconds"] >= 0 for row in rows)
