// Adaptive Gauss-Hermite quadrature of one level, with its gradient (generalized/quadrature.py):
// M = T T', nodes u_k = u + T^-T x_k. Along parameter j they move by U_j - T^-T Phi' x_k, where Phi
// is the lower triangle of T^-1 M_j T^-T with half its diagonal.
#pragma once

#include "one_factor_level.hpp"

namespace mixeff::rows {

template <int Q>
class Nodes {
  public:
    static constexpr int T = Level<Q>::T;

    Nodes(const OneFactor &f, const BlockRows &rows)
        : f(f), rows(rows), m(f.parameters()), x_sum(f.p), eta(f.n_nodes ? rows.room : 0),
          values(f.n_nodes ? 3 * rows.room : 0) {
        std::memcpy(Lambda.v, f.Lambda, sizeof Lambda.v);
        across = transposed<Q>(Lambda);
    }

    void add(const Level<Q> &level, LevelSums &out) {
        const auto at = level.found();
        begin = at.begin;
        count = at.end - at.begin;
        clear();
        for (int64_t k = 0; k < f.n_nodes; ++k) node(k, at.u, at.factor);
        double logdet = 0.0;
        for (int a = 0; a < Q; ++a) logdet += std::log(at.factor(a, a));
        out.integral += 2.0 * logdet - 2.0 * (top + std::log(total));
        gradient(at.U, at.white, at.factor, out);
    }

  private:
    void clear() {
        top = -std::numeric_limits<double>::infinity();
        total = r_sum = 0.0;
        std::fill(score_u, score_u + Q * Q, 0.0);
        std::fill(rest, rest + Q, 0.0);
        std::fill(rest_x, rest_x + Q * Q, 0.0);
        std::fill(x_sum.begin(), x_sum.end(), 0.0);
    }

    // Everything summed so far belongs to a smaller largest term.
    void rescale(double by) {
        total *= by;
        r_sum *= by;
        for (double &v : score_u) v *= by;
        for (double &v : rest) v *= by;
        for (double &v : rest_x) v *= by;
        for (double &v : x_sum) v *= by;
    }

    void node(int64_t k, const double *mode, const Small<Q> &factor) {
        const double *x = f.nodes + k * Q;
        double u[Q], b[Q];
        for (int a = Q - 1; a >= 0; --a) {
            u[a] = x[a];
            for (int c = a + 1; c < Q; ++c) u[a] -= factor(c, a) * u[c];
            u[a] /= factor(a, a);
        }
        for (int a = 0; a < Q; ++a) u[a] += mode[a];
        for (int a = 0; a < Q; ++a) b[a] = inner<Q>(Lambda.v + a * Q, u);
        const double *z = f.Z + (rows.first + begin) * Q;
        for (int64_t i = 0; i < count; ++i)
            eta[i] = rows.fixed[begin + i] + inner<Q>(z + i * Q, b);
        Rows pass{f.y + rows.first + begin, eta.data(),
                  f.w ? f.w + rows.first + begin : nullptr, count, {}, 1};
        pass.out[score] = values.data();
        if (f.dispersed) pass.out[loglik_r] = values.data() + rows.room;
        double loglik_sum = 0.0;
        const Sums sums = f.run(f.dispersed ? 2 : 1, pass, f.set);
        loglik_sum = sums.loglik;
        const double log_term =
            loglik_sum + f.log_weights[k] + 0.5 * (inner<Q>(x, x) - inner<Q>(u, u));
        if (!(log_term > -std::numeric_limits<double>::infinity())) return;
        if (log_term > top) {
            rescale(std::exp(top - log_term));
            top = log_term;
        }
        sum(x, u, std::exp(log_term - top), sums.loglik_r);
    }

    void sum(const double *x, const double *u, double part, double by_r) {
        double p[Q] = {};
        const double *z = f.Z + (rows.first + begin) * Q;
        const double *xi = f.X + (rows.first + begin) * f.p;
        for (int64_t i = 0; i < count; ++i, z += Q, xi += f.p) {
            const double s = values[i], ps = part * s;
            for (int a = 0; a < Q; ++a) p[a] += s * z[a];
            for (int c = 0; c < f.p; ++c) x_sum[c] += ps * xi[c];
        }
        total += part;
        r_sum += part * by_r;
        for (int a = 0; a < Q; ++a) {
            const double left = part * (inner<Q>(across.v + a * Q, p) - u[a]);
            rest[a] += left;
            for (int b = 0; b < Q; ++b) {
                score_u[a * Q + b] += part * p[a] * u[b];
                rest_x[a * Q + b] += left * x[b];
            }
        }
    }

    void gradient(const double *U, const double *white, const Small<Q> &factor, LevelSums &out) {
        // T^-1 (sum of r x'), column by column.
        double Y[Q * Q];
        for (int b = 0; b < Q; ++b) {
            double column[Q];
            for (int a = 0; a < Q; ++a) column[a] = rest_x[a * Q + b];
            forward<Q>(factor, column);
            for (int a = 0; a < Q; ++a) Y[a * Q + b] = column[a];
        }
        const double scale = -2.0 / total;
        for (int j = 0; j < m; ++j) {
            double direct = r_sum;
            if (j < f.entries)
                direct = score_u[f.entry_row[j] * Q + f.entry_column[j]];
            else if (j < f.entries + f.p)
                direct = x_sum[j - f.entries];
            double moving = inner<Q>(rest, U + j * Q), trace = 0.0;
            const double *S = white + j * T;
            for (int b = 0, t = 0; b < Q; ++b)
                for (int a = 0; a <= b; ++a, ++t) {
                    // Off the diagonal ``white`` holds root two times the entry.
                    const double phi = a == b ? 0.5 * S[t] : 0.70710678118654752440 * S[t];
                    moving -= Y[a * Q + b] * phi;
                    if (a == b) trace += S[t];
                }
            out.integral_gradient[j] += trace + scale * (direct + moving);
        }
    }

    const OneFactor &f;
    const BlockRows &rows;
    const int m;
    Small<Q> Lambda, across;
    int64_t begin = 0, count = 0;
    double top, total, r_sum;
    double score_u[Q * Q], rest[Q], rest_x[Q * Q];
    std::vector<double> x_sum, eta, values;
};

}  // namespace mixeff::rows
