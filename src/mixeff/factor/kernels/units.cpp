// From working coordinates to the caller's units: what small models would spend in a dozen array
// operations on matrices of two rows.

#include <algorithm>
#include <stdexcept>

#include "kernels.hpp"
#include "small_algebra.hpp"

namespace mixeff {

namespace {

// The lower triangular root of (basis Lambda)(basis Lambda)'; theta and the result by columns.
void rescale(const double *basis, int q, const double *theta, double *out, double *L) {
    double Lambda[max_theta * max_theta], root[max_theta * max_theta];
    std::fill(Lambda, Lambda + q * q, 0.0);
    for (int c = 0; c < q; ++c)
        for (int r = c; r < q; ++r) Lambda[r * q + c] = *theta++;
    for (int r = 0; r < q; ++r)
        for (int c = 0; c < q; ++c) {
            double s = 0.0;
            for (int j = c; j < q; ++j) s += basis[r * q + j] * Lambda[j * q + c];
            root[r * q + c] = s;
        }
    lower_factor(root, q, q, q, L);
    for (int c = 0; c < q; ++c)
        for (int r = c; r < q; ++r) *out++ = L[r * q + c];
}

}  // namespace

// Lambda of one term in other units, for many thetas (m, q (q + 1) / 2).
Array rescale_roots(Mat basis, Mat theta) {
    const int q = int(basis.shape(0)), k = q * (q + 1) / 2;
    const size_t m = theta.shape(0);
    if (q > max_theta || int(basis.shape(1)) != q || int(theta.shape(1)) != k)
        throw std::invalid_argument("rescale_roots: shapes do not agree");
    double *out, L[max_theta * max_theta];
    auto result = owned<double>({m, size_t(k)}, out);
    for (size_t i = 0; i < m; ++i)
        rescale(basis.data(), q, theta.data() + i * size_t(k), out + i * size_t(k), L);
    return result;
}

// Theta of one term, its Lambda, and its modes (J, q): scale * (columns of the block) basis'.
nb::tuple term_units(Mat basis, Vec theta, Mat modes, int64_t first, double scale) {
    const int64_t q = int64_t(basis.shape(0)), J = int64_t(modes.shape(0));
    const int64_t width = int64_t(modes.shape(1));
    if (q > max_theta || int64_t(basis.shape(1)) != q || first < 0 || first + q > width ||
        int64_t(theta.shape(0)) != q * (q + 1) / 2)
        throw std::invalid_argument("term_units: shapes do not agree");
    double *out, *Lambda, *b;
    auto theta_out = owned<double>({theta.shape(0)}, out);
    auto Lambda_out = owned<double>({size_t(q), size_t(q)}, Lambda);
    auto modes_out = owned<double>({size_t(J), size_t(q)}, b);
    const double *T = basis.data();
    rescale(T, int(q), theta.data(), out, Lambda);
    for (int64_t l = 0; l < J; ++l) {
        const double *from = modes.data() + l * width + first;
        for (int64_t r = 0; r < q; ++r) {
            double s = 0.0;
            for (int64_t j = 0; j < q; ++j) s += from[j] * T[r * q + j];
            b[l * q + r] = scale * s;
        }
    }
    return nb::make_tuple(theta_out, Lambda_out, modes_out);
}

// basis (projection + scale * beta) + center * constant, and basis covariance basis'; `constant`
// is empty where nothing was centred.
nb::tuple fixed_units(Mat basis, Vec projection, double scale, double center, Vec constant,
                      Vec beta, Mat covariance) {
    const size_t p = basis.shape(0);
    if (basis.shape(1) != p || projection.shape(0) != p || beta.shape(0) != p ||
        covariance.shape(0) != p || covariance.shape(1) != p ||
        (constant.shape(0) && constant.shape(0) != p))
        throw std::invalid_argument("fixed_units: shapes do not agree");
    double *out, *C;
    auto beta_out = owned<double>({p}, out);
    auto covariance_out = owned<double>({p, p}, C);
    const double *T = basis.data();
    std::vector<double> half(p * p, 0.0);  // basis covariance
    for (size_t r = 0; r < p; ++r) {
        for (size_t j = 0; j < p; ++j)
            out[r] += T[r * p + j] * (projection.data()[j] + scale * beta.data()[j]);
        if (constant.shape(0)) out[r] += center * constant.data()[r];
        for (size_t j = 0; j < p; ++j)
            for (size_t c = 0; c < p; ++c)
                half[r * p + c] += T[r * p + j] * covariance.data()[j * p + c];
    }
    for (size_t r = 0; r < p; ++r)
        for (size_t c = 0; c <= r; ++c) {
            double s = 0.0, t = 0.0;
            for (size_t j = 0; j < p; ++j) {
                s += half[r * p + j] * T[c * p + j];
                t += half[c * p + j] * T[r * p + j];
            }
            C[r * p + c] = C[c * p + r] = 0.5 * (s + t);
        }
    return nb::make_tuple(beta_out, covariance_out);
}

}  // namespace mixeff
