import pandas as pd
import pytest
import torch

from sercore.lab import costs, systems
from sercore.network import build
from sercore.network.model import FILTERS
from sercore.network.prior import crnn_3d


def test_multiply_adds_by_hand():
    x = torch.zeros(1, 300, 40)
    lstm = 300 * 4 * 128 * ((40 + 128) + (128 + 128)) + 128 * 4
    assert costs.multiply_adds(build(systems.config("lstm")), x, torch.tensor([300])) == lstm
    assert costs.multiply_adds(build(systems.config("lstm")), x, torch.tensor([100])) == lstm - 200 * 4 * 128 * 424
    high, wide, inputs, total = 300, 40, 1, 0
    for index, outputs in enumerate(FILTERS):
        total += high * wide * inputs * outputs * 9
        inputs = outputs
        if index < 5:
            high, wide = high // 2, wide // 2
    total += 9 * 2 * 4 * 32 * (64 + 32)  # the BLSTM; the linear layer is no module of its own
    model = build(systems.config("baseline"))
    model.engine = "fused"
    assert costs.multiply_adds(model, x) == total and model.engine == "fused"


def test_costs_are_measured_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(costs, "BATCH", 2)
    monkeypatch.setattr(crnn_3d, "FILTERS", (8,) * 6)
    measured = costs.measure(("lstm", "3d-crnn", "baseline"), "cpu", repeats=1).set_index("system")
    assert measured.at["baseline", "parameters"] == 359_556
    assert (measured[["training_ms", "labelling_ms"]] > 0).all().all() and measured["device"].eq("cpu").all()
    monkeypatch.setattr(costs, "measure", lambda device: measured.reset_index())
    assert costs.main(["--results", str(tmp_path / "results")]) == 0
    assert "multiply_adds" in capsys.readouterr().out
    assert len(pd.read_parquet(tmp_path / "results" / "costs.parquet")) == 3
    with pytest.raises(SystemExit):
        costs.main(["--nonsense"])
