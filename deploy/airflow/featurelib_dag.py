"""A nightly run as a DAG of Airflow 3: fill in the three values, and copy this to the DAG folder.

Airflow's worker needs featurelib, in an environment of its own. The exit codes decide: 75 (another
run is writing the table) skips, 2 and 3 (wrong command, limit exceeded) fail at once, and anything
else is tried again, as only the files that are missing are read then.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import dag, task

FEATURELIB = "/opt/featurelib/bin/featurelib"  # 1. the program
CORPUS = "s3://corpus-bucket/music"  # 2. what is read
TABLE = "s3://table-bucket/music"  # 3. what is written

COMMAND = [FEATURELIB, "extract", CORPUS, "--output", TABLE, "--labels", "parent", "--quiet"]

DONE, BUSY = 0, 75
HOPELESS = (2, 3)


@dag(
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
)
def featurelib_nightly() -> None:
    """Update the feature table of a corpus."""

    @task
    def extract() -> None:
        with subprocess.Popen(COMMAND) as process:
            try:
                code = process.wait()
            except BaseException:  # the task is stopped: let the run end in order
                process.terminate()
                raise
        if code == BUSY:
            raise AirflowSkipException("another run is writing the table")
        if code in HOPELESS:
            raise AirflowFailException(f"featurelib ended with {code}: see its last line")
        if code != DONE:
            raise AirflowException(f"featurelib ended with {code}")

    extract()


featurelib_nightly()
