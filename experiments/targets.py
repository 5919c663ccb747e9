"""Every table and figure by its name."""

from collections.abc import Callable, Mapping
from functools import partial

from experiments import beyond
from experiments import fewer_pivots as pivots
from experiments import paper_figures as drawings
from experiments import paper_tables as tables
from experiments.leaf import Leaf
from experiments.made import Runs

TARGETS: Mapping[str, Callable[[Runs], Leaf]] = {
    **{f"table{which}": partial(tables.table, which) for which in tables.TABLES},
    "table5": tables.table5,
    "fig2": drawings.fig2,
    "fig3": partial(drawings.selection, 3, "mnist4"),
    "fig4": partial(drawings.selection, 4, "mnist"),
    "fig5": partial(drawings.agreement, 5, "mnist", "dihyfo1"),
    "fig6": partial(drawings.agreement, 6, "mnist4", "dihyfo1"),
    "fig7": partial(drawings.agreement, 7, "mnist", "dihyfo2"),
    "fig8": partial(drawings.agreement, 8, "mnist4", "dihyfo2"),
    "fig9": partial(drawings.curves, 9, "mnist4"),
    "fig10": partial(drawings.curves, 10, "mnist"),
    "fig11": partial(drawings.comparison, 11, "mnist4", "dihyfo1"),
    "fig12": partial(drawings.evolution, 12, "mnist4", "dihyfo1"),
    "fig13": partial(drawings.comparison, 13, "mnist4", "dihyfo2"),
    "fig14": partial(drawings.evolution, 14, "mnist4", "dihyfo2"),
    "fig15": partial(drawings.comparison, 15, "mnist", "dihyfo1"),
    "fig16": partial(drawings.evolution, 16, "mnist", "dihyfo1"),
    "fig17": partial(drawings.comparison, 17, "mnist", "dihyfo2"),
    "fig18": partial(drawings.evolution, 18, "mnist", "dihyfo2"),
    "fig31": drawings.fig31,
    **beyond.TARGETS,
    **{f"pivots-{setting}": partial(pivots.fewer, setting) for setting in pivots.FEWER},
}
"""Name to what makes it; after the paper's own come those that it does not have."""
