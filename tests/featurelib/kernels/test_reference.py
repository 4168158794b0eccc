"""Names and arguments of the reference."""

from __future__ import annotations

import inspect
from importlib import import_module

from featurelib import kernels
from featurelib.kernels import fft, reference

#: What the kernels of the Fourier transform are called by.
TRANSFORMS = (
    "transform",
    "complex_transform",
    "inverse_transform",
    "overlap_add_transform",
)
MODULES = [import_module(f"featurelib.kernels.{name}") for name in kernels.MODULES]


def test_every_kernel_has_a_reference_with_the_same_arguments():
    compiled = {
        name: function.py_func
        for module in MODULES
        for name, function in vars(module).items()
        if hasattr(function, "py_func") and function.py_func.__module__ == module.__name__
        if not name.startswith("_") and module is not fft
    } | {name: getattr(fft, name) for name in TRANSFORMS}
    assert len(compiled) > 20
    for name, function in compiled.items():
        arguments = inspect.signature(function).parameters
        assert list(arguments) == list(inspect.signature(getattr(reference, name)).parameters), name
