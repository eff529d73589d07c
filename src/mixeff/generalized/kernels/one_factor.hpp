// Laplace's criterion of a model with one grouping factor, level by level: modes, value, gradient,
// exact Hessian. The formulas stand in generalized/one_factor.py.
#pragma once

#include "row_pass.hpp"

namespace mixeff::rows {

// Rows sorted by level; q columns of Z, p of X. Entries are the free elements of Lambda (q, q).
struct OneFactor {
    Pass run;
    Setting set;
    const double *y, *w, *offset, *X, *Z;
    const int64_t *pointer;
    int64_t levels;
    int p;
    bool dispersed;  // log dispersion is the last parameter
    bool expected;   // the expected information stands in the determinant
    const double *Lambda, *beta;
    const int32_t *entry_row, *entry_column;
    int entries;
    bool model;       // the sums of the working linear model are wanted
    bool fisher;      // ... with the expected weights
    double *u;        // (J, q) where to begin, then the modes
    double *scores;   // (J, q) Z's
    double *inverse;  // (J, q, q) Lambda M^-1 Lambda', or null
    const double *nodes, *log_weights;  // of the quadrature: (K, q) and (K,)
    int64_t n_nodes;

    int parameters() const { return entries + p + (dispersed ? 1 : 0); }
};

// Sums over levels. The Hessian is the upper triangle only.
struct LevelSums {
    double value = 0.0;
    std::vector<double> Xi, gradient, hessian;
    double integral = 0.0;  // the criterion by quadrature
    std::vector<double> integral_gradient;
    std::vector<double> pK, pX, XX;  // sums of p p' K, p K_x, X'V^-1 X; see one_factor.py

    void resize(const OneFactor &f, int q);
    void add(const LevelSums &other);
};

enum class Search { found, impossible, endless };

// Modes of all levels, and the sums at them; q columns of Z, at most 6.
Search run_all(const OneFactor &f, int q, int threads, LevelSums &total);

// The slopes in Lambda's entries from Xi: 2 (Xi Lambda); of a vanished column exactly zero.
void entry_slopes(const OneFactor &f, int q, LevelSums &sums);

void mirror_square(std::vector<double> &square, size_t size);

// Parts of the rows of one block of levels.
struct BlockRows {
    int64_t first, count;
    std::vector<double> fixed, eta, values;  // values: parts one after the other
    std::vector<double> expected;            // the same parts with the expected information
    std::vector<double> fisher;              // log-likelihood, score and expected weight
    int64_t room = 0;

    void reserve(int64_t rows, const OneFactor &f);
    const double *part(int j) const { return values.data() + j * room; }
    const double *determinant(int j) const {
        return (expected.empty() ? values.data() : expected.data()) + j * room;
    }
};

// q x q matrices, row by row.
template <int Q>
struct Small {
    double v[Q * Q];
    double &operator()(int i, int j) { return v[i * Q + j]; }
    double operator()(int i, int j) const { return v[i * Q + j]; }
};

template <int Q>
inline Small<Q> product(const Small<Q> &a, const Small<Q> &b) {
    Small<Q> out;
    for (int i = 0; i < Q; ++i)
        for (int j = 0; j < Q; ++j) {
            double s = 0.0;
            for (int k = 0; k < Q; ++k) s += a(i, k) * b(k, j);
            out(i, j) = s;
        }
    return out;
}

template <int Q>
inline Small<Q> transposed(const Small<Q> &a) {
    Small<Q> out;
    for (int i = 0; i < Q; ++i)
        for (int j = 0; j < Q; ++j) out(i, j) = a(j, i);
    return out;
}

// Lower Cholesky factor in place of the lower triangle; false if not positive definite.
template <int Q>
inline bool cholesky(Small<Q> &a) {
    for (int j = 0; j < Q; ++j) {
        double pivot = a(j, j);
        for (int k = 0; k < j; ++k) pivot -= a(j, k) * a(j, k);
        if (!(pivot > 0.0)) return false;
        const double root = std::sqrt(pivot), inverse = 1.0 / root;
        a(j, j) = root;
        for (int i = j + 1; i < Q; ++i) {
            double s = a(i, j);
            for (int k = 0; k < j; ++k) s -= a(i, k) * a(j, k);
            a(i, j) = s * inverse;
        }
    }
    return true;
}

template <int Q>
inline void forward(const Small<Q> &L, double *x) {
    for (int i = 0; i < Q; ++i) {
        for (int k = 0; k < i; ++k) x[i] -= L(i, k) * x[k];
        x[i] /= L(i, i);
    }
}

template <int Q>
inline void solve(const Small<Q> &L, double *x) {
    forward<Q>(L, x);
    for (int i = Q - 1; i >= 0; --i) {
        for (int k = i + 1; k < Q; ++k) x[i] -= L(k, i) * x[k];
        x[i] /= L(i, i);
    }
}

template <int Q>
inline Small<Q> inverse_of(const Small<Q> &L) {
    Small<Q> out;
    for (int j = 0; j < Q; ++j) {
        double e[Q] = {};
        e[j] = 1.0;
        solve<Q>(L, e);
        for (int i = 0; i < Q; ++i) out(i, j) = e[i];
    }
    return out;
}

// I + Lambda' G Lambda.
template <int Q>
inline Small<Q> penalized(const Small<Q> &G, const Small<Q> &Lambda) {
    Small<Q> M = product<Q>(transposed<Q>(Lambda), product<Q>(G, Lambda));
    for (int i = 0; i < Q; ++i) M(i, i) += 1.0;
    return M;
}

// a'b of the q numbers.
template <int Q>
inline double inner(const double *a, const double *b) {
    double s = 0.0;
    for (int i = 0; i < Q; ++i) s += a[i] * b[i];
    return s;
}

}  // namespace mixeff::rows
