"""Marginal means, their contrasts, slopes, joint tests.

From the model to the table, a stage a file: what the fixed effects depend on (``predictors``), the
reference grid and its averages (``grid``), which combinations cannot occur (``nested``), linear
functions of beta and whether the data can estimate them (``functions``), the scale of the response
(``scale``, ``undo``), what is asked (``means``, ``slopes``, ``joint``, ``specs``), the tables and
their methods (``tables``, ``estimates``, ``rows``, ``letters``), contrasts (``compare``,
``coefficients``) and families of tests (``adjust``, ``studentized_range``, ``multivariate_t``).
"""

from __future__ import annotations

__all__: list[str] = []
