"""triport takes a trained model to three ports - server, phone, browser - and proves that all of them answer the same.

    import triport as tp

    model = tp.Sequential([tp.Input((28, 28, 1)), tp.layers.Conv2D(8, 3, activation="relu"), ...])
    tp.export(model, "dist/", to=["onnx", "tflite", "web"])

Every public name is loaded on first use, so that ``import triport`` costs neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .exporter.version import VERSION as __version__

# Public name → where it lives. A path that ends in ``:`` and a name is that name of the module; otherwise the module.
_PUBLIC: dict[str, str] = {
    "Graph": ".exporter.graph:Graph",
    "Input": ".exporter.models:Input",
    "Layer": ".exporter.models:Layer",
    "Model": ".exporter.models:Model",
    "Preprocessing": ".exporter.preprocessing:Preprocessing",
    "Report": ".runtime_checks:Report",
    "Sequential": ".exporter.models:Sequential",
    "activations": ".exporter.models.activations",
    "callbacks": ".exporter.models.callbacks",
    "capture": ".exporter.capture:capture",
    "capture_saved": ".exporter.capture:capture_saved",
    "check": ".runtime_checks:check",
    "errors": ".exporter.errors",
    "export": ".runtime_checks:export",
    "initializers": ".exporter.models.initializers",
    "inspect": ".runtime_checks:inspect",
    "layers": ".exporter.models.layers",
    "load_model": ".exporter.models:load_model",
    "losses": ".exporter.models.losses",
    "metrics": ".exporter.models.metrics",
    "models": ".exporter.models",
    "optimizers": ".exporter.models.optimizers",
    "quantize": ".quantize",
    "quantize_aware": ".quantize.aware:quantize_aware",
    "regularizers": ".exporter.models.regularizers",
    "schedules": ".exporter.models.schedules",
    "set_random_seed": ".exporter.models:set_random_seed",
    "set_seed": ".exporter.models:set_seed",
    "verify": ".runtime_checks:verify",
}

__all__ = [  # a literal list, or type checkers take none of the names for public
    "Graph",
    "Input",
    "Layer",
    "Model",
    "Preprocessing",
    "Report",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "capture",
    "capture_saved",
    "check",
    "errors",
    "export",
    "initializers",
    "inspect",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "quantize",
    "quantize_aware",
    "regularizers",
    "schedules",
    "set_random_seed",
    "set_seed",
    "verify",
]

if TYPE_CHECKING:  # the same names once more, for type checkers and editors; a test holds the two together
    from .exporter import errors as errors
    from .exporter import models as models
    from .exporter.capture import capture as capture
    from .exporter.capture import capture_saved as capture_saved
    from .exporter.graph import Graph as Graph
    from .exporter.models import Input as Input
    from .exporter.models import Layer as Layer
    from .exporter.models import Model as Model
    from .exporter.models import Sequential as Sequential
    from .exporter.models import activations as activations
    from .exporter.models import callbacks as callbacks
    from .exporter.models import initializers as initializers
    from .exporter.models import layers as layers
    from .exporter.models import load_model as load_model
    from .exporter.models import losses as losses
    from .exporter.models import metrics as metrics
    from .exporter.models import optimizers as optimizers
    from .exporter.models import regularizers as regularizers
    from .exporter.models import schedules as schedules
    from .exporter.models import set_random_seed as set_random_seed
    from .exporter.models import set_seed as set_seed
    from .exporter.preprocessing import Preprocessing as Preprocessing
    from .quantize import quantize as quantize
    from .quantize.aware import quantize_aware as quantize_aware
    from .runtime_checks import Report as Report
    from .runtime_checks import check as check
    from .runtime_checks import export as export
    from .runtime_checks import inspect as inspect
    from .runtime_checks import verify as verify


def _load(name: str) -> object:
    """The public object called name, loaded now; raises AttributeError for a name that is not public."""
    try:
        path = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    module_path, _, attribute = path.partition(":")
    module = import_module(module_path, __name__)
    value: object = getattr(module, attribute) if attribute else module
    globals()[name] = value  # the next use does not come here
    return value


if not TYPE_CHECKING:  # or a type checker would take every misspelt name for a public one
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted(__all__)
