"""The paths of a fit, made when they are asked for; a better optimum on one of them is adopted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mixeff.errors import ConvergenceError
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.profile.edge import Edge
from mixeff.inference.profile.generalized import GeneralizedModelTracks
from mixeff.inference.profile.kinds import Kind
from mixeff.inference.profile.linear import LinearModel
from mixeff.inference.profile.path import BetterOptimumError, Path
from mixeff.inference.wald import variance_names
from mixeff.model.scales import has_scale

if TYPE_CHECKING:
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.mixed import MixedModel

T = TypeVar("T")

_ADOPTIONS, _EVALUATIONS = 10, 150


class Engine:
    """Paths by parameter of one fit by maximum likelihood.

    Parameters
    ----------
    fit : MixedModel
        Not by REML, and not with ``n_agq=0``.
    closed : frozenset of str
        Parameters whose paths have led to better points that no fit confirmed.
    """

    def __init__(self, fit: MixedModel, closed: frozenset[str] = frozenset()) -> None:
        self.fit, self.closed = fit, closed
        self.names = parameter_names(fit)
        self._paths: dict[str, Path | None] = {}
        self._tracks: LinearModel | GeneralizedModelTracks | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles make again what is asked of them.
        return Engine, (self.fit, self.closed)

    @property
    def tracks(self) -> LinearModel | GeneralizedModelTracks:
        """What the paths share."""
        if self._tracks is None:
            design, estimate, control = self.fit.design, self.fit.estimate, self.fit.request.control
            # From so near an optimum more evaluations than this lead nowhere.
            most = min(control.max_evaluations, _EVALUATIONS)
            control = dataclasses.replace(control, max_evaluations=most)
            if isinstance(estimate, GeneralizedEstimate):
                family = self.fit.request.family
                assert family is not None
                self._tracks = GeneralizedModelTracks(design, estimate, family, self.names, control)
            else:
                self._tracks = LinearModel(design, estimate, self.names, control)
        return self._tracks

    def path(self, name: str) -> Path | None:
        """The path of one parameter; None for a correlation with a standard deviation of zero."""
        if name not in self._paths:
            track = self.tracks.track(name)
            if track is None:
                self._paths[name] = None
            else:
                self._paths[name] = Path(track, self._edge(name), name not in self.closed)
        return self._paths[name]

    def _edge(self, name: str) -> Edge | None:
        """Where a correlation stops to matter; None for other parameters."""
        kinds = self.tracks.kinds()
        own = kinds[name]
        if own.kind != "cor":
            return None
        names = {kind: name for name, kind in kinds.items()}
        paths = []
        for column in (own.first, own.second):
            # Paths of their own: those that are shown have points where they were asked for.
            deviation = names[Kind("sd", own.term, column)]
            track = self.tracks.track(deviation)
            assert track is not None
            paths.append(Path(track, adopts=deviation not in self.closed))
        return Edge.nearest(paths, self.names.index(name))


def parameter_names(fit: MixedModel) -> tuple[str, ...]:
    """All parameters: standard deviations and correlations, sigma (or the shape), coefficients."""
    estimate = fit.estimate
    if not isinstance(estimate, GeneralizedEstimate):
        return (*variance_names(fit.design), *fit.design.names)
    known = getattr(fit.request.family, "known", None) is not None
    shape = estimate.dispersion is not None and not has_scale(estimate) and not known
    variances = variance_names(fit.design, sigma=has_scale(estimate))
    return (*variances, *(("shape",) if shape else ()), *fit.design.names)


def likelihood_fit(fit: MixedModel) -> tuple[MixedModel, tuple[str, ...]]:
    """The fit whose likelihood is profiled, and what a reader should know about it."""
    if fit.is_reml:
        note = "Profiles are of the likelihood: the REML fit was refitted by maximum likelihood."
        return fit.refit_ml(), (note,)
    estimate = fit.estimate
    if isinstance(estimate, GeneralizedEstimate) and estimate.n_agq == 0:
        from mixeff.generalized.fit import fit_generalized

        request = dataclasses.replace(fit.request, n_agq=1, start=None)
        assert request.family is not None
        laplace = fit_generalized(
            fit.design, request.family, n_agq=1, control=request.control, like=estimate
        )
        note = "The fit with n_agq=0 was refitted with n_agq=1: profiles are of that likelihood."
        return with_estimate(fit, laplace, request=request), (note,)
    return fit, ()


def with_estimate(
    fit: MixedModel, estimate: LinearEstimate | GeneralizedEstimate, **changes: Any
) -> MixedModel:
    """The same model with another optimum."""
    changed: Any = dataclasses.replace(cast(Any, fit), estimate=estimate, **changes)
    return cast("MixedModel", changed)


def adopting(engine: Engine, work: Callable[[Engine], T]) -> tuple[Engine, T, tuple[str, ...]]:
    """Do the work on the paths of a fit; where one leads below the optimum, again from there.

    Returns
    -------
    engine : Engine, of the best fit found
    result : what ``work`` returned
    notes : tuple of str, a sentence per optimum adopted

    Raises
    ------
    ConvergenceError
        Better optima turn up without end.
    """
    notes: tuple[str, ...] = ()
    with one_blas_thread():
        for _ in range(_ADOPTIONS + len(engine.names)):
            try:
                return engine, work(engine), notes
            except BetterOptimumError as found:
                better = _refitted(engine.fit, found)
                if better.loglik > engine.fit.loglik:
                    notes = (*notes, _adopted(found, engine.fit, better))
                    engine = Engine(better)
                else:
                    engine = Engine(engine.fit, engine.closed | {found.name})
    raise ConvergenceError(
        "The likelihood has so many local maxima that every profile leads to a better one: "
        "simplify the random effects, or fit from other starting values (start=)."
    )


def _refitted(fit: MixedModel, found: BetterOptimumError) -> MixedModel:
    """Fitted again from the point found."""
    request, design = fit.request, fit.design
    estimate: LinearEstimate | GeneralizedEstimate
    if isinstance(fit.estimate, GeneralizedEstimate):
        from mixeff.generalized.fit import fit_generalized

        assert request.family is not None
        estimate = fit_generalized(
            design, request.family, n_agq=fit.estimate.n_agq, control=request.control,
            start=found.start,
        )  # fmt: skip
    else:
        from mixeff.linear.fit import fit_linear

        estimate = fit_linear(
            design, reml=False, control=request.control, start=found.start, like=fit.estimate
        )
    return with_estimate(fit, estimate)


def _adopted(found: BetterOptimumError, old: MixedModel, new: MixedModel) -> str:
    gain = 2.0 * (new.loglik - old.loglik)
    return (
        f"The profile of {found.name} led to a better optimum than that of the fit: the deviance "
        f"is lower by {gain:.4g}. Profiles and estimates shown are of the better one; fit again "
        "from its theta (start=) to have it."
    )
