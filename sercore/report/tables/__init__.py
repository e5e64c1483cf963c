"""Tables of the book: published records in, frames out. Percentages throughout, UA first.

A cell without a record is NaN, which the pages show as a dash.
"""

from .accuracy import (
    across_corpora,
    confusions,
    criterion,
    over_yardsticks,
    recall_by_setting,
    recall_table,
    references,
    shown_systems,
    systems_table,
    table_2,
    table_2_of,
    yardstick_tally,
)
from .comparisons import (
    RULES,
    combinations,
    gain_errors,
    gains,
    gains_by_seed,
    leading_gains,
    mean_gains,
    seed_against_seed,
    shown_combinations,
    verdicts,
    with_means,
)
from .earlier import ATTRIBUTION, costs, on_equal_terms, reported, sources, table_1, with_costs
from .geometry import geometry_of_runs, geometry_of_systems, projections, shown_geometry
from .measured import (
    RESAMPLES,
    all_predictions,
    cells,
    claims_and_own,
    coded,
    label_order,
    measured_earlier,
    measured_systems,
    read_ahead,
    shared_seeds,
    source_name,
)
from .pictures import shown_way, way, way_runs
from .protocols import gap_runs, protocol_gaps, yardstick_gaps
from .speakers import gender_table, speaker_range_by_chance, speaker_spread, speaker_table
from .trials import disturbed, elsewhere, trials_disturbed
from .words import (
    ENDS,
    IN_COMBINATIONS,
    TITLES,
    corpus_title,
    interval_text,
    of_protocol,
    p_text,
    place_title,
    protocol_title,
    seeds_text,
    title,
    wide_gain,
    with_interval,
)
