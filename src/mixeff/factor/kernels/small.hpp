// Algebra of the small blocks: q x q row-major, q known at compile time up to 3, else at run time.
#pragma once

#include <cmath>
#include <cstdint>

namespace mixeff {

// Calls body(integral constant) with q at compile time where that pays.
template <int V>
struct Fixed {
    static constexpr int value = V;
};

template <typename Body>
auto with_size(int64_t q, Body body) {
    switch (q) {
        case 1: return body(Fixed<1>{});
        case 2: return body(Fixed<2>{});
        case 3: return body(Fixed<3>{});
        default: return body(Fixed<0>{});
    }
}

// out = A B
template <int Q>
inline void product(const double *A, const double *B, double *out, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < q; ++i)
        for (int64_t j = 0; j < q; ++j) {
            double s = 0.0;
            for (int64_t k = 0; k < q; ++k) s += A[i * q + k] * B[k * q + j];
            out[i * q + j] = s;
        }
}

// out = A B'
template <int Q>
inline void product_transposed(const double *A, const double *B, double *out, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < q; ++i)
        for (int64_t j = 0; j < q; ++j) {
            double s = 0.0;
            for (int64_t k = 0; k < q; ++k) s += A[i * q + k] * B[j * q + k];
            out[i * q + j] = s;
        }
}

// out = A' B
template <int Q>
inline void transposed_product(const double *A, const double *B, double *out, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < q; ++i)
        for (int64_t j = 0; j < q; ++j) {
            double s = 0.0;
            for (int64_t k = 0; k < q; ++k) s += A[k * q + i] * B[k * q + j];
            out[i * q + j] = s;
        }
}

// In place lower Cholesky factor with zeros above; false when a pivot is not positive (or NaN).
template <int Q>
inline bool cholesky(double *A, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t j = 0; j < q; ++j) {
        double d = A[j * q + j];
        for (int64_t k = 0; k < j; ++k) d -= A[j * q + k] * A[j * q + k];
        if (!(d > 0.0) || !std::isfinite(d)) return false;
        const double pivot = std::sqrt(d);
        A[j * q + j] = pivot;
        for (int64_t i = j + 1; i < q; ++i) {
            double s = A[i * q + j];
            for (int64_t k = 0; k < j; ++k) s -= A[i * q + k] * A[j * q + k];
            A[i * q + j] = s / pivot;
            A[j * q + i] = 0.0;
        }
    }
    return true;
}

// In place T x = x for one vector with the given stride.
template <int Q>
inline void solve_lower(const double *T, double *x, int64_t size, int64_t stride = 1) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < q; ++i) {
        double s = x[i * stride];
        for (int64_t k = 0; k < i; ++k) s -= T[i * q + k] * x[k * stride];
        x[i * stride] = s / T[i * q + i];
    }
}

// In place T' x = x for one vector with the given stride.
template <int Q>
inline void solve_upper(const double *T, double *x, int64_t size, int64_t stride = 1) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = q - 1; i >= 0; --i) {
        double s = x[i * stride];
        for (int64_t k = i + 1; k < q; ++k) s -= T[k * q + i] * x[k * stride];
        x[i * stride] = s / T[i * q + i];
    }
}

// F = (I + G Lambda Lambda')^-1 of one level from T T' = Lambda'G Lambda + I and R = Lambda T^-T:
// Lambda^-T (T T')^-1 Lambda' where Lambda's inverse is given, else I - G R R'. X, W: room.
template <int Q>
inline void level_F(const double *G, const double *T, const double *R, const double *inverse,
                    double *F, double *X, double *W, int64_t size) {
    const int64_t q = Q ? Q : size;
    if (inverse) {
        // F' = R T^-1 Lambda^-1
        for (int64_t i = 0; i < q * q; ++i) X[i] = inverse[i];
        for (int64_t j = 0; j < q; ++j) solve_lower<Q>(T, X + j, q, q);
        product<Q>(R, X, W, q);
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) F[i * q + j] = W[j * q + i];
    } else {
        product<Q>(G, R, X, q);
        product_transposed<Q>(X, R, F, q);
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) F[i * q + j] = (i == j) - F[i * q + j];
    }
}

// Lambda^-1 in `inverse`, which must be zero before.
template <int Q>
inline void invert_lower(const double *Lambda, double *inverse, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < q; ++i) inverse[i * q + i] = 1.0;
    for (int64_t j = 0; j < q; ++j) solve_lower<Q>(Lambda, inverse + j, q, q);
}

// In place inverse of a lower triangular matrix.
template <int Q>
inline void invert_in_place(double *T, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < q; ++i) T[i * q + i] = 1.0 / T[i * q + i];
    for (int64_t i = 1; i < q; ++i)
        for (int64_t j = 0; j < i; ++j) {
            double s = 0.0;
            for (int64_t k = j; k < i; ++k) s += T[i * q + k] * T[k * q + j];
            T[i * q + j] = -T[i * q + i] * s;
        }
}

// log of a long product with one logarithm for many factors.
struct LogProduct {
    double sum = 0.0, product = 1.0;
    void times(double x) {
        product *= x;
        if (product > 1e100 || product < 1e-100) {
            sum += std::log(product);
            product = 1.0;
        }
    }
    double value() const { return sum + std::log(product); }
};

}  // namespace mixeff
