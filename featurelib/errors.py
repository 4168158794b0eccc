"""Exceptions that featurelib raises for invalid input."""

from __future__ import annotations

from typing import Literal

AudioErrorKind = Literal[
    "undecodable", "empty", "not_finite", "too_short", "too_long", "unsuitable"
]


class FeaturelibError(Exception):
    """Base class of all exceptions of featurelib."""


class SpecError(FeaturelibError, ValueError):
    """A feature spec is unknown or malformed, or asks for something that cannot be computed."""


class ParameterError(FeaturelibError, ValueError):
    """An argument other than the spec has the wrong type, shape or value."""


class AudioError(FeaturelibError):
    """The content of one audio source cannot be used.

    A source that cannot be opened or read raises ``OSError`` instead.

    Attributes
    ----------
    kind : {"undecodable", "empty", "not_finite", "too_short", "too_long", "unsuitable"}
        Kind of error, for programs. "unsuitable" means that the sampling rate or the
        channels of the audio do not fit the spec.
    message : str
        Cause and, if there is one, the remedy, in one line, for people.
    """

    def __init__(self, kind: AudioErrorKind, message: str) -> None:
        # Both are in args, so that the exception can be pickled.
        super().__init__(kind, message)
        self.kind: AudioErrorKind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class MissingExtraError(FeaturelibError, ImportError):
    """A library is missing that only some commands need; the message says what to install."""


class DecoderError(FeaturelibError):
    """A library that decodes audio is missing, too old, or built without a codec."""
