"""The paper's network: `model` defines it, `losses` and `pooling` are what the paper varies, and `engines` computes the same in
less time. A loss or a pooling of your own is one class and an entry of `LOSSES` or `POOLINGS`."""

from .losses import LOSSES, AdditiveMargin, Focal, Softmax, focal_loss
from .model import SERModel, build
from .pooling import POOLINGS, Attentive, Combined
