"""How much the generated transactions look like those of real shops.

    python -m benchmarks.realism [ROWS] [--write]

measures generated rows of the default shop, and public data where the packages that
bring them are installed; ``--write`` puts table and pictures into the documents.
"""
