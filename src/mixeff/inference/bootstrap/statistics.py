"""What is computed from every replicate: the parameters, a criterion, or the caller's function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import MixeffError, OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.bootstrap.parameters import parameter_names, parameters, parameters_of_fit
from mixeff.model.scales import has_scale

if TYPE_CHECKING:
    from mixeff.generalized.many import ManyGeneralized
    from mixeff.linear.many import ManyEstimates
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


class StatisticError(MixeffError):
    """The caller's function has no value for a replicate; counted, never seen by the caller."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """Numbers of a fit.

    Attributes
    ----------
    names : tuple of k str
    observed : (k,) array, of the fit itself
    of_fit : callable, fit -> (k,) array
        It may fail for single replicates: ``ArithmeticError`` and ``ValueError`` of the caller's
        function (``LinAlgError`` is one) are a ``MixeffError``.
    of_many : callable or None
        Estimates of m replicates -> (m, k) array; None where fits are needed. The estimates are
        ``ManyEstimates`` of a linear model, ``ManyGeneralized`` of a generalized one.
    """

    names: tuple[str, ...]
    observed: Floats
    of_fit: Callable[[MixedModel], Floats]
    of_many: Callable[[Any], Floats] | None


def all_parameters(fit: MixedModel) -> Statistic:
    """The standard set."""

    estimate = fit.estimate

    def of_linear(found: ManyEstimates) -> Floats:
        return parameters(fit.design, found.theta, found.beta, found.sigma, found.sigma)

    def of_generalized(found: ManyGeneralized) -> Floats:
        assert isinstance(estimate, GeneralizedEstimate)
        sigma = np.sqrt(found.dispersion) if has_scale(estimate) else None
        return parameters(fit.design, found.theta, found.beta, np.ones_like(found.loglik), sigma)

    generalized = isinstance(estimate, GeneralizedEstimate)
    of_many = of_generalized if generalized else of_linear
    return Statistic(parameter_names(fit), parameters_of_fit(fit), parameters_of_fit, of_many)


def log_likelihood(fit: MixedModel) -> Statistic:
    """The log-likelihood, that of REML where the fit is one."""
    generalized = isinstance(fit.estimate, GeneralizedEstimate)

    def of_many(found: Any) -> Floats:
        values: Floats = found.loglik if generalized else -0.5 * found.criterion
        return values[:, None]

    return Statistic(
        ("loglik",), np.array([fit.loglik]), lambda one: np.array([one.loglik]), of_many
    )


def of_function(fit: MixedModel, function: Any) -> Statistic:
    """The caller's statistic, which is computed from the fit first to know its names.

    Raises
    ------
    OptionError
        Not callable, or its value is neither a number, nor numbers in a row, nor a mapping.
    """
    if not callable(function):
        raise OptionError(
            "bootstrap: statistic must be a function of a fit, for example "
            f"statistic=lambda m: m.fixef, not {function!r}."
        )
    names, observed = _read(function, function(fit))

    def of_fit(one: MixedModel) -> Floats:
        try:
            value = function(one)
        except (ArithmeticError, ValueError) as error:
            # Numbers for which it has no value: other errors are mistakes, and raised.
            sentence = f"The statistic failed: {type(error).__name__}: {error}"
            raise StatisticError(sentence) from error
        again, values = _read(function, value)
        if again != names:
            raise OptionError(
                "bootstrap: statistic gives other values for a replicate than for the fit: "
                f"{', '.join(again) or 'none'} where there were {', '.join(names)}. It must give "
                "as many numbers, under the same names, for every fit."
            )
        return values

    return Statistic(names, observed, of_fit, None)


def _read(function: Any, value: Any) -> tuple[tuple[str, ...], Floats]:
    """Names and numbers of what the caller's function gave."""
    own = getattr(function, "__name__", "statistic")
    own = "statistic" if own == "<lambda>" else own
    labels = None
    if isinstance(value, Mapping):
        labels, value = [str(k) for k in value], list(value.values())
    elif hasattr(value, "index") and hasattr(value, "to_numpy"):
        labels = [str(k) for k in value.index]
    try:
        # numpy takes None for NaN, but it is a function without return.
        numbers = np.empty((0, 0)) if value is None else np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty((0, 0))
    if numbers.ndim > 1 or numbers.size == 0:
        raise OptionError(
            f"bootstrap: statistic must give a number, several in a row, or a mapping from names "
            f"to numbers, not {type(value).__name__}."
        )
    if numbers.ndim == 0:
        return (own,), numbers.reshape(1)
    return tuple(labels or [f"{own}{j + 1}" for j in range(numbers.size)]), numbers.copy()
