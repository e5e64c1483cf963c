"""Labels for files and for samples: `models` knows the trained ones, `prediction` labels with them, `export`
writes one as ONNX."""

from .prediction import Classifier, predict
from .prediction import Classifier as load_model
