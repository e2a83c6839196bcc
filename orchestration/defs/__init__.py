"""The asset graph, one folder per step of the chain."""
