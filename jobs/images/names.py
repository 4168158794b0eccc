"""Names of images. Pure functions."""

from __future__ import annotations

import xxhash

from jobs.storage.names import readable
from jobs.table.layout import IMAGES, UNLABELLED, safe_name

#: Folder of images without a label; a label of that name has another one.
_UNLABELLED_NAME = f"%{ord(UNLABELLED[0]):02x}{UNLABELLED[1:]}"

#: Folders with longer names are replaced by a hash: an object's key has at most 1024 bytes.
_MAX_BYTES = 500


def image_name(path: str, label: str | None, segment: int | None, *, by_folder: bool) -> str:
    """Return the name of an image, relative to the table: ``images/<label>/<file>.png``.

    No two images of a table have the same name, also on file systems that ignore case: label,
    folders and file name are there as a whole, each as `jobs.table.layout.safe_name` gives it.

    Parameters
    ----------
    path : str
        Stored path of the audio file, relative to the corpus.
    label : str, optional
        Its label.
    segment : int, optional
        Number of the segment; None if the image is of the whole file.
    by_folder : bool
        Whether labels are the names of folders: then that folder is not repeated.
    """
    *folders, name = path.split("/")
    names = [safe_name(folder) for folder in folders]
    if by_folder and folders:
        is_plain = folders[-1] == label == readable(folders[-1])
        # the mark: two folders may be read alike, and such paths must stay apart
        names = names[:-1] if is_plain else ["~~", *names]
    if len("/".join(names)) > _MAX_BYTES:
        names = [f"~~{xxhash.xxh3_128_hexdigest('/'.join(folders).encode())}"]
    number = "" if segment is None else f"-{segment:04d}"
    return "/".join([IMAGES, _folder_of(label), *names, f"{safe_name(name)}{number}.png"])


def _folder_of(label: str | None) -> str:
    if label is None:
        return UNLABELLED
    return _UNLABELLED_NAME if label == UNLABELLED else safe_name(label)
