"""HyperForget in JAX: forgetting as generation of classifier weights (arXiv 2412.00761)."""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
