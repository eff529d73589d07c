"""Profiles against brute force: dense algebra, a general optimizer over the other parameters."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import mixeff as mx
from mixeff.errors import OptionError
from support.reference import load_frame

CHI2_95 = 3.841458820694124  # qchisq(0.95, 1)


class Dense:
    """-2 log-likelihood of y ~ N(X beta, V) over (log sds, angles or free numbers, log sigma)."""

    def __init__(self, y: Any, X: Any, Zs: list[Any], roots: list[int]) -> None:
        # Z of term i: (n, J q), columns level by level; roots: q per term
        self.y, self.X, self.Zs, self.roots = np.asarray(y, float), np.asarray(X, float), Zs, roots

    def deviance(self, Sigmas: list[Any], sigma: float, beta: Any = None) -> float:
        n = self.y.size
        V = sigma**2 * np.eye(n)
        for Z, S in zip(self.Zs, Sigmas, strict=True):
            J = Z.shape[1] // len(S)
            V += Z @ np.kron(np.eye(J), S) @ Z.T
        L = np.linalg.cholesky(V)
        X, y = np.linalg.solve(L, self.X), np.linalg.solve(L, self.y)
        if beta is None:
            beta = np.linalg.lstsq(X, y, rcond=None)[0]
        r = y - X @ beta
        return float(n * math.log(2 * math.pi) + 2 * np.log(np.diagonal(L)).sum() + r @ r)


def indicator(codes: Any, values: Any) -> np.ndarray:
    """Z of a term, columns level by level."""
    codes, values = pd.factorize(codes)[0], np.atleast_2d(np.asarray(values, float).T).T
    n, q = values.shape
    Z = np.zeros((n, (codes.max() + 1) * q))
    for r in range(n):
        Z[r, codes[r] * q : (codes[r] + 1) * q] = values[r]
    return Z


def lowest(f: Any, start: Any) -> float:
    """Nelder and Mead, restarted until it stands still: no derivatives of the package's."""
    x, value = np.asarray(start, float), math.inf
    if not x.size:
        return float(f(x))
    for _ in range(8):
        options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000}
        found = minimize(f, x, method="Nelder-Mead", options=options)
        if value - found.fun < 1e-10:
            break
        x, value = found.x, found.fun
    return float(min(found.fun, value))


@pytest.fixture(scope="module")
def sleep() -> Any:
    data = load_frame("sleepstudy")
    keep = data["Subject"].astype(str).isin(["308", "309", "310", "330", "331", "332", "333"])
    return data[keep].reset_index(drop=True)


@pytest.fixture(scope="module")
def slope_fit(sleep: Any) -> Any:
    return mx.lmer("Reaction ~ Days + (Days | Subject)", sleep, reml=False)


@pytest.fixture(scope="module")
def slope_dense(sleep: Any) -> Dense:
    X = np.column_stack([np.ones(len(sleep)), sleep["Days"]])
    return Dense(sleep["Reaction"], X, [indicator(sleep["Subject"], X)], [2])


def sigma_of(s1: float, rho: float, s2: float) -> list[np.ndarray]:
    return [np.array([[s1 * s1, rho * s1 * s2], [rho * s1 * s2, s2 * s2]])]


@pytest.mark.parametrize("end", ["lower", "upper"])
@pytest.mark.parametrize(
    "name",
    ["sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject", "sd_Days|Subject", "sigma", "Days"],
)
def test_the_deviance_at_a_limit(slope_fit: Any, slope_dense: Dense, name: str, end: str) -> None:
    """With the parameter at its limit the best deviance lies qchisq(0.95, 1) above the optimum."""
    limit = float(slope_fit.confint(method="profile").loc[name, end])
    start = slope_fit.varcorr.to_frame()["sdcor"].to_numpy()  # sd, sd, cor, sigma
    free = {
        "sd_(Intercept)|Subject": math.log(max(start[0], 1.0)),
        "cor_Days.(Intercept)|Subject": math.atanh(start[2]),
        "sd_Days|Subject": math.log(start[1]),
        "sigma": math.log(start[3]),
    }

    def held(x: Any) -> float:
        at = dict(zip([n for n in free if n != name], x, strict=True))
        s1, rho, s2, sigma = (
            limit if n == name else math.tanh(at[n]) if n.startswith("cor") else math.exp(at[n])
            for n in free
        )
        beta = None
        if name == "Days":  # the intercept given the slope, by weighting y - limit * Days
            other = Dense(
                slope_dense.y - limit * slope_dense.X[:, 1], slope_dense.X[:, :1],
                slope_dense.Zs, [2],
            )  # fmt: skip
            return other.deviance(sigma_of(s1, rho, s2), sigma)
        return slope_dense.deviance(sigma_of(s1, rho, s2), sigma, beta)

    found = lowest(held, [v for n, v in free.items() if n != name])
    if limit in (0.0, -1.0, 1.0):  # the range ends before
        assert found - slope_fit.deviance < CHI2_95
        return
    # Nelder and Mead end within 1e-7 of the deviance here; the limits are right to 1e-8 in zeta.
    assert found - slope_fit.deviance == pytest.approx(CHI2_95, abs=2e-7)


def test_points_of_a_profile_are_constrained_optima(slope_fit: Any, slope_dense: Dense) -> None:
    """At every point the listed parameters have the deviance that zeta says."""
    profile = slope_fit.profile()
    for row in profile.to_frame().itertuples(index=False):
        parameter, focal, zeta, s1, rho, s2, sigma, b0, b1 = row
        named = dict(zip(profile.names, (s1, rho, s2, sigma, b0, b1), strict=True))
        assert named[parameter] == pytest.approx(focal, rel=1e-9, abs=1e-9)
        if math.isnan(rho):  # the intercept's variance is zero
            rho = 0.0
        value = slope_dense.deviance(sigma_of(s1, rho, s2), sigma, np.array([b0, b1]))
        rise = value - slope_fit.deviance
        assert rise == pytest.approx(zeta**2, abs=1e-6)
        assert math.copysign(1.0, focal - profile.curve(parameter).estimate) == (
            math.copysign(1.0, zeta) if zeta else 1.0
        )


def test_zeta_is_monotone_and_passes_through_the_limits(slope_fit: Any) -> None:
    profile = slope_fit.profile()
    limits = profile.confint(0.9)
    for name in profile.profiled:
        curve = profile.curve(name)
        assert curve.monotone
        fine = curve.at(curve.grid(301))
        assert np.all(np.diff(fine) >= 0)
        # Interpolated between points half a unit of zeta apart.
        quantiles = -1.6448536269514722, 1.6448536269514722
        for value, target in zip(limits.loc[name], quantiles, strict=True):
            if abs(curve.at(np.array([value]))[0] - target) > 1e-3:
                assert name.startswith(("sd", "cor"))  # the range ends before
                assert value in (0.0, -1.0, 1.0)


@pytest.mark.parametrize("factor", [1e-5, 1e4])
def test_units_do_not_matter(sleep: Any, slope_fit: Any, factor: float) -> None:
    """Response and predictor in other units: the limits are the same in those units."""
    other = sleep.assign(y=sleep["Reaction"] * factor, x=sleep["Days"] / factor)
    fit = mx.lmer("y ~ x + (x | Subject)", other, reml=False)
    got = fit.confint(method="profile").to_numpy()
    want = slope_fit.confint(method="profile").to_numpy()
    units = np.array([factor, 1.0, factor**2, factor, factor, factor**2])[:, None]
    # As far as the two optima agree: 1e-8 in zeta.
    np.testing.assert_allclose(got, want * units, rtol=1e-6, atol=1e-6 * units.max())


def test_a_shifted_predictor(sleep: Any, slope_fit: Any) -> None:
    """Days since 100,000 days ago: what does not depend on the origin stays as it is."""
    fit = mx.lmer("Reaction ~ d + (d | Subject)", sleep.assign(d=sleep["Days"] + 1e5), reml=False)
    got = fit.confint(method="profile", parameters=["sd_d|Subject", "sigma", "d"]).to_numpy()
    names = ["sd_Days|Subject", "sigma", "Days"]
    want = slope_fit.confint(method="profile", parameters=names).to_numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_weights_offset_crossed_and_split_terms() -> None:
    """Everything at once against dense algebra: weights, offset, a crossed factor, `||`."""
    rng = np.random.default_rng(11)
    n = 60
    data = pd.DataFrame(
        {
            "g": np.repeat([f"g{i}" for i in range(6)], 10),
            "h": np.tile([f"h{i}" for i in range(5)], 12),
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 2.0, n),
            "o": rng.normal(size=n),
        }
    )
    g, h = pd.factorize(data["g"])[0], pd.factorize(data["h"])[0]
    b, c, s = rng.normal(size=6), 0.8 * rng.normal(size=5), 0.7 * rng.normal(size=6)
    noise = rng.normal(size=n) / np.sqrt(data["w"])
    data["y"] = 1 + 2 * data["x"] + data["o"] + b[g] + s[g] * data["x"] + c[h] + noise
    with pytest.warns(mx.DesignWarning, match="rank deficient"):
        fit = mx.lmer(
            "y ~ x + x2 + (x || g) + (1 | h)",
            data.assign(x2=2 * data["x"]),
            reml=False,
            weights="w",
            offset="o",
        )
    assert fit.dropped == ("x2",)
    limits = fit.confint(method="profile")
    root = np.sqrt(data["w"].to_numpy())
    X = np.column_stack([np.ones(n), data["x"]])
    Zs = [indicator(g, np.ones(n)), indicator(g, data["x"]), indicator(h, np.ones(n))]
    y = (data["y"] - data["o"]).to_numpy()
    Zw = [Z * root[:, None] for Z in Zs]
    names = [n for n in limits.index if n.startswith("sd")]
    assert names == ["sd_(Intercept)|g", "sd_x|g", "sd_(Intercept)|h"]
    logweights = float(np.log(data["w"]).sum())
    start = fit.varcorr.to_frame()["sdcor"].to_numpy()

    def best(name: str, limit: float) -> float:
        free = [*names, "sigma"]

        def held(x: Any) -> float:
            at = dict(zip([f for f in free if f != name], np.exp(x), strict=True)) | {name: limit}
            shift = limit * X[:, 1] if name == "x" else 0.0
            kept = X[:, :1] if name == "x" else X
            model = Dense((y - shift) * root, kept * root[:, None], Zw, [1, 1, 1])
            return model.deviance([np.array([[at[f] ** 2]]) for f in names], at["sigma"])

        x0 = [math.log(max(v, 0.05)) for f, v in zip(free, start, strict=True) if f != name]
        return lowest(held, x0) - logweights

    reached = 0
    for name in ("sd_x|g", "sigma", "x"):
        for limit in limits.loc[name]:
            rise = best(name, limit) - fit.deviance
            if limit == 0.0:
                assert rise < CHI2_95
            else:
                assert rise == pytest.approx(CHI2_95, abs=1e-6)
                reached += 1
    assert reached >= 5


def test_correlation_at_its_bound() -> None:
    """A correlation estimated at 1: its interval ends there, the lower limit by dense algebra."""
    rng = np.random.default_rng(5)
    x = np.tile(np.linspace(-1, 1, 8), 7)
    g = np.repeat(np.arange(7), 8)
    b = rng.normal(size=7)
    y = b[g] + 0.9 * b[g] * x + 0.7 * rng.normal(size=56)
    data = pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})
    fit = mx.lmer("y ~ x + (x | g)", data, reml=False)
    assert fit.is_singular
    name = "cor_x.(Intercept)|g"
    assert fit.varcorr.to_frame()["sdcor"][2] == pytest.approx(1.0, abs=1e-6)
    lower, upper = fit.confint(method="profile", parameters=name).loc[name]
    assert upper == 1.0
    X = np.column_stack([np.ones(56), x])
    dense = Dense(y, X, [indicator(data["g"], X)], [2])

    def held(v: Any) -> float:
        return dense.deviance(sigma_of(math.exp(v[0]), lower, math.exp(v[1])), math.exp(v[2]))

    start = [math.log(v) for v in fit.varcorr.to_frame()["sdcor"].to_numpy()[[0, 1, 3]]]
    assert lowest(held, start) - fit.deviance == pytest.approx(CHI2_95, abs=1e-6)


def test_singular_fits() -> None:
    """Dyestuff2: the standard deviation is zero; a term with zero sd has no correlation."""
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", load_frame("Dyestuff2"), reml=False)
    profile = fit.profile()
    assert profile.curve("sd_(Intercept)|Batch").focal[0] == 0.0
    assert profile.confint().loc["sd_(Intercept)|Batch", "lower"] == 0.0
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(8), 6)
    x = np.tile(np.arange(6.0), 8)
    y = 2.0 * rng.normal(size=8)[g] + rng.normal(size=48)
    y -= np.array([np.polyfit(x[g == k], y[g == k], 1)[0] for k in range(8)])[g] * (x - 2.5)
    data = pd.DataFrame({"y": y, "x": x - 2.5, "g": [f"g{k}" for k in g]})
    flat = mx.lmer("y ~ 1 + (x | g)", data, reml=False)
    assert flat.varcorr.to_frame()["sdcor"][1] < 1e-12
    limits = flat.confint(method="profile")
    assert limits.loc["cor_x.(Intercept)|g"].tolist() == [-1.0, 1.0]
    assert limits.loc["sd_x|g", "lower"] == 0.0
    assert limits.loc["sd_x|g", "upper"] > 0.0
    assert "cor_x.(Intercept)|g has no profile" in " ".join(flat.profile().notes)


def test_a_better_optimum_is_adopted(slope_fit: Any, sleep: Any) -> None:
    """A fit that stands elsewhere: profiles lead to the optimum, and say so."""
    import dataclasses

    from mixeff.linear.fit import evaluate_at

    poor = evaluate_at(slope_fit.design, slope_fit.theta * 0.3, reml=False)
    stuck = dataclasses.replace(slope_fit, estimate=poor)
    with pytest.warns(mx.ConvergenceWarning, match="led to a better optimum"):
        profile = stuck.profile("sigma")
    assert profile.fit.loglik == pytest.approx(slope_fit.loglik, abs=1e-8)
    assert any("better optimum" in note for note in profile.notes)
    with pytest.warns(mx.ConvergenceWarning):
        limits = stuck.confint(method="profile", parameters="sigma")
    want = slope_fit.confint(method="profile", parameters="sigma")
    np.testing.assert_allclose(limits, want, rtol=1e-7)


def test_reml_fits_are_refitted(sleep: Any, slope_fit: Any) -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    profile = fit.profile("Days")
    assert not profile.fit.is_reml
    assert "refitted by maximum likelihood" in profile.notes[0]
    want = slope_fit.confint(method="profile", parameters="Days")
    np.testing.assert_allclose(profile.confint(), want, rtol=1e-7)


def test_the_way_without_the_compiled_search(
    slope_fit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large models go through the blocked system: the same limits."""
    want = slope_fit.confint(method="profile")
    monkeypatch.setattr("mixeff.linear.unprofiled.search_arrays", lambda criterion: None)
    got = slope_fit.confint(method="profile")
    np.testing.assert_allclose(got, want, rtol=1e-7)


def test_density_and_frame(slope_fit: Any) -> None:
    profile = slope_fit.profile(["sigma", "Days"], delta=0.2)
    frame = profile.to_frame()
    assert frame.columns.tolist() == ["parameter", "focal", "zeta", *profile.names]
    assert frame["parameter"].unique().tolist() == ["sigma", "Days"]
    assert (frame["zeta"] == 0).sum() == 2
    for name in ("sigma", "Days"):
        density = profile.density(name, 400)
        total = np.trapezoid(density["density"], density["value"])
        # All but the tails beyond |zeta| = 4; the trapezoid's error.
        assert total == pytest.approx(1.0, abs=1e-3)
    again = pickle.loads(pickle.dumps(profile))
    np.testing.assert_allclose(again.confint(0.5), profile.confint(0.5), rtol=1e-9)
    assert "Profile likelihood" in str(profile)
    assert "<table" in profile._repr_html_()


def test_names_and_options(slope_fit: Any) -> None:
    limits = slope_fit.confint(method="profile", parameters=["beta_"])
    assert limits.index.tolist() == ["(Intercept)", "Days"]
    assert slope_fit.confint(parameters="theta_").index.tolist()[-1] == "sigma"
    with pytest.raises(OptionError, match=r"no parameter 'Day'\. Did you mean \"Days\"\?"):
        slope_fit.confint(method="profile", parameters=["Day"])
    with pytest.raises(OptionError, match="parameters is empty"):
        slope_fit.profile([])
    with pytest.raises(OptionError, match="alpha_max must lie between 0 and 1"):
        slope_fit.profile(alpha_max=1.5)
    with pytest.raises(OptionError, match="delta must be a positive number"):
        slope_fit.profile(delta=-1)
    with pytest.raises(OptionError, match="max_points must be an integer"):
        slope_fit.profile(max_points=0)
    with pytest.raises(OptionError, match='no argument "which"'):
        slope_fit.profile(which="Days")
    with pytest.raises(OptionError, match="level must lie between 0 and 1"):
        slope_fit.confint(95, "profile")
    with pytest.raises(OptionError, match="has no curve here"):
        slope_fit.profile("Days").density("sigma")
    with pytest.raises(OptionError, match="no parameter 0"):
        slope_fit.profile(0)
    with pytest.raises(OptionError, match="density: n must be a whole number, at least 2"):
        slope_fit.profile("Days").density("Days", n=1)
    with pytest.raises(OptionError, match="pairs: levels must lie between 0 and 1, not 95"):
        slope_fit.profile(["Days", "sigma"]).pairs(levels=[95])
    with pytest.raises(OptionError, match="Profiles are of a fitted model"):
        mx.plots.profile_zeta(1.5)


def test_contours_lie_on_the_joint_deviance(slope_fit: Any, slope_dense: Dense) -> None:
    """Both parameters held at points of a contour: the deviance has risen by qchisq(0.8, 2).

    Contours are interpolated between four tangents from profiles alone; 5 % of the rise is what
    that leaves where the deviance is far from quadratic, as here (7 subjects).
    """
    profile = slope_fit.profile()
    x, y = "sd_Days|Subject", "sigma"
    table = profile.pairs([x, y], levels=[0.8], n=41)
    contour = table[table["kind"] == "contour"]
    assert len(contour) == 41
    cut = 3.218875824868201  # qchisq(0.8, 2)
    sdcor = slope_fit.varcorr.to_frame()["sdcor"].to_numpy()

    for row in contour.iloc[[0, 7, 14, 21, 28, 35]].itertuples():

        def held(v: Any, s2: float = row.x_value, sigma: float = row.y_value) -> float:
            return slope_dense.deviance(sigma_of(math.exp(v[0]), math.tanh(v[1]), s2), sigma)

        rise = lowest(held, [math.log(sdcor[0]), math.atanh(sdcor[2])]) - slope_fit.deviance
        assert rise == pytest.approx(cut, rel=0.05)
    traces = table[table["kind"] == "trace"]
    own = traces[traces["along"] == "x"]
    frame = profile.to_frame()
    want = frame[frame["parameter"] == x]
    np.testing.assert_allclose(own["x_zeta"], want["zeta"])
    # What the profile of x says of y, there and back through the curve of y.
    np.testing.assert_allclose(own["y_value"], want[y], rtol=1e-4)


def test_a_contour_of_a_quadratic_deviance_is_its_ellipse() -> None:
    """Straight traces with slope rho in zeta: x^2 - 2 rho x y + y^2 = (1 - rho^2) c^2."""
    from mixeff.inference.profile.pairs import contour

    rho, size = 0.6, 1.7
    zeta = np.linspace(-3, 3, 9)
    found = contour((zeta, rho * zeta), (zeta, rho * zeta), size, 60)
    assert found is not None
    x, y = found
    np.testing.assert_allclose(x * x - 2 * rho * x * y + y * y, (1 - rho**2) * size**2, rtol=1e-12)
    assert contour((zeta, rho * zeta), (zeta, rho * zeta), 3.5, 60) is None


def test_pairs_leaves_out_what_is_not_reached() -> None:
    """The standard deviation of Dyestuff2 ends at zero: no contour around it."""
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", load_frame("Dyestuff2"), reml=False)
    table = fit.profile().pairs()
    contours = table[table["kind"] == "contour"]
    assert set(zip(contours["x"], contours["y"], strict=True)) == {("sigma", "(Intercept)")}
    with pytest.raises(OptionError, match="levels must lie between 0 and 1"):
        fit.profile().pairs(levels=[95])


@pytest.mark.parametrize("n_agq", [1, 5])
def test_generalized_limits_against_plain_quadrature_or_laplace(n_agq: int) -> None:
    """Binomial, one random intercept: the criterion written down once more, level by level."""
    from scipy.special import gammaln

    data = load_frame("cbpp")
    fit = mx.glmer(
        "cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, "binomial", n_agq=n_agq
    )
    k, m = data["incidence"].to_numpy(float), data["size"].to_numpy(float)
    herds = [np.flatnonzero(data["herd"].to_numpy() == h) for h in data["herd"].unique()]
    constant = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_agq)

    def joint(rows: Any, u: Any, s: float, b: float) -> Any:
        eta = b + s * u
        out = sum(constant[r] + k[r] * eta - m[r] * np.logaddexp(0, eta) for r in rows)
        return out - 0.5 * u * u

    def deviance(s: float, b: float) -> float:
        total = 0.0
        for rows in herds:
            u = 0.0
            for _ in range(60):
                p = 1 / (1 + math.exp(-(b + s * u)))
                slope = s * sum(k[r] - m[r] * p for r in rows) - u
                bend = s * s * sum(m[r] * p * (1 - p) for r in rows) + 1
                u += slope / bend
            at = u + nodes / math.sqrt(bend)
            part = joint(rows, at, s, b) + 0.5 * nodes**2
            total += math.log(np.sum(weights * np.exp(part)) / math.sqrt(2 * math.pi * bend))
        return -2 * total

    best = -2 * fit.loglik
    assert deviance(fit.varcorr.to_frame()["sdcor"][0], fit.fixef.iloc[0]) == pytest.approx(best)
    limits = fit.confint(method="profile").to_numpy()
    for s in limits[0]:
        rise = lowest(lambda v, s=s: deviance(s, v[0]), [-2.0]) - best
        assert rise == pytest.approx(CHI2_95, abs=1e-6)
    for b in limits[1]:
        rise = lowest(lambda v, b=b: deviance(abs(v[0]), b), [0.8]) - best
        assert rise == pytest.approx(CHI2_95, abs=1e-6)


def test_dispersion_and_shape_of_generalized_models() -> None:
    """sigma of a Gamma and the shape of a negative binomial against plain one-way Laplace."""
    from scipy.special import gammaln

    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(9), 7)
    mean = np.exp(1.0 + 0.5 * rng.normal(size=9)[g])
    data = pd.DataFrame({"g": [f"g{i}" for i in g], "y": mean * rng.gamma(4.0, 0.25, g.size)})
    data["n"] = rng.poisson(mean * rng.gamma(2.0, 0.5, g.size))

    def laplace(row: Any, y: Any, b: float, s: float) -> float:
        """row(y, eta) -> log density, slope, minus curvature."""
        total = 0.0
        for level in range(9):
            own, u = y[g == level], 0.0
            for _ in range(80):
                _, d1, d2 = row(own, b + s * u)
                u += (s * d1.sum() - u) / (s * s * d2.sum() + 1)
            value, _, d2 = row(own, b + s * u)
            total += value.sum() - 0.5 * u * u - 0.5 * math.log(s * s * d2.sum() + 1)
        return -2 * total

    def gamma_row(phi: float) -> Any:
        a = 1 / phi

        def row(y: Any, eta: float) -> Any:
            r = y * math.exp(-eta)
            value = a * np.log(a * r) - a * r - np.log(y) - gammaln(a)
            return value, a * (r - 1), a * r

        return row

    def shape_row(k: float) -> Any:
        def row(y: Any, eta: float) -> Any:
            mu = math.exp(eta)
            value = gammaln(y + k) - gammaln(k) - gammaln(y + 1)
            value = value + k * math.log(k / (k + mu)) + y * math.log(mu / (k + mu))
            p = mu / (k + mu)
            return value, y - (y + k) * p, (y + k) * p * (1 - p)

        return row

    gamma = mx.glmer("y ~ 1 + (1 | g)", data, "gamma", link="log")
    counts = mx.glmer_nb("n ~ 1 + (1 | g)", data)
    cases = ((gamma, "sigma", lambda v: gamma_row(v * v), "y"), (counts, "shape", shape_row, "n"))
    for fit, name, row, column in cases:
        y = data[column].to_numpy(float)
        start = [fit.fixef.iloc[0], fit.varcorr.to_frame()["sdcor"][0]]
        for limit in fit.confint(method="profile", parameters=name).loc[name]:
            density = row(limit)

            def held(v: Any, density: Any = density, y: Any = y) -> float:
                return laplace(density, y, v[0], abs(v[1]))

            rise = lowest(held, start) + 2 * fit.loglik
            assert rise == pytest.approx(CHI2_95, abs=2e-6)


def test_the_fast_fit_is_refitted() -> None:
    data = load_frame("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fast = mx.glmer(formula, data, "binomial", n_agq=0)
    profile = fast.profile("period2")
    assert "n_agq=1" in profile.notes[0]
    want = mx.glmer(formula, data, "binomial").confint(method="profile", parameters="period2")
    np.testing.assert_allclose(profile.confint(), want, rtol=1e-7)
