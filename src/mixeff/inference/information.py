"""Akaike's and Schwarz's criteria, alone and as a table of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mixeff.errors import ComparisonWarning
from mixeff.frames.notices import notify
from mixeff.inference.compared import named_models
from mixeff.inference.nesting import is_discrete
from mixeff.model.names import calling_frame

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel


@dataclass(frozen=True, slots=True)
class InformationTable:
    """One information criterion for several models; prints as R's ``AIC(m1, m2)``.

    Attributes
    ----------
    criterion : {"aic", "bic"}
    names : tuple of str
        Row labels, one per model, in the order given.
    df : tuple of int
        Number of estimated parameters of each model (coefficients, theta, sigma).
    values : tuple of float
    notes : tuple of str
        Sentences that limit what the comparison means.
    """

    criterion: Literal["aic", "bic"]
    names: tuple[str, ...]
    df: tuple[int, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Columns ``df`` and ``aic`` (or ``bic``), models in the index."""
        import pandas as pd

        return pd.DataFrame(
            {"df": list(self.df), self.criterion: list(self.values)}, index=list(self.names)
        )

    def __str__(self) -> str:
        from mixeff.report.tables import format_information

        return format_information(self)

    def _repr_html_(self) -> str:
        from mixeff.report.html import information_html

        return information_html(self)

    def __repr__(self) -> str:
        return str(self)


def aic(*models: MixedModel, **named: MixedModel) -> InformationTable:
    """Compare models by Akaike's information criterion, -2 log L + 2 df.

    Parameters
    ----------
    *models : fitted models
        Rows are named by the caller's variables where they can be known, else ``model1`` ...
    **named : fitted models
        ``mx.aic(m3=m3, m1=m1)`` names the rows.

    Returns
    -------
    InformationTable
        ``.to_frame()`` has the columns ``df`` and ``aic``.

    Warns
    -----
    ComparisonWarning
        The models use different numbers of observations, or mix REML and ML fits: such criteria
        are not comparable.

    Notes
    -----
    A REML fit enters with its REML log-likelihood, as R's ``AIC`` does. REML log-likelihoods of
    models with different fixed effects are on different scales: fit with ``reml=False`` to compare
    those.

    References
    ----------
    Akaike, H. (1974). A new look at the statistical model identification.

    Examples
    --------
    >>> import mixeff as mx
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> m1 = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    >>> m2 = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    >>> mx.aic(m1, m2).to_frame().round(2)
        df      aic
    m1   4  1794.47
    m2   6  1755.63
    """
    return _table("aic", named_models(models, named, calling_frame(), minimum=1))


def bic(*models: MixedModel, **named: MixedModel) -> InformationTable:
    """Compare models by Schwarz's criterion, -2 log L + df log(nobs).

    Parameters, warnings and notes are those of `aic`; the column is called ``bic``.

    References
    ----------
    Schwarz, G. (1978). Estimating the dimension of a model.

    Examples
    --------
    >>> import mixeff as mx
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> m1 = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    >>> mx.bic(random_intercept=m1).to_frame().round(2)
                      df      bic
    random_intercept   4  1807.24
    """
    return _table("bic", named_models(models, named, calling_frame(), minimum=1))


def _table(criterion: Literal["aic", "bic"], models: Mapping[str, MixedModel]) -> InformationTable:
    fits = list(models.values())
    notes = tuple(_limits(fits))
    for sentence in notes:
        notify(sentence, ComparisonWarning)
    return InformationTable(
        criterion=criterion,
        names=tuple(models),
        df=tuple(m.df for m in fits),
        values=tuple(float(getattr(m, criterion)) for m in fits),
        notes=notes,
    )


def _limits(models: Sequence[MixedModel]) -> list[str]:
    """Why the criteria may not be comparable."""
    sentences = []
    if len({m.nobs for m in models}) > 1:
        counts = ", ".join(str(m.nobs) for m in models)
        sentences.append(
            f"The models are not all fitted to the same number of observations ({counts}); "
            "their criteria are not comparable. Fit them to the rows that are complete for all."
        )
    if len({m.is_reml for m in models}) > 1:
        sentences.append(
            "REML and ML fits are mixed; their log-likelihoods are not comparable. "
            "Fit all of them with the same reml=."
        )
    if len({is_discrete(m) for m in models}) > 1:
        sentences.append(
            "Some of the models give probabilities of the response and others densities; their "
            "criteria are not comparable."
        )
    return sentences
