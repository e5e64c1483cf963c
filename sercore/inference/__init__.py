"""Labels for files and for samples: `prediction` by a trained model, the one in `pretrained` by default; `export` writes a
model as ONNX."""

from .prediction import Classifier, load, predict
from .prediction import Classifier as load_model
