"""Exact second derivatives of the Laplace criterion, by implicit differentiation twice over.

    f = -2 l(eta, r) + |u|^2 + log|M|,  eta = o + X beta + Z Lambda u,  M = Lambda'Z'WZ Lambda + I

at the modes, u = Lambda'Z's. Along parameter k let the modes move by u_k (one solve, all k as
columns), the predictor by eta_k, the scores by s_k, the weights by w_k. Then d2f / dk dl is the
derivative along l of the partial derivative of -2 l + |u|^2 along k (by the envelope theorem), and

    tr(M^-1 M_kl) - tr(M^-1 M_k M^-1 M_l) + t' (what moves the modes a second time)

where t = Z Lambda M^-1 Lambda'Z'g is the adjoint solution of the gradient: the modes' own second
derivatives are never formed. See ``laplace`` for the gradient and its letters, ``determinants``
for the traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts, GroupProducts, PairProducts
from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.solves import solve
from mixeff.generalized.determinants import determinant_curvature
from mixeff.generalized.directions import Direction
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.generalized.penalized_blocks import Blocks, Curvature, Pair
from mixeff.generalized.working import GeneralizedModel

Floats = NDArray[np.float64]

Effects = tuple[Floats, ...]


def criterion_hessian(evaluation: LaplaceEvaluation, directions: Sequence[Direction]) -> Floats:
    """Hessian of the Laplace criterion (of -2 log-likelihood) at an evaluation.

    Parameters
    ----------
    evaluation : LaplaceEvaluation, fixed effects not found with the modes
    directions : sequence of Direction
        Lambda is linear in these parameters; they come first, then beta, then log dispersion.

    Returns
    -------
    (m, m) array

    Raises
    ------
    numpy.linalg.LinAlgError
        If the information in the determinant is not positive definite.
    """
    at = _At.of(evaluation, tuple(directions))
    moves = _moves(at)
    sums = _weighted_sums(at, moves)
    curvature = determinant_curvature(_penalized(at, sums), at.model.rows.threads)
    leverage = _leverage(at, curvature)
    hessian = _penalized_part(at, moves)
    hessian += _trace_part(at, sums, curvature)
    hessian += _row_part(at, moves, leverage)
    return 0.5 * (hessian + hessian.T)


@dataclass(frozen=True, slots=True)
class _At:
    """The modes, with the rows' terms there.

    Attributes
    ----------
    terms, determinant : RowTerms, of the likelihood and of the weights in the determinant
    order : tuple of int, grouping factors with most levels first
    scores : Z's per grouping factor
    dispersed : bool, log dispersion is a parameter, the last one
    """

    model: GeneralizedModel
    Lambda: Effects
    directions: tuple[Direction, ...]
    u: Effects
    factor: BlockedFactor
    terms: RowTerms
    determinant: RowTerms
    order: tuple[int, ...]
    scores: Effects
    dispersed: bool

    @classmethod
    def of(cls, evaluation: LaplaceEvaluation, directions: tuple[Direction, ...]) -> _At:
        """All terms of the rows, to the last derivative."""
        model, eta = evaluation.problem.model, evaluation.point.eta
        terms = model.terms(eta, evaluation.dispersion, curvature=True)
        determinant = terms
        if model.expected:
            determinant = model.terms(eta, evaluation.dispersion, expected=True, curvature=True)
        groups = model.rows.groups
        order = tuple(sorted(range(len(groups)), key=lambda i: (-groups[i].n_levels, i)))
        scores, _ = model.bare_rows.products(terms.score)
        return cls(
            model, evaluation.Lambda, directions, evaluation.point.u,
            evaluation.observed_factor(), terms, determinant, order, scores,
            evaluation.problem.partition.n_free > model.p,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Parameters."""
        return len(self.directions) + self.model.p + int(self.dispersed)

    @property
    def fixed(self) -> slice:
        """Where the fixed effects are among the parameters."""
        return slice(len(self.directions), len(self.directions) + self.model.p)

    def along(self, products: Sequence[Sequence[Floats]]) -> Floats:
        """(directions, m) sums of the entries of every slope times ``products[l][group]``."""
        out = np.zeros((self.size, len(products)))
        for k, d in enumerate(self.directions):
            out[k] = [np.vdot(d.slope, parts[d.group]) for parts in products]
        return out

    def solve(self, right: Floats) -> list[Effects]:
        """M^-1 times every row of (m, N), split by grouping factor."""
        found = solve(self.factor, np.ascontiguousarray(right.T), fixed=False).T
        ends = np.cumsum([0, *(u.size for u in self.u)])
        pieces = list(zip(ends[:-1], ends[1:], self.u, strict=True))
        return [tuple(f[a:b].reshape(u.shape) for a, b, u in pieces) for f in found]


@dataclass(frozen=True, slots=True)
class _Moves:
    """First derivatives along every parameter, the modes moving.

    Attributes
    ----------
    eta : (m, n) array
    u : m tuples of (J, q) arrays
    scores : m tuples of (J, q) arrays Z's_k
    fixed_scores : (m, p) array X's_k
    """

    eta: Floats
    u: list[Effects]
    scores: list[Effects]
    fixed_scores: Floats


def _moves(at: _At) -> _Moves:
    """One solve for all parameters."""
    model, m = at.model, at.size
    rows, L = model.rows, at.Lambda
    eta = np.zeros((m, model.y.size))
    for k, d in enumerate(at.directions):
        g = rows.groups[d.group]
        kernels.add_effects(g.codes, g.Z, at.u[d.group] @ d.slope.T, eta[k], rows.threads)
    eta[at.fixed] = rows.X.T
    right = np.empty((m, sum(u.size for u in at.u)))
    for k in range(m):
        parts, _ = model.bare_rows.products(_scores_along(at, eta[k], k))
        pulled = [p @ B for p, B in zip(parts, L, strict=True)]
        if k < len(at.directions):
            d = at.directions[k]
            pulled[d.group] += at.scores[d.group] @ d.slope
        right[k] = np.concatenate([p.ravel() for p in pulled])
    u = at.solve(right)
    scores, fixed = [], np.empty((m, model.p))
    for k in range(m):
        rows.add_effects(eta[k], [v @ B.T for v, B in zip(u[k], L, strict=True)])
        parts, fixed[k] = rows.products(_scores_along(at, eta[k], k))
        scores.append(parts)
    return _Moves(eta, u, scores, fixed)


def _scores_along(at: _At, eta: Floats, k: int) -> Floats:
    """Change of the scores as the predictor changes by ``eta`` along parameter k."""
    out = -at.terms.weight * eta
    if _is_dispersion(at, k):
        assert at.terms.score_r is not None
        out += at.terms.score_r
    return out


def _is_dispersion(at: _At, k: int) -> bool:
    return bool(k == at.fixed.stop)


def _penalized_part(at: _At, moves: _Moves) -> Floats:
    """Second derivatives of -2 l + |u|^2."""
    pairs = list(zip(moves.scores, moves.u, strict=True))
    products = [
        [a.T @ u + s.T @ b for a, u, s, b in zip(p, at.u, at.scores, v, strict=True)]
        for p, v in pairs
    ]
    out = -2.0 * at.along(products)
    out[at.fixed] = -2.0 * moves.fixed_scores.T
    if at.dispersed:
        terms = at.terms
        assert terms.score_r is not None
        assert terms.loglik_rr is not None
        out[-1] = -2.0 * (moves.eta @ terms.score_r)
        out[-1, -1] -= 2.0 * float(terms.loglik_rr.sum())
    return out


@dataclass(frozen=True, slots=True)
class _Sums:
    """Z'WZ and Z'W_kZ: per factor (1 + m, J, q, q), per pair (1 + m, nnz, q, r)."""

    diagonal: Effects
    pairs: dict[tuple[int, int], Floats]


def _weighted_sums(at: _At, moves: _Moves) -> _Sums:
    """Cross-products at the determinant's weights and at their changes."""
    rows, terms, K = at.model.bare_rows, at.determinant, at.size + 1
    shape = rows.empty()
    diagonal = tuple(np.empty((K, *g.gram.shape)) for g in shape.groups)
    pairs = {key: np.empty((K, *p.values.shape)) for key, p in shape.pairs.items()}
    for k in range(K):
        weight = terms.weight if k == 0 else terms.weight_slope * moves.eta[k - 1]
        if k and _is_dispersion(at, k - 1):
            assert terms.weight_r is not None
            weight = weight + terms.weight_r
        to = zip(diagonal, shape.groups, strict=True)
        out = CrossProducts(
            shape.n,
            shape.fixed,
            tuple(GroupProducts(d[k], g.dense) for d, g in to),
            {
                key: PairProducts(p.indptr, p.indices, pairs[key][k], p.n_columns)
                for key, p in shape.pairs.items()
            },
        )
        rows.fill(out, weight)
    return _Sums(diagonal, pairs)


def _penalized(at: _At, sums: _Sums) -> Blocks:
    """M and its derivatives along every parameter, the factors in elimination order."""
    diagonal = []
    for i in at.order:
        G, L = sums.diagonal[i], at.Lambda[i]
        found = _between(G, L, L)
        found[0] += np.eye(L.shape[0])
        for k, d in enumerate(at.directions, start=1):
            if d.group == i:
                half = _between(G[0], d.slope, L)
                found[k] += half + half.transpose(0, 2, 1)
        diagonal.append(found)
    pairs = {}
    for (i, k), G in sums.pairs.items():
        rows = at.model.rows.pairs[i, k]
        found = _between(G, at.Lambda[i], at.Lambda[k])
        for j, d in enumerate(at.directions, start=1):
            if d.group == i:
                found[j] += _between(G[0], d.slope, at.Lambda[k])
            elif d.group == k:
                found[j] += _between(G[0], at.Lambda[i], d.slope)
        level = np.repeat(np.arange(rows.indptr.size - 1), np.diff(rows.indptr))
        key = at.order.index(i), at.order.index(k)
        pairs[key] = Pair(level, rows.indices.astype(np.int64), found)
    return Blocks(tuple(diagonal), pairs)


def _between(G: Floats, left: Floats, right: Floats) -> Floats:
    """left' G right for (..., q, r) arrays G."""
    flat = G.reshape(-1, left.shape[0] * right.shape[0])
    return np.asarray((flat @ _kron(left, right)).reshape(G.shape))


def _kron(A: Floats, B: Floats) -> Floats:
    """As ``numpy.kron``, for matrices, without its overhead."""
    shape = A.shape[0] * B.shape[0], A.shape[1] * B.shape[1]
    return (A[:, None, :, None] * B[None, :, None, :]).reshape(shape)


def _leverage(at: _At, curvature: Curvature) -> Floats:
    """(n,) z_r' Lambda M^-1 Lambda' z_r."""
    L, place = at.Lambda, at.order.index
    diagonal = [_between(curvature.diagonal[place(i)], B.T, B.T) for i, B in enumerate(L)]
    between = {
        (i, k): _between(
            np.ascontiguousarray(curvature.between[place(i), place(k)]), L[i].T, L[k].T
        )
        for i, k in at.model.rows.pairs
    }
    return at.model.bare_rows.quadratic(diagonal, between)


def _trace_part(at: _At, sums: _Sums, curvature: Curvature) -> Floats:
    """tr(M^-1 M_kl) - tr(M^-1 M_k M^-1 M_l), but for what the rows' weights do at second order."""
    place, L = at.order.index, at.Lambda
    inner = [_contracted(curvature.diagonal[place(i)], G) for i, G in enumerate(sums.diagonal)]
    outer = {
        (i, k): _contracted(curvature.between[place(i), place(k)], G)
        for (i, k), G in sums.pairs.items()
    }
    mixed, own = np.zeros((at.size, at.size)), np.zeros((at.size, at.size))
    for k, d in enumerate(at.directions):
        g, D = d.group, d.slope
        total = inner[g] @ _kron(D, L[g]).T.ravel()
        for (i, j), P in outer.items():
            if i == g:
                total += P @ _kron(D, L[j]).T.ravel()
            elif j == g:
                total += P @ _kron(L[i], D).T.ravel()
        mixed[k] = total[1:]
        for j, e in enumerate(at.directions):
            if e.group == g:
                own[k, j] = inner[g][0] @ _kron(D, e.slope).T.ravel()
            elif (g, e.group) in outer:
                own[k, j] = own[j, k] = outer[g, e.group][0] @ _kron(D, e.slope).T.ravel()
    return 2.0 * (mixed + mixed.T + own) - curvature.squares


def _contracted(inverse: Floats, G: Floats) -> Floats:
    """(K, (qr)^2) sums over the blocks of the products of entries of M^-1 with those of G."""
    size = G.shape[2] * G.shape[3]
    left = inverse.reshape(-1, size).T
    return np.asarray((left @ G.reshape(G.shape[0], -1, size)).reshape(G.shape[0], -1))


def _row_part(at: _At, moves: _Moves, leverage: Floats) -> Floats:
    """What the weights and the modes do at second order, through the adjoint solution."""
    model, terms, det = at.model, at.terms, at.determinant
    rows, L, E = model.bare_rows, at.Lambda, moves.eta
    assert det.weight_curvature is not None
    g = det.weight_slope * leverage
    right, _ = rows.products(g)
    pulled = np.concatenate([(p @ B).ravel() for p, B in zip(right, L, strict=True)])
    (a,) = at.solve(pulled[None])
    t = np.zeros_like(g)
    rows.add_effects(t, [v @ B.T for v, B in zip(a, L, strict=True)])
    slopes, _ = rows.products(g - terms.weight * t)
    out: Floats = (E * (leverage * det.weight_curvature - t * terms.weight_slope)) @ E.T
    products = [
        [v.T @ b + s.T @ c for v, b, s, c in zip(slopes, u, p, a, strict=True)]
        for p, u in zip(moves.scores, moves.u, strict=True)
    ]
    half = at.along(products)
    if at.dispersed:
        assert det.weight_slope_r is not None
        assert det.weight_rr is not None
        assert terms.weight_r is not None
        assert terms.score_rr is not None
        half[-1] += E @ (leverage * det.weight_slope_r - t * terms.weight_r)
        out[-1, -1] += float(leverage @ det.weight_rr + t @ terms.score_rr)
    return out + half + half.T
