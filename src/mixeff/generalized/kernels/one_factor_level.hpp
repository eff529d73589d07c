// Value, gradient and Hessian of one level at its modes. Along parameter j the modes move by U_j
// and the predictors of the rows by y'E_j, y = (z, x): everything is sums of products of rows'
// terms with z and x, and small matrices.
#pragma once

#include "one_factor_modes.hpp"

namespace mixeff::rows {

template <int Q>
class Level {
  public:
    static constexpr int T = Q * (Q + 1) / 2;

    Level(const OneFactor &f, const BlockRows &rows, const Small<Q> &Lambda)
        : f(f), rows(rows), Lambda(Lambda), across(transposed<Q>(Lambda)), d(Q + f.p),
          m(f.parameters()), G(Q * d), S(T * d), Om(Q * d), xi(d), rho(d), U(m * Q), E(m * Q),
          O(m * Q), W(m * Q), K(m * Q * Q), white(m * T), KX(Q * d) {}

    // Sums of the rows; the squared length of the Newton step that is left, and the step.
    // Negative where the information is not positive.
    double sum(int64_t level, double *step) {
        l = level;
        u = f.u + l * Q;
        begin = f.pointer[l] - rows.first;
        end = f.pointer[l + 1] - rows.first;
        first_pass();
        Mo = penalized<Q>(Go, Lambda);
        if (!cholesky<Q>(Mo)) return -1.0;
        double slope[Q];
        for (int a = 0; a < Q; ++a)
            slope[a] = step[a] = inner<Q>(across.v + a * Q, p) - u[a];
        solve<Q>(Mo, step);
        return std::max(inner<Q>(slope, step), 0.0);
    }

    // Adds this level's part; false if the determinant's information is not positive.
    bool add(LevelSums &out) {
        Md = Mo;
        if (f.expected) {
            Md = penalized<Q>(Gd, Lambda);
            if (!cholesky<Q>(Md)) return false;
        }
        double logdet = 0.0;
        for (int a = 0; a < Q; ++a) logdet += std::log(Md(a, a));
        out.value += inner<Q>(u, u) - 2.0 * loglik_sum + 2.0 * logdet;
        inverse = inverse_of<Q>(Md);
        GL = product<Q>(Gd, Lambda);
        P = product<Q>(Lambda, product<Q>(inverse, across));
        std::memcpy(f.scores + l * Q, p, sizeof p);
        if (f.inverse) std::memcpy(f.inverse + l * Q * Q, P.v, sizeof P.v);
        adjoint();
        second_pass(out);
        slopes(out);
        directions();
        pairs(out);
        if (f.model) working(out);
        return true;
    }

    // What the quadrature goes on from: rows begin .. end of the block, modes, factor of M, and
    // along parameter j the change of the modes and L^-1 M_j L^-T.
    struct Found {
        int64_t begin, end;
        const double *u, *U, *white;
        const Small<Q> &factor;
    };
    Found found() const { return {begin, end, u, U.data(), white.data(), Mo}; }

  private:
    static int tri(int a, int b) { return a >= b ? a * (a + 1) / 2 + b : b * (b + 1) / 2 + a; }
    const double *z(int64_t i) const { return f.Z + (rows.first + i) * Q; }
    const double *x(int64_t i) const { return f.X + (rows.first + i) * f.p; }

    void first_pass() {
        std::fill(G.begin(), G.end(), 0.0);
        std::fill(S.begin(), S.end(), 0.0);
        std::fill(p, p + Q, 0.0);
        std::fill(score_r_z, score_r_z + Q, 0.0);
        double g[T] = {}, r[T] = {};
        loglik_sum = 0.0;
        const int px = f.p;
        for (int64_t i = begin; i < end; ++i) {
            const double *zi = z(i), *xi_ = x(i);
            const double s = rows.part(score)[i], w = rows.part(weight)[i];
            const double wd = rows.determinant(weight)[i], w1 = rows.determinant(weight_slope)[i];
            loglik_sum += rows.part(loglik)[i];
            for (int a = 0, t = 0; a < Q; ++a) {
                p[a] += s * zi[a];
                const double wz = w * zi[a];
                double *row = G.data() + a * d;
                for (int c = 0; c < Q; ++c) row[c] += wz * zi[c];
                for (int c = 0; c < px; ++c) row[Q + c] += wz * xi_[c];
                for (int b = 0; b <= a; ++b, ++t) {
                    const double zz = zi[a] * zi[b], wzz = w1 * zz;
                    g[t] += wd * zz;
                    double *at = S.data() + t * d;
                    for (int c = 0; c < Q; ++c) at[c] += wzz * zi[c];
                    for (int c = 0; c < px; ++c) at[Q + c] += wzz * xi_[c];
                }
            }
            if (!f.dispersed) continue;
            const double sr = rows.part(score_r)[i], wr = rows.determinant(weight_r)[i];
            for (int a = 0, t = 0; a < Q; ++a) {
                score_r_z[a] += sr * zi[a];
                for (int b = 0; b <= a; ++b, ++t) r[t] += wr * zi[a] * zi[b];
            }
        }
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b < Q; ++b) {
                Go(a, b) = G[a * d + b];
                Gd(a, b) = g[tri(a, b)];
                Gr(a, b) = r[tri(a, b)];
            }
    }

    // alpha = M^-1 dlog|M|/du, and Lambda alpha.
    void adjoint() {
        double g[Q];
        for (int c = 0; c < Q; ++c) {
            g[c] = 0.0;
            for (int a = 0; a < Q; ++a)
                for (int b = 0; b < Q; ++b) g[c] += P(a, b) * S[tri(a, b) * d + c];
        }
        for (int a = 0; a < Q; ++a) alpha[a] = inner<Q>(across.v + a * Q, g);
        solve<Q>(Mo, alpha);
        for (int a = 0; a < Q; ++a) moved[a] = inner<Q>(Lambda.v + a * Q, alpha);
    }

    void second_pass(LevelSums &out) {
        std::fill(Om.begin(), Om.end(), 0.0);
        std::fill(xi.begin(), xi.end(), 0.0);
        std::fill(rho.begin(), rho.end(), 0.0);
        const int px = f.p;
        double *square = out.hessian.data() + int64_t(f.entries) * m + f.entries;
        double slope_r = 0.0, bend_r = 0.0;
        for (int64_t i = begin; i < end; ++i) {
            const double *zi = z(i), *xi_ = x(i);
            double h = 0.0;
            for (int a = 0; a < Q; ++a) h += zi[a] * inner<Q>(P.v + a * Q, zi);
            const double t = inner<Q>(zi, moved);
            const double w = rows.part(weight)[i];
            const double om = 2.0 * w + h * rows.determinant(weight_curvature)[i] -
                              t * rows.part(weight_slope)[i];
            const double k = h * rows.determinant(weight_slope)[i] - t * w -
                             2.0 * rows.part(score)[i];
            for (int a = 0; a < Q; ++a) {
                const double oz = om * zi[a];
                double *row = Om.data() + a * d;
                for (int c = 0; c < Q; ++c) row[c] += oz * zi[c];
                for (int c = 0; c < px; ++c) row[Q + c] += oz * xi_[c];
                xi[a] += k * zi[a];
            }
            for (int c = 0; c < px; ++c) {
                xi[Q + c] += k * xi_[c];
                const double ox = om * xi_[c];
                double *row = square + int64_t(c) * m;
                for (int e = c; e < px; ++e) row[e] += ox * xi_[e];
            }
            if (!f.dispersed) continue;
            const double cross = h * rows.determinant(weight_slope_r)[i] -
                                 t * rows.part(weight_r)[i] - 2.0 * rows.part(score_r)[i];
            for (int a = 0; a < Q; ++a) rho[a] += cross * zi[a];
            for (int c = 0; c < px; ++c) rho[Q + c] += cross * xi_[c];
            slope_r += h * rows.determinant(weight_r)[i] + t * rows.part(score_r)[i] -
                       2.0 * rows.part(loglik_r)[i];
            bend_r += h * rows.determinant(weight_rr)[i] + t * rows.part(score_rr)[i] -
                      2.0 * rows.part(loglik_rr)[i];
        }
        for (int c = 0; c < px; ++c) out.gradient[f.entries + c] += xi[Q + c];
        if (f.dispersed) {
            out.gradient[m - 1] += slope_r;
            out.hessian[int64_t(m) * m - 1] += bend_r;
        }
    }

    // Xi = Z'V^-1 Z - pp' + (pv' + vp') / 2 with v = Z'(g - W t) = xi + 2 p.
    void slopes(LevelSums &out) {
        N = product<Q>(GL, inverse);
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b < Q; ++b) {
                const double less = inner<Q>(N.v + a * Q, GL.v + b * Q);
                out.Xi[a * Q + b] += Gd(a, b) - less + p[a] * p[b] +
                                     0.5 * (p[a] * xi[b] + xi[a] * p[b]);
            }
    }

    // How everything moves along every parameter.
    void directions() {
        for (int j = 0; j < m; ++j) {
            const bool theta = j < f.entries, last = f.dispersed && j == m - 1;
            const int column = theta || last ? -1 : Q + j - f.entries;
            double right[Q], *Uj = U.data() + j * Q, *Ej = E.data() + j * Q;
            if (theta) {
                const int r = f.entry_row[j], c = f.entry_column[j];
                for (int a = 0; a < Q; ++a) right[a] = u[c] * Go(a, r);
            } else {
                for (int a = 0; a < Q; ++a) right[a] = last ? -score_r_z[a] : G[a * d + column];
            }
            for (int a = 0; a < Q; ++a) Uj[a] = -inner<Q>(across.v + a * Q, right);
            if (theta) Uj[f.entry_column[j]] += p[f.entry_row[j]];
            solve<Q>(Mo, Uj);
            for (int a = 0; a < Q; ++a) Ej[a] = inner<Q>(Lambda.v + a * Q, Uj);
            if (theta) Ej[f.entry_row[j]] += u[f.entry_column[j]];
            for (int a = 0; a < Q; ++a) {
                const double *om = Om.data() + a * d;
                O[j * Q + a] = inner<Q>(om, Ej) + (column < 0 ? 0.0 : om[column]);
                W[j * Q + a] = inner<Q>(Go.v + a * Q, Ej) +
                               (last ? -score_r_z[a] : column < 0 ? 0.0 : G[a * d + column]);
            }
            matrices(j, column, last);
        }
    }

    // K_j = G_j Lambda M^-1, and L^-1 M_j L^-T with M = L L'.
    void matrices(int j, int column, bool last) {
        const double *Ej = E.data() + j * Q;
        Small<Q> Gj;
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b < Q; ++b) {
                const double *at = S.data() + tri(a, b) * d;
                Gj(a, b) = inner<Q>(at, Ej) + (column < 0 ? 0.0 : at[column]) +
                           (last ? Gr(a, b) : 0.0);
            }
        const Small<Q> moving = product<Q>(Gj, Lambda);
        const Small<Q> Kj = product<Q>(moving, inverse);
        std::memcpy(K.data() + j * Q * Q, Kj.v, sizeof Kj.v);
        Small<Q> M = product<Q>(across, moving);
        if (j < f.entries) {
            const int r = f.entry_row[j], c = f.entry_column[j];
            for (int a = 0; a < Q; ++a) {
                M(c, a) += GL(r, a);
                M(a, c) += GL(r, a);
            }
        }
        for (int side = 0; side < 2; ++side) {
            M = transposed<Q>(M);
            for (int a = 0; a < Q; ++a) forward<Q>(Md, M.v + a * Q);
        }
        double *to = white.data() + j * T;
        for (int a = 0, t = 0; a < Q; ++a)
            for (int b = 0; b <= a; ++b, ++t)
                to[t] = a == b ? M(a, b) : 1.41421356237309504880 * M(a, b);
    }

    void pairs(LevelSums &out) const {
        const int k = f.entries;
        for (int j = 0; j < m; ++j) {
            const bool theta = j < k, last_j = f.dispersed && j == m - 1;
            const int column = theta || last_j ? -1 : Q + j - k;
            const double *Uj = U.data() + j * Q, *Ej = E.data() + j * Q;
            double *row = out.hessian.data() + int64_t(j) * m;
            for (int i = j; i < m; ++i) {
                const double *Ui = U.data() + i * Q, *Ei = E.data() + i * Q;
                double s = inner<Q>(Ej, O.data() + i * Q) + 2.0 * inner<Q>(Uj, Ui);
                if (column >= 0)
                    for (int a = 0; a < Q; ++a) s += Om[a * d + column] * Ei[a];
                const double *one = white.data() + j * T, *two = white.data() + i * T;
                for (int t = 0; t < T; ++t) s -= one[t] * two[t];
                if (theta) s += entry(j, i);
                if (i < k) {
                    const int r = f.entry_row[i], c = f.entry_column[i];
                    const int rj = f.entry_row[j], cj = f.entry_column[j];
                    s += entry(i, j) + 2.0 * inverse(c, cj) * Gd(rj, r);
                }
                if (f.dispersed && i == m - 1) s += by_dispersion(j) + (last_j ? by_dispersion(j) : 0.0);
                row[i] += s;
            }
        }
    }

    // What the change of entry j of Lambda and that of anything else make together.
    double entry(int j, int i) const {
        const int r = f.entry_row[j], c = f.entry_column[j];
        return xi[r] * U[i * Q + c] - alpha[c] * W[i * Q + r] + 2.0 * K[(i * Q + r) * Q + c];
    }

    double by_dispersion(int j) const {
        const int column = j < f.entries || j == m - 1 ? -1 : Q + j - f.entries;
        return inner<Q>(rho.data(), E.data() + j * Q) + (column < 0 ? 0.0 : rho[column]);
    }

    // The working linear model at the modes: K = Z'V^-1 Z and Z'V^-1 X with the scores, X'V^-1 X.
    void working(LevelSums &out) {
        const int px = f.p;
        const double *weights = f.fisher ? rows.fisher.data() + weight * rows.room
                                         : rows.part(weight);
        if (f.fisher) weigh(weights);
        for (int c = 0; c < d; ++c) {
            double g[Q], right[Q];
            for (int a = 0; a < Q; ++a) g[a] = G[a * d + c];
            for (int a = 0; a < Q; ++a) right[a] = inner<Q>(across.v + a * Q, g);
            forward<Q>(Mo, right);
            for (int a = 0; a < Q; ++a) KX[a * d + c] = right[a];
        }
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b < Q; ++b) {
                const double pp = p[a] * p[b];
                for (int c = 0; c < Q; ++c)
                    for (int e = 0; e < Q; ++e)
                        out.pK[((a * Q + b) * Q + c) * Q + e] += pp * (Go(c, e) - less(c, e));
                for (int c = 0; c < px; ++c)
                    out.pX[(a * Q + b) * px + c] += p[a] * (G[b * d + Q + c] - less(b, Q + c));
            }
        for (int64_t i = begin; i < end; ++i) {
            const double w = weights[i], *xi_ = x(i);
            for (int c = 0; c < px; ++c)
                for (int e = c; e < px; ++e) out.XX[c * px + e] += w * xi_[c] * xi_[e];
        }
        for (int c = 0; c < px; ++c)
            for (int e = c; e < px; ++e) out.XX[c * px + e] -= less(Q + c, Q + e);
    }

    // Z'WZ, Z'WX and the factor of M with other weights.
    void weigh(const double *weights) {
        std::fill(G.begin(), G.end(), 0.0);
        for (int64_t i = begin; i < end; ++i)
            for (int a = 0; a < Q; ++a) {
                const double wz = weights[i] * z(i)[a];
                for (int c = 0; c < Q; ++c) G[a * d + c] += wz * z(i)[c];
                for (int c = 0; c < f.p; ++c) G[a * d + Q + c] += wz * x(i)[c];
            }
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b < Q; ++b) Go(a, b) = G[a * d + b];
        Mo = penalized<Q>(Go, Lambda);
        cholesky<Q>(Mo);  // the weights are not negative
    }

    double less(int c, int e) const {
        double s = 0.0;
        for (int a = 0; a < Q; ++a) s += KX[a * d + c] * KX[a * d + e];
        return s;
    }

    const OneFactor &f;
    const BlockRows &rows;
    const Small<Q> Lambda, across;
    const int d, m;
    std::vector<double> G, S, Om, xi, rho, U, E, O, W, K, white, KX;
    int64_t l = 0, begin = 0, end = 0;
    const double *u = nullptr;
    double p[Q], score_r_z[Q], alpha[Q], moved[Q], loglik_sum = 0.0;
    Small<Q> Go, Gd, Gr, Mo, Md, inverse, GL, P, N;
};

}  // namespace mixeff::rows
