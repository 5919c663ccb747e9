"""All baselines by name. A new one is a file with a class of settings, and a line here."""

from collections.abc import Mapping

from hyperforget_jax.baselines.bad_teacher import BadTeacher
from hyperforget_jax.baselines.boundary import BoundaryExpand, BoundaryShrink
from hyperforget_jax.baselines.clean_pool import DatamodelMatching, Retrieval, Soup
from hyperforget_jax.baselines.fine_tune import FineTune
from hyperforget_jax.baselines.gradient_ascent import GradientAscent
from hyperforget_jax.baselines.l1_sparse import L1Sparse
from hyperforget_jax.baselines.laf import Laf
from hyperforget_jax.baselines.method import Method
from hyperforget_jax.baselines.minimum_norm import MinimumNorm
from hyperforget_jax.baselines.neggrad_plus import NegGradPlus
from hyperforget_jax.baselines.random_labels import RandomLabels
from hyperforget_jax.baselines.retrain import Retrain
from hyperforget_jax.baselines.salun import Salun
from hyperforget_jax.baselines.scrub import Scrub
from hyperforget_jax.baselines.ssd import Ssd
from hyperforget_jax.baselines.trw import Trw
from hyperforget_jax.baselines.unsir import Unsir

METHODS: Mapping[str, type[Method]] = {
    "retrain": Retrain,
    "fine_tune": FineTune,
    "gradient_ascent": GradientAscent,
    "neggrad_plus": NegGradPlus,
    "random_labels": RandomLabels,
    "bad_teacher": BadTeacher,
    "scrub": Scrub,
    "ssd": Ssd,
    "salun": Salun,
    "l1_sparse": L1Sparse,
    "boundary_shrink": BoundaryShrink,
    "boundary_expand": BoundaryExpand,
    "unsir": Unsir,
    "trw": Trw,
    "laf": Laf,
    "soup": Soup,
    "retrieval": Retrieval,
    "datamodel_matching": DatamodelMatching,
    "minimum_norm": MinimumNorm,
}
