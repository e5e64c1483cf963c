"""Labels for files: `prediction` by a trained model, the one in `pretrained` by default; `export` writes a model as ONNX."""

from .prediction import load, predict
