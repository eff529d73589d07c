"""Distributions of the response given the random effects, and their links."""
