"""The sections of the page: one module each reads, says and draws its subject."""
