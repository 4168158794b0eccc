"""Features of a user's own: a Python file that a spec names, and its code where it is needed."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from featurelib.errors import SpecError
from featurelib.features import Feature, families, families_in

_lock = threading.Lock()


@dataclass(frozen=True)
class Import:
    """A file with features of a user's own.

    Attributes
    ----------
    file : str
        Its name, for people.
    sha256 : str
        Digest of its contents: part of the fingerprint of specs that use it.
    source : str
        Its contents.
    """

    file: str
    sha256: str
    source: str = field(repr=False, compare=False)

    @classmethod
    def read(cls, path: str | Path) -> Import:
        """Read a file.

        Raises
        ------
        SpecError
            If it cannot be read.
        """
        try:
            source = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SpecError(f"import: cannot read {str(path)!r}: {reason}") from error
        return cls(Path(path).name, digest_of(source), source)

    @classmethod
    def recorded(cls, file: str, sha256: str, sources: Mapping[str, str]) -> Import:
        """Find the source of a file that a spec was made with.

        Parameters
        ----------
        file, sha256 : str
            As the spec has them.
        sources : mapping
            Sources by their digests.

        Raises
        ------
        SpecError
            If the source is not there, or is another one.
        """
        source = sources.get(sha256)
        if source is None:
            raise SpecError(
                f"the spec imports features from {file!r}, whose code is not at hand: give the"
                " settings file that names it"
            )
        if digest_of(source) != sha256:
            raise SpecError(f"the code of {file!r} is not the one that the spec was made with")
        return cls(file, sha256, source)

    def families(self) -> dict[str, type[Feature]]:
        """Run the code, once a process, and return the families that it defines.

        Raises
        ------
        SpecError
            If it fails, or defines none, or one that featurelib has.
        """
        found = dict(families_in(self._module()))
        if not found:
            raise SpecError(f"import: {self.file!r} defines no subclass of Feature with a family")
        for name in found:
            if name in families():
                raise SpecError(f"import: {self.file!r}: the family {name!r} is featurelib's own")
        return found

    def _module(self) -> ModuleType:
        name = f"featurelib_import_{self.sha256[:16]}"
        with _lock:
            if name not in sys.modules:
                module = ModuleType(name)
                module.__file__ = self.file
                sys.modules[name] = module  # dataclasses look their module up
                try:
                    exec(compile(self.source, self.file, "exec"), module.__dict__)
                except (Exception, SystemExit) as error:
                    del sys.modules[name]
                    raise SpecError(
                        f"import: {self.file!r} fails with {type(error).__name__}: {error}"
                    ) from error
                for kind in vars(module).values():
                    if isinstance(kind, type) and kind.__module__ == name:
                        kind.source_digest = self.sha256  # type: ignore[attr-defined]
        return sys.modules[name]


def digest_of(source: str) -> str:
    """The digest of a file's contents."""
    return hashlib.sha256(source.encode()).hexdigest()
