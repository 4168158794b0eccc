"""What the tests share; a test's own folder has what only its neighbours need.

audio_files
    Small audio files, and where the real recordings are.
clock
    A clock that a test sets forward, for leases.
doubles
    Extractors for files that are a word of text; gates at which files wait.
driver
    Runs and commands in processes of their own, which can be killed.
light
    A quick extractor; runs and commands in this process; looking at a table.
memory
    Peak memory of a process.
moments
    The steps of a run, and observers that act at one.
moto_server
    The S3 server of a test session.
own_features
    A file with a feature of a user's own.
pausing
    Runs in processes of their own that wait for a test's word.
quick
    Long lists of parameters, most of them slow.
refusals
    A corpus and its table, for commands that are refused.
s3_double
    A service in front of an S3 endpoint that fails as told.
several
    A corpus whose files have several rows each.
tables
    Reading tables back to compare them; writing corpora and label files.
"""
