"""Linear and generalized linear mixed models, in R's formula language and with lme4's names.

>>> import mixeff as mx
>>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
>>> round(m.sigma, 2)
25.59
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixeff.control import Control as Control
    from mixeff.datasets import load_dataset as load_dataset
    from mixeff.errors import ComparisonError as ComparisonError
    from mixeff.errors import ComparisonWarning as ComparisonWarning
    from mixeff.errors import ConvergenceError as ConvergenceError
    from mixeff.errors import ConvergenceWarning as ConvergenceWarning
    from mixeff.errors import DataError as DataError
    from mixeff.errors import DataWarning as DataWarning
    from mixeff.errors import DesignError as DesignError
    from mixeff.errors import DesignWarning as DesignWarning
    from mixeff.errors import FormulaError as FormulaError
    from mixeff.errors import MixeffError as MixeffError
    from mixeff.errors import MixeffWarning as MixeffWarning
    from mixeff.errors import OptionError as OptionError
    from mixeff.errors import PredictionError as PredictionError
    from mixeff.errors import UnknownColumnError as UnknownColumnError
    from mixeff.inference.bootstrap.likelihood_ratio import bootstrap_lrt as bootstrap_lrt
    from mixeff.inference.bootstrap.result import Bootstrap as Bootstrap
    from mixeff.inference.conditional_aic import ConditionalAIC as ConditionalAIC
    from mixeff.inference.information import aic as aic
    from mixeff.inference.information import bic as bic
    from mixeff.inference.likelihood_ratio import anova as anova
    from mixeff.inference.model_comparison import caic as caic
    from mixeff.inference.model_comparison import compare_models as compare_models
    from mixeff.inference.profile.result import Profile as Profile
    from mixeff.model.fit import LinearMixedModel as LinearMixedModel
    from mixeff.model.generalized_fit import GeneralizedMixedModel as GeneralizedMixedModel
    from mixeff.model.glmer import glmer as glmer
    from mixeff.model.glmer import glmer_nb as glmer_nb
    from mixeff.model.lm_list import LmList as LmList
    from mixeff.model.lm_list import lm_list as lm_list
    from mixeff.model.lmer import lmer as lmer
    from mixeff.model.refit_many import ManyFits as ManyFits
    from mixeff.model.refit_many import refit_many as refit_many

    __version__: str

# Public name -> module that defines it; loaded when first asked for, so that importing mixeff
# imports nothing else.
_ERRORS = (
    "ComparisonError",
    "ComparisonWarning",
    "ConvergenceError",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "DesignError",
    "DesignWarning",
    "FormulaError",
    "MixeffError",
    "MixeffWarning",
    "OptionError",
    "PredictionError",
    "UnknownColumnError",
)
_HOMES = {
    "Bootstrap": "mixeff.inference.bootstrap.result",
    "ConditionalAIC": "mixeff.inference.conditional_aic",
    "Control": "mixeff.control",
    "GeneralizedMixedModel": "mixeff.model.generalized_fit",
    "LinearMixedModel": "mixeff.model.fit",
    "LmList": "mixeff.model.lm_list",
    "ManyFits": "mixeff.model.refit_many",
    "Profile": "mixeff.inference.profile.result",
    "aic": "mixeff.inference.information",
    "anova": "mixeff.inference.likelihood_ratio",
    "bic": "mixeff.inference.information",
    "bootstrap_lrt": "mixeff.inference.bootstrap.likelihood_ratio",
    "caic": "mixeff.inference.model_comparison",
    "compare_models": "mixeff.inference.model_comparison",
    "glmer": "mixeff.model.glmer",
    "glmer_nb": "mixeff.model.glmer",
    "lm_list": "mixeff.model.lm_list",
    "lmer": "mixeff.model.lmer",
    "load_dataset": "mixeff.datasets",
    "refit_many": "mixeff.model.refit_many",
    **dict.fromkeys(_ERRORS, "mixeff.errors"),
}

# Rooms a user reaches as attributes: mx.plots.qq(fit).
_ROOMS = ("datasets", "errors", "families", "plots")

__all__ = [
    "Bootstrap",
    "ComparisonError",
    "ComparisonWarning",
    "ConditionalAIC",
    "Control",
    "ConvergenceError",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "DesignError",
    "DesignWarning",
    "FormulaError",
    "GeneralizedMixedModel",
    "LinearMixedModel",
    "LmList",
    "ManyFits",
    "MixeffError",
    "MixeffWarning",
    "OptionError",
    "PredictionError",
    "Profile",
    "UnknownColumnError",
    "__version__",
    "aic",
    "anova",
    "bic",
    "bootstrap_lrt",
    "caic",
    "compare_models",
    "glmer",
    "glmer_nb",
    "lm_list",
    "lmer",
    "load_dataset",
    "refit_many",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _ROOMS:
        return import_module(f"mixeff.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mixeff' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS, *globals()})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mixeff")
    except PackageNotFoundError:
        # A source tree on the path that was never installed.
        return "0+unknown"
