"""The journey map: what an analyst edits."""
