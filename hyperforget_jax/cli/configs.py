"""The configs that `--config` names: files of configs/, which the wheel holds too, or a file of the user's own."""

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import hyperforget_jax
from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime.paths import expand

PACKAGE = "hyperforget_jax.configs"
"""Name under which configs are imported, wherever they stand: they import each other relatively."""


def configs_folder() -> Path:
    """The folder of the configs: inside the installed package, or beside it in a checkout."""
    package = Path(hyperforget_jax.__file__).parent
    shipped = package / "configs"
    return shipped if shipped.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names that `load_config` knows, sorted."""
    return sorted(path.stem for path in configs_folder().glob("[!_]*.py"))


def load_config(name: str | None) -> Config:
    """The config of a file in configs/, or of a file of one's own.

    Args:
      name: of the file without `.py`; or a path, which ends in `.py`. A copied config still finds those it is based on.

    Raises:
      HyperForgetError: no such config (names the nearest ones), a file without `get_config`, one that fails.
    """
    names = config_names()
    path = configs_folder() / f"{name}.py" if name in names else expand(name or "", "--config")
    if name not in names and (path.suffix != ".py" or not path.is_file()):
        near = difflib.get_close_matches(path.stem, names, n=3)
        hint = f"did you mean {', '.join(near)}? Or" if near else f"choose {', '.join(names)}, or"
        raise HyperForgetError(f"--config is {name}: {hint} give the path of a file that ends in .py")
    try:
        config = _import(path, name in names).get_config()
    except HyperForgetError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise HyperForgetError(
            f"--config is {name}: {path} fails with {type(error).__name__} ({reason}): "
            "it needs a function get_config without arguments, as those of configs/ have"
        ) from error
    if not isinstance(config, Config):
        raise HyperForgetError(
            f"--config is {name}: get_config of {path} returns {type(config).__name__}, expected hyperforget_jax.config.Config"
        )
    return config


def _import(path: Path, shipped: bool) -> ModuleType:
    """The module of a config."""
    if PACKAGE not in sys.modules:
        _execute(PACKAGE, configs_folder() / "__init__.py", [str(configs_folder())])
    if shipped:
        return importlib.import_module(f"{PACKAGE}.{path.stem}")
    return _execute(f"{PACKAGE}.file_{path.stem.replace('.', '_')}", path)


def _execute(name: str, path: Path, search: list[str] | None = None) -> ModuleType:
    """Imports a file under a name of our choice."""
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=search)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
