"""What is published, and what it is worth: `results` gathers and reads records, `statistics` gives intervals, `claims` settles
the paper's claims by them, `noise` tells what chance does, `geometry` measures deep features, `paper` has its numbers,
`rule` says how trainings are evaluated."""

from .results import features, history, predictions, publish, published, runs, utterances
