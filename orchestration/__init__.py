"""journey-gaps: from raw customer events to ranked gaps, in your own warehouse."""
