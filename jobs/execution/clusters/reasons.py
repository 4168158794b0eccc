"""Why a cluster does not start."""

from __future__ import annotations


def reason_of(error: BaseException) -> BaseException:
    """Return the first error of a chain: Dask's own last one says only that something failed.

    Examples
    --------
    >>> try:
    ...     try:
    ...         raise OSError(98, "Address already in use")
    ...     except OSError as first:
    ...         raise RuntimeError("Scheduler failed to start.") from first
    ... except RuntimeError as last:
    ...     print(reason_of(last))
    [Errno 98] Address already in use
    """
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error
