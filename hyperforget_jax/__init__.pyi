from .api import HyperForget as HyperForget
from .api import Zoo as Zoo
from .api import build_zoo as build_zoo
from .api import evaluate as evaluate
from .api import predict as predict
from .api import retrain as retrain
from .config import Config as Config
from .data import load_dataset as load_dataset
from .unlearn.requests import UnlearningResult as UnlearningResult

__version__: str
