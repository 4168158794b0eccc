"""Parse pages of S3 listings, in a tenth of the time that botocore takes."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from jobs.storage.key_ranges import KeyPage

_FILES, _LISTING = "Files", "ListBucketResult"


def parse_listing(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Take the objects out of the answer to a ListObjectsV2, before botocore parses the rest.

    This is a handler of botocore's event ``before-parse.s3.ListObjectsV2``.

    Raises
    ------
    ConnectionError
        If the answer is something else.
    """
    if response_dict["status_code"] != 200:
        return
    try:
        root = ElementTree.fromstring(response_dict["body"])
    except ElementTree.ParseError:
        return  # botocore raises its own error
    if _name(root) != _LISTING:  # the page of a proxy; botocore would take it for an empty listing
        raise ConnectionError(f"the answer is no listing of a bucket, but <{_name(root)}>")
    keys, sizes, tags, times, others = [], [], [], [], []
    is_encoded = False
    for element in root:
        name = _name(element)
        if name == "Contents":
            values = {_name(child): child.text or "" for child in element}
            keys.append(values["Key"])
            sizes.append(int(values["Size"]))
            tags.append(values["ETag"].strip('"'))
            times.append(values["LastModified"])
            continue
        is_encoded = is_encoded or (name == "EncodingType" and element.text == "url")
        others.append(element)
    if is_encoded:
        keys = [unquote_plus(key) if "%" in key or "+" in key else key for key in keys]
    root[:] = others
    response_dict["body"] = ElementTree.tostring(root)
    customized_response_dict[_FILES] = (keys, sizes, tags, times)


def page_of(answer: dict[str, Any]) -> KeyPage:
    """Return the page in an answer that `parse_listing` has prepared."""
    token = answer["NextContinuationToken"] if answer.get("IsTruncated") else None
    keys, sizes, tags, times = answer[_FILES]
    return KeyPage(keys, sizes, tags, times, token)


def _name(element: ElementTree.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]
