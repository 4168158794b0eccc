"""Names and arguments of the reference."""

from __future__ import annotations

import inspect

from featurelib.kernels import (
    contrast,
    fft,
    filters,
    moments,
    peaks,
    quantiles,
    reference,
    samples,
    spectral,
)

MODULES = (contrast, fft, filters, moments, peaks, quantiles, samples, spectral)


def test_every_kernel_has_a_reference_with_the_same_arguments():
    compiled = {
        name: function.py_func
        for module in MODULES
        for name, function in vars(module).items()
        if hasattr(function, "py_func") and function.py_func.__module__ == module.__name__
        if not name.startswith("_") and function is not fft.magnitudes
    } | {"transform": fft.transform}
    assert len(compiled) > 20
    for name, function in compiled.items():
        arguments = inspect.signature(function).parameters
        assert list(arguments) == list(inspect.signature(getattr(reference, name)).parameters), name
