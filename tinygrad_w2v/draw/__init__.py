"""Pictures of the engine and the models: figures by matplotlib, graphs and pages of our own.

What is drawn is computed by functions that need NumPy alone; docs/stepping.md shows graphs,
docs/pictures.md words and layers.
"""

from .expectation import (
    expectation_of as expectation_of,
    observed_minus_expected as observed_minus_expected,
)
from .graph import Kept as Kept, graph as graph, keeping as keeping
from .graphviz import GraphvizError as GraphvizError
from .layers import layers_of as layers_of, strips as strips, strips_figure as strips_figure
from .paths import descend as descend, paths_figure as paths_figure
from .shown import tensor_html as tensor_html
from .training import NeighbourRecorder as NeighbourRecorder
from .words import pca as pca, word_map as word_map, words_around as words_around
