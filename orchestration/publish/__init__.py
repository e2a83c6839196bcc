"""Publishing: a complete new folder per run, then one symlink swap."""
