"""An independent oracle: every table of the contract as DuckDB SQL over raw files."""

from oracle.comparison import assert_matches
from oracle.runner import TABLES, Inexact, oracle_tables

__all__ = ["TABLES", "Inexact", "assert_matches", "oracle_tables"]
