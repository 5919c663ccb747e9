"""Pages from templates of this package; every text is escaped. Nothing here is slow to import."""

import re
from collections.abc import Callable
from typing import Any

import jinja2
from markupsafe import Markup, escape


def template(name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """A template of this package, with `typeset` and further filters."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hyperforget_jax.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"typeset": typeset, **filters}
    return environment.get_template(name)


def typeset(text: str) -> Markup:
    """`D_r` with its subscript set as one, a range such as `5–95%` kept on one line; everything else escaped. Markup stays as it is."""
    if isinstance(text, Markup):
        return text
    marked = re.sub(r"\bD_([a-z])\b", r"D<sub>\1</sub>", str(escape(text)))
    return Markup(re.sub(r"[\d.]+–[\d.]+%?", r'<span class="whole">\g<0></span>', marked))
