"""Generalized linear mixed models: families, links, penalized IRLS, Laplace, quadrature; fit."""
