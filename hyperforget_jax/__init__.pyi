from .api.hyperforget import HyperForget as HyperForget
from .api.model_files import load_model as load_model
from .api.model_files import save_model as save_model
from .api.models import evaluate as evaluate
from .api.models import predict as predict
from .api.models import retrain as retrain
from .api.zoo import Zoo as Zoo
from .api.zoo import build_zoo as build_zoo
from .config import Config as Config
from .data import load_dataset as load_dataset
from .unlearn.requests import UnlearningResult as UnlearningResult

__version__: str
