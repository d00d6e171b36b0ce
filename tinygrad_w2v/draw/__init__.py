"""Pictures of what the engine and the models do, as text that any browser shows."""

from .graph import Kept as Kept, graph as graph, keeping as keeping
from .graphviz import GraphvizError as GraphvizError
from .shown import tensor_html as tensor_html
