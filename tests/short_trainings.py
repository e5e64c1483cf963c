"""What tests of trainings on tones share."""

import numpy as np
import torch

from sercore.corpora import protocol

QUICK = {"max_epochs": 3, "clip_seconds": 0.35, "toolkit": "pytorch", "learning_rate": 3e-3}


def parts_of(prepared, name="speaker", fold=0):
    split = protocol.splits(prepared.utterances, name)
    return {part: np.searchsorted(prepared.data.inputs.ids, ids) for part, ids in protocol.parts(split, fold).items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)
