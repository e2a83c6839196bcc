"""The gate before readers, and what they read."""
