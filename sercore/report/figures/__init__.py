"""Pictures: what is plotted of the tables (`plots`, handed on here), and the drawings of the network, the data and the losses."""

from .plots import (
    CLASS_COLOURS,
    FAMILY_COLOURS,
    MARKERS,
    OTHER_COLOURS,
    SMOOTHED,
    card,
    class_colour,
    compactness_against_ua,
    confusion,
    family_colour,
    fold_points,
    forest,
    forest_grid,
    learning_curves,
    paper_noise,
    power,
    projections,
    recalls,
    speakers,
)
