"""Child process: time one model in statsmodels, print one line of JSON."""

from __future__ import annotations

import json
import sys
import warnings
from time import perf_counter


def main() -> None:
    """Arguments: data set, formula, groups, random-effects formula, repeats, seconds to spend."""
    dataset, formula, groups, random, repeats, budget = sys.argv[1:7]
    import statsmodels
    from statsmodels.formula.api import mixedlm

    import mixeff as mx

    warnings.simplefilter("ignore")
    data = mx.load_dataset(dataset)

    def fit_once() -> float:
        model = mixedlm(formula, data, groups=data[groups], re_formula=random)
        return float(model.fit(reml=True).llf)

    loglik = fit_once()
    seconds: list[float] = []
    while len(seconds) < 3 or (len(seconds) < int(repeats) and sum(seconds) < float(budget)):
        start = perf_counter()
        loglik = fit_once()
        seconds.append(perf_counter() - start)
    print(json.dumps({"version": statsmodels.__version__, "seconds": seconds, "loglik": loglik}))


if __name__ == "__main__":
    main()
