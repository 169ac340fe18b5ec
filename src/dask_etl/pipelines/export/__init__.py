"""Tables as CSV, for those who do not read Delta Lake tables or Parquet."""

from .pipeline import create_pipeline as create_pipeline
