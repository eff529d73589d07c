"""Bootstrap draws for ArviZ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixeff.errors import OptionError

if TYPE_CHECKING:
    from mixeff.inference.bootstrap import Bootstrap


def bootstrap_to_arviz(bootstrap: Bootstrap) -> Any:
    """The draws as the group ``posterior``, where ArviZ's pictures and summaries look for them.

    They are draws from the sampling distribution, not from a posterior; the attributes of the group
    say so. Replicates that failed are left out.

    Parameters
    ----------
    bootstrap : Bootstrap

    Returns
    -------
    xarray.DataTree or arviz.InferenceData
        Of ArviZ 1.0 and later the first, before it the second: one chain, a draw per replicate, a
        variable per statistic.

    Raises
    ------
    OptionError
        ArviZ is not installed.
    """
    draws = bootstrap.draws[~bootstrap.failed]
    variables = {name: draws[None, :, j] for j, name in enumerate(bootstrap.names)}
    attributes = {
        "inference_library": "mixeff",
        "sampling": f"{bootstrap.kind} bootstrap: draws of the estimates, not of a posterior",
        "failed_replicates": int(bootstrap.failed.sum()),
    }
    try:
        from arviz_base import from_dict  # what ArviZ from 1.0 on is made of
    except ImportError:
        return _before_version_one(variables, attributes)
    return from_dict({"posterior": variables}, attrs={"posterior": attributes})


def _before_version_one(variables: dict[str, Any], attributes: dict[str, Any]) -> Any:
    try:
        import arviz
    except ImportError:
        raise OptionError(
            "to_arviz: ArviZ is not installed. Install it with: pip install arviz (or the smaller "
            "arviz-base, enough for this)."
        ) from None
    return arviz.from_dict(posterior=variables, posterior_attrs=attributes)
