"""Microsoft Graph v1.0, as far as mail goes."""

from sandbox.graph import delta, person, reading, writing
from sandbox.graph.asking import ROOT
from sandbox.graph.calls import Graph

# Each of the modules adds its addresses when it is imported.
__all__ = ["ROOT", "Graph", "delta", "person", "reading", "writing"]
