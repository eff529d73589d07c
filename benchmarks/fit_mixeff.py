"""Child process: time one model in mixeff, print one line of JSON."""

from __future__ import annotations

import json
import sys
from time import perf_counter


def main() -> None:
    """Arguments: data set, formula, repeats, seconds to spend."""
    dataset, formula, repeats, budget = sys.argv[1:5]
    import mixeff as mx

    data = mx.load_dataset(dataset)
    start = perf_counter()
    fit = mx.lmer(formula, data)
    first = perf_counter() - start
    # The first fit only warms up, unless it is so long that warmth does not matter.
    seconds = [first] if first > 2 else []
    while len(seconds) < 3 or (len(seconds) < int(repeats) and sum(seconds) < float(budget)):
        start = perf_counter()
        fit = mx.lmer(formula, data)
        seconds.append(perf_counter() - start)
    print(
        json.dumps(
            {
                "version": mx.__version__,
                "seconds": seconds,
                "loglik": fit.loglik,
                "nobs": fit.nobs,
                "evaluations": fit.convergence.evaluations,
            }
        )
    )


if __name__ == "__main__":
    main()
