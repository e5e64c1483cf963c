"""The networks: `model` defines the paper's, `losses` and `pooling` are what the paper varies, and `engines` computes the same
in less time; `prior` has the earlier systems of its Table 1, `networks` all of them by name. A loss, a pooling or a network of
your own is one class and an entry of `LOSSES`, `POOLINGS` or `NETWORKS`."""

from .base import Network, Outputs
from .losses import LOSSES, AdditiveMargin, Focal, Softmax, focal_loss
from .model import SERModel
from .networks import NETWORKS, build
from .pooling import POOLINGS, Attentive, Combined
