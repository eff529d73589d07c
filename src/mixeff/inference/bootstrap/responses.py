"""New responses in blocks: random effects and residuals drawn or resampled, never row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.bootstrap.pools import effect_pool, residual_pool
from mixeff.linear.many import responses_at_once
from mixeff.model.linear_predictor import fitted_values
from mixeff.prediction.predict import predicted
from mixeff.prediction.scored import rows_of_the_fit
from mixeff.prediction.selection import select

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of one term that are new in every replicate.

    Attributes
    ----------
    codes : (n,) int32 array
    values : (n, q) array
    columns : tuple of int, the columns whose effects are new
    draw : callable, (generator, m) -> (m, J, q) effects
    """

    codes: NDArray[np.int32]
    values: Floats
    columns: tuple[int, ...]
    draw: Draw

    def add(self, rng: np.random.Generator, out: Floats) -> None:
        """Add their part to m linear predictors (n, m)."""
        effects = self.draw(rng, out.shape[1])
        for c in self.columns:
            # Rows of replicates side by side: what the codes pick is copied in whole lines.
            part = np.ascontiguousarray(effects[:, :, c].T)[self.codes]
            part *= self.values[:, c, None]
            out += part


@dataclass(frozen=True, slots=True)
class Responses:
    """Where replicates come from.

    Replicate j is the same whatever the number of replicates and of threads: each block of
    ``at_once`` has a seed of its own, and in a block one generator for each source of variation.

    Attributes
    ----------
    fixed : (n,) array, linear predictor without what is drawn
    effects : tuple of Effects
    noise : callable, (generator, (n, m) linear predictors) -> responses, in place where it can
    seed : SeedSequence
    at_once : int
    """

    fixed: Floats
    effects: tuple[Effects, ...]
    noise: Callable[[np.random.Generator, Floats], Floats]
    seed: np.random.SeedSequence
    at_once: int

    def block(self, number: int, m: int) -> Floats:
        """(n, m) the first m responses of a block."""
        own = np.random.SeedSequence(
            self.seed.entropy, spawn_key=(*self.seed.spawn_key, number)
        ).spawn(len(self.effects) + 1)
        out = np.empty((self.fixed.size, m))
        out[:] = self.fixed[:, None]
        for effects, seed in zip(self.effects, own[1:], strict=True):
            effects.add(np.random.default_rng(seed), out)
        return self.noise(np.random.default_rng(own[0]), out)


def root_seed(seed: Any, function: str) -> np.random.SeedSequence:
    """What all generators are made from.

    Raises
    ------
    OptionError
        Neither a whole number, a SeedSequence, a Generator nor None.
    """
    # One whole number in any case, so that a result can name what it was made from.
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(_joined(seed.generate_state(4)))
    if isinstance(seed, np.random.Generator):
        return np.random.SeedSequence(_joined(seed.integers(0, 2**32, size=4)))
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and (not whole or seed < 0):
        raise OptionError(
            f"{function}: seed must be a whole number, at least 0, a numpy Generator or None, "
            f"not {seed!r}."
        )
    return np.random.SeedSequence(None if seed is None else int(seed))


def whole_entropy(root: np.random.SeedSequence) -> int:
    """The number a root was made from."""
    assert isinstance(root.entropy, int)
    return root.entropy


def _joined(words: NDArray[Any]) -> int:
    """Words of 32 bits as one number."""
    return sum(int(word) << (32 * place) for place, word in enumerate(words.tolist()))


def responses_of(
    fit: MixedModel, kind: str, random: str | None, seed: np.random.SeedSequence, function: str
) -> Responses:
    """Replicates of a fitted model.

    Parameters
    ----------
    fit : MixedModel
    kind : {"parametric", "semiparametric"}
    random : None, "all" or str
        Which conditional modes are kept, as `simulate` takes it.
    seed : SeedSequence
    function : str, what the caller called
    """
    masks = select(fit.design, fit.request.parsed, random, function)
    fixed = predicted(fit.estimate, rows_of_the_fit(fit.design), masks)
    unit = 1.0 if isinstance(fit.estimate, GeneralizedEstimate) else fit.sigma
    effects = []
    for i, (mask, term) in enumerate(zip(masks, fit.design.random, strict=True)):
        columns = tuple(np.flatnonzero(~mask).tolist())
        if not columns:
            continue
        root = unit * fit.estimate.Lambda[i]
        if kind == "parametric":
            draw = _normal_effects(root, term.n_levels)
        else:
            draw = _resampled(effect_pool(term, fit.estimate.modes[i], root))
        effects.append(Effects(term.codes, term.values, columns, draw))
    return Responses(
        fixed, tuple(effects), _noise(fit, kind), seed, responses_at_once(fit.design.n)
    )


def _normal_effects(root: Floats, n_levels: int) -> Draw:
    q = root.shape[0]

    def draw(rng: np.random.Generator, m: int) -> Floats:
        return (rng.standard_normal((m * n_levels, q)) @ root.T).reshape(m, n_levels, q)

    return draw


def _resampled(pool: Floats) -> Draw:
    n_levels = pool.shape[0]

    def draw(rng: np.random.Generator, m: int) -> Floats:
        return pool[rng.integers(n_levels, size=(m, n_levels))]

    return draw


def _noise(fit: MixedModel, kind: str) -> Callable[[np.random.Generator, Floats], Floats]:
    design, estimate = fit.design, fit.estimate
    if isinstance(estimate, GeneralizedEstimate):
        return _family_noise(estimate, design.weights)
    scale = 1.0 if design.weights is None else 1.0 / np.sqrt(design.weights)[:, None]
    if kind == "semiparametric":
        pool = residual_pool(design, fitted_values(design, estimate), fit.sigma)

        def resampled(rng: np.random.Generator, eta: Floats) -> Floats:
            eta += pool[rng.integers(pool.size, size=eta.shape[::-1])].T * scale
            return eta

        return resampled
    scale = fit.sigma * scale

    def drawn(rng: np.random.Generator, eta: Floats) -> Floats:
        eta += rng.standard_normal(eta.shape[::-1]).T * scale
        return eta

    return drawn


def _family_noise(
    estimate: GeneralizedEstimate, weights: Floats | None
) -> Callable[[np.random.Generator, Floats], Floats]:
    family = estimate.family
    dispersion = 1.0 if estimate.dispersion is None else estimate.dispersion

    def drawn(rng: np.random.Generator, eta: Floats) -> Floats:
        for j in range(eta.shape[1]):
            mu = family.link.mu(np.ascontiguousarray(eta[:, j]))
            eta[:, j] = family.simulate(rng, mu, weights, dispersion)
        return eta

    return drawn
