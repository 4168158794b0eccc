"""Query a table with DuckDB: formats, copies and levels, in SQL on the Parquet files.

    python examples/query_with_duckdb.py TABLE

DuckDB reads only the columns that a query names, so this is quick for millions of rows. It reads
``s3://bucket/table`` too, after ``INSTALL httpfs; LOAD httpfs``.
"""

from __future__ import annotations

import argparse

import duckdb

#: One row for each file: its first segment, of its first channel.
FILES = "SELECT * FROM read_parquet($parts) WHERE segment = 0 AND coalesce(channel, 0) = 0"

FORMATS = f"""
SELECT format, subtype, sample_rate_hz, channels, count(*) AS files,
       round(sum(duration_s) / 60, 1) AS minutes
FROM ({FILES}) GROUP BY ALL ORDER BY files DESC, format, subtype, sample_rate_hz, channels
"""

COPIES = f"""
SELECT list(path ORDER BY path) AS paths, count(DISTINCT label) > 1 AS contradict
FROM ({FILES}) WHERE NOT is_silent GROUP BY audio_hash HAVING count(*) > 1 ORDER BY paths
"""

LEVELS = f"""
SELECT label, quantile_cont(20 * log10(peak), [0.05, 0.5, 0.95]) AS peak_dbfs
FROM ({FILES}) WHERE NOT is_silent GROUP BY label ORDER BY label
"""

FAILURES = """
SELECT error_kind, count(*) AS files, min(path) AS example
FROM read_parquet($parts) GROUP BY error_kind ORDER BY files DESC, error_kind
"""


def query(sql: str, table: str, part: str = "features") -> list[tuple]:
    """Return the rows of a query on the features or the errors of a table."""
    # The pattern is a parameter, so a quote in the name of the folder does no harm.
    return duckdb.execute(sql, {"parts": f"{table}/{part}/**/*.parquet"}).fetchall()


def main() -> None:
    """Print the results of four queries."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", metavar="TABLE")
    table = parser.parse_args().table

    print("format, encoding, rate, channels, files, minutes:")
    for row in query(FORMATS, table):
        print("  ", *row)
    print("copies of the same audio:")
    for paths, contradict in query(COPIES, table):
        print("  ", paths, "under different labels" if contradict else "")
    print("peak in dBFS: 5 %, median and 95 % of the files of a label:")
    for label, levels in query(LEVELS, table):
        print("  ", repr(label), *(f"{level:.1f}" for level in levels))
    print("files without features:")
    for kind, n_files, example in query(FAILURES, table, "errors"):
        print("  ", kind, n_files, f"such as {example!r}")


if __name__ == "__main__":
    main()
