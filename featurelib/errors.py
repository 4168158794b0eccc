"""The exceptions that featurelib raises about what it was given."""

from __future__ import annotations

from typing import Literal

AudioErrorKind = Literal[
    "undecodable", "empty", "not_finite", "too_short", "too_long", "unsuitable"
]


class FeaturelibError(Exception):
    """Base of every error that featurelib raises itself."""


class SpecError(FeaturelibError, ValueError):
    """A feature spec is unknown, malformed, or asks for what cannot be computed."""


class ParameterError(FeaturelibError, ValueError):
    """An argument other than the spec is of the wrong type or shape."""


class AudioError(FeaturelibError):
    """The content of one audio source cannot be used.

    Failures to open or to read a source are not content: they stay ``OSError``.

    Attributes
    ----------
    kind : {"undecodable", "empty", "not_finite", "too_short", "too_long", "unsuitable"}
        What is wrong, for a program. "unsuitable" is audio that the spec cannot be applied
        to, by its rate or channels.
    message : str
        What is wrong and, where there is one, the remedy; one line, for a person.
    """

    def __init__(self, kind: AudioErrorKind, message: str) -> None:
        # Both go to args, so that the exception survives pickling between processes.
        super().__init__(kind, message)
        self.kind: AudioErrorKind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class DecoderError(FeaturelibError):
    """A library that decodes audio is missing, too old, or built without a codec."""
