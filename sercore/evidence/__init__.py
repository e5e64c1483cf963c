"""What is published, and what it is worth: `publication` gathers records, `results` reads them, `statistics` gives intervals,
`claims` settles the paper's claims by them, `noise` tells what chance does, `geometry` measures deep features, `paper` has its
numbers, `rule` says how trainings are evaluated."""

from .publication import publish, unpublish
from .results import features, history, predictions, published, runs, utterances
