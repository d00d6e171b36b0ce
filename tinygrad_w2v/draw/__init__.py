"""Pictures of what the engine and the models do: static ones by matplotlib, pages of our own.

What is drawn is computed by functions that need NumPy alone; docs/pictures.md shows them all.
"""

from .expectation import (
    expectation_of as expectation_of,
    observed_minus_expected as observed_minus_expected,
)
from .layers import layers_of as layers_of, strips as strips, strips_figure as strips_figure
from .paths import descend as descend, paths_figure as paths_figure
from .training import NeighbourRecorder as NeighbourRecorder
from .words import pca as pca, word_map as word_map, words_around as words_around
