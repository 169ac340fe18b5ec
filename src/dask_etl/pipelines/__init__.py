"""One package per pipeline: ``pipeline.py`` is the table of contents of its nodes."""
