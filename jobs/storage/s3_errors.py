"""What S3's errors mean, and what to do about them."""

from __future__ import annotations

from urllib.parse import urlsplit

from jobs.errors import ConflictError, StorageError
from jobs.storage.retry import details_of, http_status, service_code

_ARCHIVED = "InvalidObjectState"
CLOCK_DIFFERS = "RequestTimeTooSkewed"
_REFUSED_CREDENTIALS = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}


def refuses_condition(error: OSError) -> bool:
    """Return whether a conditional write was refused because the object is another one."""
    if http_status(error) == 404:  # the object is gone, or the bucket
        return service_code(error) != "NoSuchBucket"
    return http_status(error) in (409, 412)


def as_oserror(error: Exception) -> OSError:
    """Return an error of s3fs or botocore as an OSError that names the remedy."""
    status, code = http_status(error), service_code(error)
    name = type(error).__name__
    if isinstance(error, ConflictError):
        return error
    if code == "NoSuchBucket":
        return FileNotFoundError("there is no such bucket")
    if isinstance(error, FileNotFoundError):
        return error
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return PermissionError(
            "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " a profile (AWS_PROFILE), or --storage-option anon=true for a public bucket"
        )
    if code in _REFUSED_CREDENTIALS:
        return PermissionError(
            f"the credentials are refused, {code}: check AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, the profile, or the storage options key and secret"
        )
    if code == _ARCHIVED:
        return StorageError(
            f"the object is archived ({code}): restore it (aws s3api restore-object), then run"
            " again"
        )
    if code == CLOCK_DIFFERS:
        return StorageError(f"{_clocks_of(error)} ({code}): set the clock of this machine (NTP)")
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(f"access denied, {code or status}: ask for access")
    if status == 404:
        return FileNotFoundError(str(error))
    if status is not None:
        return StorageError(f"S3 answers {status} {code or ''}: {error}")
    if name == "EndpointConnectionError":
        return StorageError(
            f"nothing answers at {_endpoint_of(error)}: check the network, and AWS_ENDPOINT_URL"
            " or --storage-option endpoint_url=…"
        )
    if isinstance(error, OSError):
        return error
    return StorageError(f"{name}: {error}")


def _clocks_of(error: BaseException) -> str:
    """Return text with the clocks of this machine and of S3, if the answer names them."""
    details = details_of(error)
    if "RequestTime" in details and "ServerTime" in details:
        return f"this machine's clock says {details['RequestTime']}, S3's {details['ServerTime']}"
    return "this machine's clock differs from S3's"


def _endpoint_of(error: Exception) -> str:
    parts = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
