"""What grows has a limit: each kind of thing that runs leave behind, and how much of it stays.

pruning.py     all of them, one after the other
files.py       logs, leftovers of killed runs, seeds of homes that are gone
dagster.py     Dagster's own storage
quarantine.py  rows that nobody came back for

Never removed: the publication that readers see and what its run left, the run in progress,
raw rows, and HOME/runs.jsonl, alerts.jsonl, forgetting.json and forgotten.*, which stay small.

Importing this package imports Dagster (seconds): import it late.
"""

from orchestration.retention.pruning import Pruned, prune

__all__ = ["Pruned", "prune"]
