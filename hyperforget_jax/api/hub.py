"""Hypernetworks on the Hugging Face Hub (pip install 'hyperforget-jax[hub]'); the network is used for names USER/NAME alone."""

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from hyperforget_jax.errors import HyperForgetError

NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_name(path: Path) -> bool:
    """Whether a path is no folder here, and could be a name USER/NAME on the hub."""
    return not path.exists() and not path.is_absolute() and NAME.fullmatch(str(path)) is not None


def download(name: str) -> Path:
    """The folder that holds a hypernetwork of the hub, in the hub's own cache; it is downloaded if it is not there.

    Args:
      name: USER/NAME.

    Raises:
      HyperForgetError: no such hypernetwork, no network, or the package huggingface_hub is missing.
    """
    remedy = f"name a folder, or a hypernetwork of the hub that you may read; nothing stands at {name} here"
    with _explained(f"{name} cannot be downloaded", remedy):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name))


def upload(folder: Path, name: str) -> str:
    """Writes a folder to the hub, making the repository if it is missing; returns its address.

    Args:
      folder: what `save_pretrained` wrote.
      name: USER/NAME.

    Raises:
      HyperForgetError: a name that is none, no permission, no network, or the package huggingface_hub is missing.
    """
    if NAME.fullmatch(name) is None:
        raise HyperForgetError(f"repo_id is {name!r}: give USER/NAME")
    with _explained(f"{name} cannot be written", "log in with `hf auth login`, to an account that may write there"):
        from huggingface_hub import HfApi

        hub = HfApi()
        hub.create_repo(name, exist_ok=True)
        return str(hub.upload_folder(repo_id=name, folder_path=folder))


@contextlib.contextmanager
def _explained(failure: str, remedy: str) -> Iterator[None]:
    """Turns whatever the library raises (it names no common class) into one line with its remedy."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise HyperForgetError(f"{failure}: {remedy}; the hub needs pip install 'hyperforget-jax[hub]'")
    try:
        yield
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise HyperForgetError(f"{failure} ({reason}): {remedy}") from error
