"""Any source, mapped to raw transactions; only what is new, where that is known."""

from .pipeline import create_pipeline as create_pipeline
