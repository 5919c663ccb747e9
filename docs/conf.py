"""The documentation site: `nox -s site` builds it into build/site, every warning an error."""

import hyperforget_jax

project = "hyperforget_jax"
author = "The hyperforget_jax authors"
version = release = hyperforget_jax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"hyperforget_jax {version}"
html_static_path: list[str] = []
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
