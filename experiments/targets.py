"""Every table and figure by its name."""

from collections.abc import Callable, Mapping
from functools import partial

from experiments import beyond, fewer_pivots, paper_figures, paper_tables
from experiments.leaf import Leaf
from experiments.made import Runs

TARGETS: Mapping[str, Callable[[Runs], Leaf]] = {
    **{f"table{which}": partial(paper_tables.table, which) for which in paper_tables.TABLES},
    "table5": paper_tables.table5,
    "fig2": paper_figures.fig2,
    "fig3": partial(paper_figures.selection, 3, "mnist4"),
    "fig4": partial(paper_figures.selection, 4, "mnist"),
    "fig5": partial(paper_figures.agreement, 5, "mnist", "dihyfo1"),
    "fig6": partial(paper_figures.agreement, 6, "mnist4", "dihyfo1"),
    "fig7": partial(paper_figures.agreement, 7, "mnist", "dihyfo2"),
    "fig8": partial(paper_figures.agreement, 8, "mnist4", "dihyfo2"),
    "fig9": partial(paper_figures.curves, 9, "mnist4"),
    "fig10": partial(paper_figures.curves, 10, "mnist"),
    "fig11": partial(paper_figures.comparison, 11, "mnist4", "dihyfo1"),
    "fig12": partial(paper_figures.evolution, 12, "mnist4", "dihyfo1"),
    "fig13": partial(paper_figures.comparison, 13, "mnist4", "dihyfo2"),
    "fig14": partial(paper_figures.evolution, 14, "mnist4", "dihyfo2"),
    "fig15": partial(paper_figures.comparison, 15, "mnist", "dihyfo1"),
    "fig16": partial(paper_figures.evolution, 16, "mnist", "dihyfo1"),
    "fig17": partial(paper_figures.comparison, 17, "mnist", "dihyfo2"),
    "fig18": partial(paper_figures.evolution, 18, "mnist", "dihyfo2"),
    "fig31": paper_figures.fig31,
    **beyond.TARGETS,
    **{f"pivots-{setting}": partial(fewer_pivots.fewer, setting) for setting in fewer_pivots.FEWER},
}
"""Name to what makes it; after the paper's own come those that it does not have."""
