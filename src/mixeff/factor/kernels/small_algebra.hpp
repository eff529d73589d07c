// Eigenvectors, singular vectors and triangular roots of the few covariance parameters of a small
// model: row-major, a handful of rows, no allocation.
#pragma once

#include <algorithm>
#include <cmath>

namespace mixeff {

// Most covariance parameters, and columns per level, a small fit takes.
constexpr int max_theta = 15;

// Eigenvalues and eigenvectors (columns of V) of the symmetric A, which is destroyed: cyclic
// Jacobi (Golub and Van Loan 2013, section 8.5), accurate also for tiny eigenvalues.
inline void eigen_symmetric(double *A, int n, double *values, double *V) {
    for (int i = 0; i < n * n; ++i) V[i] = 0.0;
    for (int i = 0; i < n; ++i) V[i * n + i] = 1.0;
    for (int sweep = 0; sweep < 50; ++sweep) {
        bool done = true;
        for (int p = 0; p < n; ++p)
            for (int q = p + 1; q < n; ++q) {
                const double off = A[p * n + q];
                const double size = std::sqrt(std::fabs(A[p * n + p]) * std::fabs(A[q * n + q]));
                if (off == 0.0 || std::fabs(off) <= 1e-16 * size) continue;
                // Not a number would turn for ever.
                if (!(std::fabs(off) < HUGE_VAL)) return;
                done = false;
                const double tau = (A[q * n + q] - A[p * n + p]) / (2.0 * off);
                const double t = std::copysign(1.0, tau) / (std::fabs(tau) + std::sqrt(1.0 + tau * tau));
                const double c = 1.0 / std::sqrt(1.0 + t * t), s = t * c;
                A[p * n + p] -= t * off;
                A[q * n + q] += t * off;
                A[p * n + q] = A[q * n + p] = 0.0;
                for (int i = 0; i < n; ++i) {
                    if (i != p && i != q) {
                        const double a = A[i * n + p], b = A[i * n + q];
                        A[i * n + p] = A[p * n + i] = c * a - s * b;
                        A[i * n + q] = A[q * n + i] = s * a + c * b;
                    }
                    const double a = V[i * n + p], b = V[i * n + q];
                    V[i * n + p] = c * a - s * b;
                    V[i * n + q] = s * a + c * b;
                }
            }
        if (done) break;
    }
    for (int i = 0; i < n; ++i) values[i] = A[i * n + i];
}

// The nearest positive semidefinite matrix.
inline void positive_part(const double *A, int n, double *out) {
    if (n == 1) {
        out[0] = std::max(A[0], 0.0);
        return;
    }
    double work[max_theta * max_theta], values[max_theta], V[max_theta * max_theta];
    if (n == 2) {
        const double middle = 0.5 * (A[0] + A[3]), half = 0.5 * (A[0] - A[3]);
        const double spread = std::sqrt(half * half + A[1] * A[1]);
        const double low = middle - spread, high = middle + spread;
        if (low >= 0.0 || !(high > 0.0)) {
            for (int i = 0; i < 4; ++i) out[i] = low >= 0.0 ? A[i] : 0.0;
            return;
        }
        const double f = high / (high - low);  // (A - low) / (high - low) projects
        out[0] = f * (A[0] - low);
        out[1] = out[2] = f * A[1];
        out[3] = f * (A[3] - low);
        return;
    }
    std::copy(A, A + n * n, work);
    eigen_symmetric(work, n, values, V);
    for (int r = 0; r < n; ++r)
        for (int c = 0; c < n; ++c) {
            double s = 0.0;
            for (int i = 0; i < n; ++i) s += V[r * n + i] * std::max(values[i], 0.0) * V[c * n + i];
            out[r * n + c] = s;
        }
}

// Whether all singular values of a triangular factor are above the limit for sure, from the
// diagonal and the Frobenius norm: s_min >= |det| ((n - 1) / |L|^2)^((n - 1) / 2).
inline bool surely_above(const double *theta, int n, double limit) {
    double det = 1.0, square = 0.0;
    for (int c = 0; c < n; ++c) {
        det *= theta[0];
        for (int r = c; r < n; ++r, ++theta) square += *theta * *theta;
    }
    double bound = 0.99 * det * det;
    for (int c = 1; c < n; ++c) bound *= (n - 1) / square;
    return bound > limit * limit && square < 1e20;  // not so large that rounding counts
}

// Left singular vectors (columns of U) and singular values of the square M by one-sided Jacobi on
// its rows: no squares are formed, so small singular values keep their digits. W = U' M is left.
inline void left_singular(const double *M, int n, double *U, double *sizes, double *W) {
    std::copy(M, M + n * n, W);
    for (int i = 0; i < n * n; ++i) U[i] = 0.0;
    for (int i = 0; i < n; ++i) U[i * n + i] = 1.0;
    for (int sweep = 0; sweep < 50; ++sweep) {
        bool done = true;
        for (int p = 0; p < n; ++p)
            for (int q = p + 1; q < n; ++q) {
                double a = 0.0, b = 0.0, off = 0.0;
                for (int j = 0; j < n; ++j) {
                    a += W[p * n + j] * W[p * n + j];
                    b += W[q * n + j] * W[q * n + j];
                    off += W[p * n + j] * W[q * n + j];
                }
                if (off == 0.0 || std::fabs(off) <= 1e-16 * std::sqrt(a * b)) continue;
                if (!(std::fabs(off) < HUGE_VAL)) return;
                done = false;
                const double tau = (b - a) / (2.0 * off);
                const double t = std::copysign(1.0, tau) / (std::fabs(tau) + std::sqrt(1.0 + tau * tau));
                const double c = 1.0 / std::sqrt(1.0 + t * t), s = t * c;
                for (int j = 0; j < n; ++j) {
                    const double x = W[p * n + j], y = W[q * n + j];
                    W[p * n + j] = c * x - s * y;
                    W[q * n + j] = s * x + c * y;
                    const double u = U[j * n + p], v = U[j * n + q];
                    U[j * n + p] = c * u - s * v;
                    U[j * n + q] = s * u + c * v;
                }
            }
        if (done) break;
    }
    for (int i = 0; i < n; ++i) {  // scaled: what is not zero must not underflow to zero
        double most = 0.0, a = 0.0;
        for (int j = 0; j < n; ++j) most = std::max(most, std::fabs(W[i * n + j]));
        for (int j = 0; j < n && most > 0.0; ++j) a += (W[i * n + j] / most) * (W[i * n + j] / most);
        sizes[i] = most * std::sqrt(a);
    }
}

// Lower triangular L (q x q) with L L' = root root' and diagonal >= 0; root is q x m with row
// stride `stride` and is destroyed. Reflections from the right, as `lower_factor` in Python.
inline void lower_factor(double *root, int q, int m, int stride, double *L) {
    for (int i = 0; i < q * q; ++i) L[i] = 0.0;
    int gone = 0;  // columns already used up
    for (int i = 0; i < q && gone < m; ++i) {
        double *row = root + i * stride + gone;
        const int left = m - gone;
        double square = 0.0, before = 0.0;
        for (int j = 0; j < left; ++j) square += row[j] * row[j];
        for (int j = 0; j < i; ++j) before += L[i * q + j] * L[i * q + j];
        const double pivot = std::sqrt(square);
        if (pivot == 0.0 || pivot <= 1e-13 * std::sqrt(square + before)) continue;
        bool reflect = false;
        for (int j = 1; j < left; ++j) reflect = reflect || row[j] != 0.0;
        if (reflect) {
            double v[2 * max_theta], norm = 0.0;
            for (int j = 0; j < left; ++j) v[j] = row[j] / pivot;
            v[0] += v[0] >= 0.0 ? 1.0 : -1.0;
            for (int j = 0; j < left; ++j) norm += v[j] * v[j];
            for (int r = 0; r < q; ++r) {
                double *at = root + r * stride + gone, s = 0.0;
                for (int j = 0; j < left; ++j) s += at[j] * v[j];
                for (int j = 0; j < left; ++j) at[j] -= s * (2.0 / norm) * v[j];
            }
        }
        // (Columns already kept are untouched: L holds what was read from them.)
        const double sign = root[i * stride + gone] < 0.0 ? -1.0 : 1.0;
        for (int r = i; r < q; ++r) L[r * q + i] = sign * root[r * stride + gone];
        ++gone;
    }
}

}  // namespace mixeff
