import pandas as pd

from sercore.report import findings


def test_efficiency_is_told_as_measured():
    assert "Not measured yet" in findings.efficiency_sentence(None)
    found = pd.DataFrame({"workers": [1, 2], "runs_an_hour": [100.0, 185.0], "cores": 2, "processor": "made up"})
    assert (
        "**Two workers do 1.9 times the runs of one**, measured on a machine with 2 cores (made up)"
        in findings.efficiency_sentence(found)
    )


def test_what_64_gpus_would_wait_for():
    runs = pd.DataFrame({"device": ["cpu", "a GPU", "a GPU"], "seconds": [900.0, 16.0, 16.0]})
    said = findings.scale_sentence(runs)
    assert "16 s, they finish 4.0 runs a second, and a full study of 1,050 in 4 minutes" in said
    assert "First to be short would be the disk of the caller, of which that takes 4 %" in said
    assert findings.scale_sentence(runs[:1]) == "" and findings.scale_sentence(runs[:0]) == ""
    assert "would be short first" in findings.scale_sentence(runs.assign(seconds=0.1))
