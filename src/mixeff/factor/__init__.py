"""Blocked Cholesky factor of the penalized system: solves, log-determinants, selected inverse."""
