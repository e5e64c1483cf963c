"""Do the roads that compute a network agree? The same weights on the same utterances, by each of them: unlike two trainings,
which part ways after some epochs, whatever they agree in at each step."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch

from ..network.model import SERModel
from . import training

ROADS = {
    "plain PyTorch, float32": ("plain", "float32"),
    "fast path, float32": ("fused", "float32"),
    "fast path, bfloat16": ("fused", "bfloat16"),
}
"""Engine and precision; the first is the reference."""


def compare(model: SERModel, data: training.Labelled, indices: np.ndarray) -> pd.DataFrame:
    """One row a road but the reference: how far its logits lie from the reference's on the utterances `indices`.

    Columns: `road`, `typical` and `largest` (of the absolute differences, the median and the maximum), `spread` (the standard
    deviation of the reference's logits, to compare with), `changed` (utterances that get another label) and `utterances`.
    """
    logits = {}
    for road, (engine, precision) in ROADS.items():
        own = copy.deepcopy(model)
        own.engine, own.config = engine, model.config.replace(precision=precision)
        with torch.inference_mode():
            features = torch.from_numpy(training.predict(own, data, indices).features)
            logits[road] = own.head.scores(features.to(next(own.parameters()).device)).float().cpu().numpy()
    reference, *others = ROADS
    rows = []
    for road in others:
        apart = np.abs(logits[road] - logits[reference])
        changed = (logits[road].argmax(1) != logits[reference].argmax(1)).sum()
        row = {"road": road, "typical": np.median(apart), "largest": apart.max(), "spread": logits[reference].std()}
        rows.append(row | {"changed": int(changed), "utterances": len(indices)})
    return pd.DataFrame(rows)
