"""The links: eta of a mean, mean of an eta, and what the log-likelihoods need of it.

Log-likelihoods are sums of a few functions of the mean h(eta): h, log h, log(1 - h) and powers
of h. Every link gives these with four derivatives, in closed form where the chain rule would
cancel, so that canonical pairs come out exact (y / h of Gamma and inverse is y eta, its second
derivative is zero).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.jets import Jet, log_of, power_of
from mixeff.generalized.families.probit import normal_log_jet
from mixeff.generalized.families.special import expit, ndtr, softplus

Floats = NDArray[np.float64]

_BELOW_ONE = float(np.nextafter(1.0, 0.0))
_TINY = float(np.finfo(np.float64).tiny)
_HUGE = float(np.finfo(np.float64).max)
_REAL = (-math.inf, math.inf)
_POSITIVE = (0.0, math.inf)
_UNIT = (0.0, 1.0)


class BaseLink(ABC):
    """What is common: everything follows from ``mean_jet`` unless a link knows better.

    Attributes
    ----------
    name : str, as R names the link
    mean_range : (float, float), open interval of the means it can give
    """

    name: ClassVar[str] = ""
    mean_range: ClassVar[tuple[float, float]] = _REAL

    @abstractmethod
    def eta(self, mu: Floats) -> Floats:
        """(n,) linear predictor of the mean."""

    @abstractmethod
    def mean_jet(self, eta: Floats) -> Jet:
        """h(eta) and its four derivatives, not clipped."""

    def mu(self, eta: Floats) -> Floats:
        """(n,) mean of the linear predictor; never rounds onto the edge of the valid means."""
        return _inside(self.mean_jet(eta)[0], self.mean_range)

    def derivatives(self, eta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """First to fourth derivative of ``mu`` with respect to eta, (n,) each."""
        _, first, second, third, fourth = self.mean_jet(eta)
        return first, second, third, fourth

    def log_jet(self, eta: Floats) -> Jet:
        """log h and its four derivatives; NaN where h is negative."""
        return log_of(self.mean_jet(eta))

    def log_complement_jet(self, eta: Floats) -> Jet:
        """log(1 - h) and its four derivatives; NaN where h is above one."""
        value, first, second, third, fourth = self.mean_jet(eta)
        return log_of((1.0 - value, -first, -second, -third, -fourth))

    def power_jet(self, eta: Floats, exponent: float) -> Jet:
        """h ** exponent and its four derivatives."""
        return power_of(self.mean_jet(eta), exponent)


def _inside(mu: Floats, valid: tuple[float, float]) -> Floats:
    if valid == _UNIT:
        return np.clip(mu, _TINY, _BELOW_ONE)
    if valid == _POSITIVE:
        return np.clip(mu, _TINY, _HUGE)
    return mu


def _mirror(jet: Jet) -> Jet:
    """Derivatives of f(-eta) from those of f at -eta."""
    return jet[0], -jet[1], jet[2], -jet[3], jet[4]


@dataclass(frozen=True)
class Logit(BaseLink):
    """log(mu / (1 - mu))."""

    name: ClassVar[str] = "logit"
    mean_range: ClassVar[tuple[float, float]] = _UNIT

    def eta(self, mu: Floats) -> Floats:
        return np.asarray(np.log(mu) - np.log1p(-mu))

    def mean_jet(self, eta: Floats) -> Jet:
        p, q = expit(eta), expit(-eta)
        v, d = p * q, q - p
        return p, v, v * d, v * (1.0 - 6.0 * v), v * d * (1.0 - 12.0 * v)

    def log_jet(self, eta: Floats) -> Jet:
        p, q = expit(eta), expit(-eta)
        v = p * q
        return -softplus(-eta), q, -v, -v * (q - p), -v * (1.0 - 6.0 * v)

    def log_complement_jet(self, eta: Floats) -> Jet:
        return _mirror(self.log_jet(-eta))


@dataclass(frozen=True)
class Probit(BaseLink):
    """The standard normal quantile of the mean."""

    name: ClassVar[str] = "probit"
    mean_range: ClassVar[tuple[float, float]] = _UNIT

    def eta(self, mu: Floats) -> Floats:
        from scipy.special import ndtri

        return np.asarray(ndtri(mu))

    def mean_jet(self, eta: Floats) -> Jet:
        # The density is zero in double precision long before eta cubed overflows.
        x = np.clip(eta, -50.0, 50.0)
        density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
        return (
            ndtr(eta),
            density,
            -x * density,
            (x * x - 1.0) * density,
            x * (3.0 - x * x) * density,
        )

    def log_jet(self, eta: Floats) -> Jet:
        return normal_log_jet(eta)

    def log_complement_jet(self, eta: Floats) -> Jet:
        return _mirror(normal_log_jet(-eta))


@dataclass(frozen=True)
class Cloglog(BaseLink):
    """log(-log(1 - mu))."""

    name: ClassVar[str] = "cloglog"
    mean_range: ClassVar[tuple[float, float]] = _UNIT

    def eta(self, mu: Floats) -> Floats:
        return np.asarray(np.log(-np.log1p(-mu)))

    def mean_jet(self, eta: Floats) -> Jet:
        x = _hazard(eta)
        d = x * np.exp(-x)
        return (
            -np.expm1(-x),
            d,
            d * (1.0 - x),
            d * (1.0 + x * (x - 3.0)),
            d * (1.0 - x * (7.0 + x * (x - 6.0))),
        )

    def log_jet(self, eta: Floats) -> Jet:
        x = _hazard(eta)
        with np.errstate(over="ignore"):
            b = np.where(x > 0, x / np.where(x > 0, np.expm1(x), 1.0), 1.0)
        c = _one_minus_bernoulli(x, b) - x
        slope = -x - b * c
        square = c * c - x - b * c
        # Where exp(eta) underflows log h is eta itself.
        small = np.log(np.maximum(-np.expm1(-x), _TINY))
        value = np.where(eta < -40.0, eta - 0.5 * x, np.where(x < 1.0, small, _log_tail(x)))
        # db = b c, dc = slope along eta.
        fourth = b * c * square + b * (2.0 * c * slope - x - b * c * c - b * slope)
        return value, b, b * c, b * square, fourth

    def log_complement_jet(self, eta: Floats) -> Jet:
        with np.errstate(over="ignore"):
            x = -np.exp(eta)
        return x, x, x, x, x


def _hazard(eta: Floats) -> Floats:
    # exp(-750) is zero: beyond, nothing of h changes, and products of powers stay finite.
    hazard: Floats = np.exp(np.minimum(eta, math.log(750.0)))
    return hazard


def _log_tail(x: Floats) -> Floats:
    tail: Floats = np.log1p(-np.exp(-np.maximum(x, 0.5)))
    return tail


def _one_minus_bernoulli(x: Floats, b: Floats) -> Floats:
    """1 - x / (exp(x) - 1), exact for small x."""
    square = np.minimum(x, 1.0) ** 2
    # Bernoulli numbers over factorials: x/2 - x^2/12 + x^4/720 - x^6/30240 + ...
    terms = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)
    series = np.zeros_like(x)
    for term in reversed(terms):
        series = series * square + term
    return np.where(x < 0.3, 0.5 * x - square * series, 1.0 - b)


@dataclass(frozen=True)
class Cauchit(BaseLink):
    """The Cauchy quantile of the mean."""

    name: ClassVar[str] = "cauchit"
    mean_range: ClassVar[tuple[float, float]] = _UNIT

    def eta(self, mu: Floats) -> Floats:
        # From the nearer end: tan loses its digits at the poles.
        low = np.minimum(mu, 1.0 - mu)
        eta = np.sign(mu - 0.5) / np.tan(math.pi * low)
        return np.asarray(eta, dtype=np.float64)

    def mean_jet(self, eta: Floats) -> Jet:
        s = 1.0 / (1.0 + eta * eta)
        first = s / math.pi
        return (
            np.arctan2(1.0, -eta) / math.pi,
            first,
            -2.0 * eta * s * first,
            (6.0 * eta * eta - 2.0) * s * s * first,
            24.0 * eta * (1.0 - eta * eta) * s**3 * first,
        )

    def log_complement_jet(self, eta: Floats) -> Jet:
        return _mirror(self.log_jet(-eta))


@dataclass(frozen=True)
class Log(BaseLink):
    """log(mu)."""

    name: ClassVar[str] = "log"
    mean_range: ClassVar[tuple[float, float]] = _POSITIVE

    def eta(self, mu: Floats) -> Floats:
        return np.asarray(np.log(mu))

    def mean_jet(self, eta: Floats) -> Jet:
        return self.power_jet(eta, 1.0)

    def log_jet(self, eta: Floats) -> Jet:
        zero = np.zeros_like(eta)
        return eta, np.ones_like(eta), zero, zero, zero

    def log_complement_jet(self, eta: Floats) -> Jet:
        """In h / (1 - h), whose derivative is itself times one plus itself."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = np.log(-np.expm1(eta))
            odds = np.exp(eta) / -np.expm1(eta)
            second = odds * (1.0 + odds)
            third = second * (1.0 + 2.0 * odds)
            fourth = second * (1.0 + 6.0 * odds * (1.0 + odds))
        return value, -odds, -second, -third, -fourth

    def power_jet(self, eta: Floats, exponent: float) -> Jet:
        p = exponent
        with np.errstate(over="ignore"):
            value = np.exp(p * eta)
            return value, p * value, p * p * value, p**3 * value, p**4 * value


@dataclass(frozen=True)
class PowerLink(BaseLink):
    """Links with mu = eta ** root."""

    root: ClassVar[float] = 1.0

    def eta(self, mu: Floats) -> Floats:
        return np.asarray(mu ** (1.0 / self.root))

    def mu(self, eta: Floats) -> Floats:
        return self.mean_jet(eta)[0]

    def mean_jet(self, eta: Floats) -> Jet:
        return self.power_jet(eta, 1.0)

    def log_jet(self, eta: Floats) -> Jet:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            d = 1.0 / eta
            m = self.root
            return m * np.log(eta), m * d, -m * d * d, 2.0 * m * d**3, -6.0 * m * d**4

    def power_jet(self, eta: Floats, exponent: float) -> Jet:
        parts, factor, power = [], 1.0, self.root * exponent
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for _ in range(5):
                # A derivative that vanishes does so exactly, also where the power overflows.
                parts.append(factor * eta**power if factor else np.zeros_like(eta))
                factor, power = factor * power, power - 1.0
        return parts[0], parts[1], parts[2], parts[3], parts[4]


@dataclass(frozen=True)
class Identity(PowerLink):
    """mu itself."""

    name: ClassVar[str] = "identity"
    root: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Inverse(PowerLink):
    """1 / mu."""

    name: ClassVar[str] = "inverse"
    root: ClassVar[float] = -1.0


@dataclass(frozen=True)
class InverseSquare(PowerLink):
    """1 / mu^2."""

    name: ClassVar[str] = "1/mu^2"
    mean_range: ClassVar[tuple[float, float]] = _POSITIVE
    root: ClassVar[float] = -0.5


@dataclass(frozen=True)
class Sqrt(PowerLink):
    """sqrt(mu); a negative eta has the mean eta^2 as well."""

    name: ClassVar[str] = "sqrt"
    mean_range: ClassVar[tuple[float, float]] = _POSITIVE
    root: ClassVar[float] = 2.0

    def log_jet(self, eta: Floats) -> Jet:
        with np.errstate(divide="ignore"):
            value = 2.0 * np.log(np.abs(eta))
        return value, *PowerLink.log_jet(self, eta)[1:]
