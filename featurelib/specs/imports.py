"""Feature families of users, defined in Python files that a spec imports."""

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
    """Python file that defines feature families.

    Attributes
    ----------
    file : str
        File name, for people.
    sha256 : str
        Digest of the content. It is part of the fingerprint of specs that use its features.
    source : str
        Content of the file.
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
        """Return the import that a stored spec names, with its source code.

        Parameters
        ----------
        file, sha256 : str
            File name and digest in the stored spec.
        sources : mapping of str to str
            Source code by digest.

        Raises
        ------
        SpecError
            If the source code is missing, or does not have the digest.
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
        """Run the code, once per process, and return the families that it defines.

        Returns
        -------
        dict of str to type
            Subclasses of `Feature` by family name.

        Raises
        ------
        SpecError
            If the code fails, defines no family, or defines a family of featurelib.
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
                sys.modules[name] = module  # the dataclass decorator needs it there
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
    """Return the SHA-256 digest of source code, as hex digits."""
    return hashlib.sha256(source.encode()).hexdigest()
