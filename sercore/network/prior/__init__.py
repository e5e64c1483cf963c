"""The seven earlier systems of the paper's Table 1, one file each, measured on equal terms.

Each file says what its source is, what the source leaves open, and what we guessed. The papers' texts were not at hand when this
was written: architectures are what is generally known of them, except for `crnn_3d`, whose authors published their code. The
paper's reference list did not reach us either; page `table-1` says how sure each attribution is. An eighth system is one more
file of this form and a line in `PRIOR`.
"""

from ..base import Network
from .cnn_blstm import ConvolutionsLSTM
from .crnn_3d import ConvolutionsOfThreeMaps
from .lstm import LastStateLSTM
from .lstm_att import AttentionLSTM
from .resnet_mha import DilatedResidual
from .rnn_att import LocalAttention
from .tdnn_lstm import TimeDelayLSTM

PRIOR: dict[str, type[Network]] = {
    "lstm": LastStateLSTM,
    "lstm-att": AttentionLSTM,
    "rnn-att": LocalAttention,
    "cnn-blstm": ConvolutionsLSTM,
    "tdnn-lstm": TimeDelayLSTM,
    "resnet-mha": DilatedResidual,
    "3d-crnn": ConvolutionsOfThreeMaps,
}
"""name -> network, in the order of Table 1; the name is the system's slug too."""
