// Cross-products of rows whose weights change while the pattern stays (penalized IRLS), and what
// the rows need back from the factor. Weights may be negative: nothing takes their square root.
// Every sum runs over rows in an order fixed by the data alone, whatever the number of threads.

#include <algorithm>

#include "arrays.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "small.hpp"

namespace mixeff {

namespace {

// While all sums fit the cache, reading the rows as they lie is faster than level by level.
constexpr int64_t sums_in_cache = int64_t(8) << 20;

// Runs body(first, last) on equal parts of n rows that write only what is their own.
template <typename Body>
void by_rows(int64_t n, int threads, Body body) {
    const int64_t run = 16384;
    share((n + run - 1) / run, threads, 1,
          [&](int64_t part) { body(part * run, std::min(n, (part + 1) * run)); });
}

}  // namespace

void weighted_levels(Codes codes, Longs pointer, Longs order, Mat Z, Mat X, Vec weight, Vec product,
                     CubeOut gram, CubeOut dense, int threads) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1, size = int64_t(Z.shape(1));
    const int64_t p = int64_t(X.shape(1)), n = int64_t(Z.shape(0));
    const int64_t *ptr = pointer.data(), *rows = order.data();
    const double *w = weight.data(), *c = product.size() ? product.data() : nullptr;
    std::fill(gram.data(), gram.data() + n_levels * size * size, 0.0);
    std::fill(dense.data(), dense.data() + n_levels * (p + 1) * size, 0.0);
    with_size(size, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size;
        auto add_row = [&](int64_t r, int64_t l) {
            const double *z = Z.data() + r * q, *x = X.data() + r * p;
            double *g = gram.data() + l * q * q, *b = dense.data() + l * (p + 1) * q;
            for (int64_t a = 0; a < q; ++a) {
                const double wz = w[r] * z[a];
                for (int64_t k = 0; k < q; ++k) g[a * q + k] += wz * z[k];
            }
            if (q == 1) {
                const double wz = w[r] * z[0];
                for (int64_t a = 0; a < p; ++a) b[a] += wz * x[a];
            } else {
                for (int64_t a = 0; a < p; ++a) {
                    const double wx = w[r] * x[a];
                    for (int64_t k = 0; k < q; ++k) b[a * q + k] += wx * z[k];
                }
            }
            if (c)
                for (int64_t k = 0; k < q; ++k) b[p * q + k] += c[r] * z[k];
        };
        if (q == 1 && p == 0 && !c) {  // what every factorization without X asks for
            const double *z = Z.data();
            double *g = gram.data();
            const auto add_plain = [&](int64_t r, int64_t l) { g[l] += w[r] * z[r] * z[r]; };
            if (threads <= 1 && n_levels * int64_t(sizeof(double)) < sums_in_cache) {
                for (int64_t r = 0; r < n; ++r) add_plain(r, codes.data()[r]);
                return;
            }
            split(ptr, n_levels, threads, [&](int64_t first, int64_t last) {
                for (int64_t l = first; l < last; ++l)
                    for (int64_t i = ptr[l]; i < ptr[l + 1]; ++i) add_plain(rows[i], l);
            });
            return;
        }
        if (threads <= 1 && n_levels * q * (q + p + 1) * int64_t(sizeof(double)) < sums_in_cache) {
            for (int64_t r = 0; r < n; ++r) add_row(r, codes.data()[r]);
            return;
        }
        split(ptr, n_levels, threads, [&](int64_t first, int64_t last) {
            for (int64_t l = first; l < last; ++l)
                for (int64_t i = ptr[l]; i < ptr[l + 1]; ++i) add_row(rows[i], l);
        });
    });
}

void weighted_pairs(Longs start, Longs order, Mat Z, Mat other, Vec weight, CubeOut values,
                    int threads) {
    const int64_t n_pairs = int64_t(start.shape(0)) - 1, size = int64_t(Z.shape(1));
    const int64_t m = int64_t(other.shape(1));
    const int64_t *ptr = start.data(), *rows = order.data();
    with_size(size, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size;
        split(ptr, n_pairs, threads, [&](int64_t first, int64_t last) {
            if (q == 1 && m == 1) {
                const double *w = weight.data(), *z = Z.data(), *x = other.data();
                for (int64_t e = first; e < last; ++e) {
                    double s = 0.0;
                    for (int64_t i = ptr[e]; i < ptr[e + 1]; ++i)
                        s += w[rows[i]] * z[rows[i]] * x[rows[i]];
                    values.data()[e] = s;
                }
                return;
            }
            for (int64_t e = first; e < last; ++e) {
                double *out = values.data() + e * q * m;
                std::fill(out, out + q * m, 0.0);
                for (int64_t i = ptr[e]; i < ptr[e + 1]; ++i) {
                    const int64_t r = rows[i];
                    const double *z = Z.data() + r * q, *x = other.data() + r * m;
                    for (int64_t a = 0; a < q; ++a) {
                        const double wz = weight.data()[r] * z[a];
                        for (int64_t k = 0; k < m; ++k) out[a * m + k] += wz * x[k];
                    }
                }
            }
        });
    });
}

void weighted_fixed(Mat X, Vec weight, Vec product, MatOut fixed, int threads) {
    const int64_t n = int64_t(X.shape(0)), p = int64_t(X.shape(1)), d = p + 1, block = 512;
    const double *c = product.size() ? product.data() : nullptr;
    const int64_t parts = p ? std::min<int64_t>(64, (n + block - 1) / block) : 0;
    std::vector<double> partial(size_t(parts * d * d), 0.0);
    std::vector<int64_t> bounds(size_t(parts) + 1);
    for (int64_t s = 0; s <= parts; ++s) bounds[s] = parts ? n * s / parts : 0;
    split(bounds.data(), parts, threads, [&](int64_t first, int64_t last) {
        // The columns of a block of rows side by side, so that every entry is a long product.
        std::vector<double> columns(size_t(p) * block), weighted(block, 0.0);
        for (int64_t s = first; s < last; ++s)
            for (int64_t from = bounds[s]; from < bounds[s + 1]; from += block) {
                const int64_t m = std::min(block, bounds[s + 1] - from);
                double *to = partial.data() + s * d * d;
                for (int64_t r = 0; r < m; ++r)
                    for (int64_t a = 0; a < p; ++a)
                        columns[a * block + r] = X.data()[(from + r) * p + a];
                for (int64_t a = 0; a < p; ++a) {
                    const double *own = columns.data() + a * block;
                    for (int64_t r = 0; r < m; ++r) weighted[r] = weight.data()[from + r] * own[r];
                    for (int64_t b = 0; b <= a; ++b)
                        to[a * d + b] += long_dot(weighted.data(), columns.data() + b * block, m);
                    if (c) to[p * d + a] += long_dot(c + from, own, m);
                }
            }
    });
    double *total = fixed.data();
    std::fill(total, total + d * d, 0.0);
    for (int64_t s = 0; s < parts; ++s)
        for (int64_t i = 0; i < d * d; ++i) total[i] += partial[s * d * d + i];
    for (int64_t a = 0; a < d; ++a)
        for (int64_t b = 0; b < a; ++b) total[b * d + a] = total[a * d + b];
}

void add_effects(Codes codes, Mat Z, Mat effects, VecOut out, int threads) {
    const int64_t size = int64_t(Z.shape(1));
    const int32_t *c = codes.data();
    const double *z = Z.data(), *b = effects.data();
    double *to = out.data();
    with_size(size, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size;
        by_rows(int64_t(Z.shape(0)), threads, [&](int64_t first, int64_t last) {
            for (int64_t r = first; r < last; ++r) {
                const double *at = b + int64_t(c[r]) * q;
                double s = 0.0;
                for (int64_t k = 0; k < q; ++k) s += z[r * q + k] * at[k];
                to[r] += s;
            }
        });
    });
}

void add_quadratic(Codes codes, Mat Z, Cube blocks, VecOut out, int threads) {
    const int64_t size = int64_t(Z.shape(1));
    const int32_t *c = codes.data();
    const double *rows = Z.data(), *all = blocks.data();
    double *to = out.data();
    with_size(size, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size;
        by_rows(int64_t(Z.shape(0)), threads, [&](int64_t first, int64_t last) {
            for (int64_t r = first; r < last; ++r) {
                const double *D = all + int64_t(c[r]) * q * q, *z = rows + r * q;
                double s = 0.0;
                for (int64_t a = 0; a < q; ++a)
                    for (int64_t k = 0; k < q; ++k) s += z[a] * D[a * q + k] * z[k];
                to[r] += s;
            }
        });
    });
}

void add_bilinear(Codes position, Mat Z, Mat other, Cube blocks, VecOut out, int threads) {
    const int64_t size = int64_t(Z.shape(1)), m = int64_t(other.shape(1));
    const int32_t *c = position.data();
    const double *rows = Z.data(), *others = other.data(), *all = blocks.data();
    double *to = out.data();
    // Two scalars, or any sizes.
    with_size(size == 1 && m == 1 ? 1 : 0, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size, width = Q ? Q : m;
        by_rows(int64_t(Z.shape(0)), threads, [&](int64_t first, int64_t last) {
            for (int64_t r = first; r < last; ++r) {
                const double *D = all + int64_t(c[r]) * q * width;
                const double *z = rows + r * q, *x = others + r * width;
                double s = 0.0;
                for (int64_t a = 0; a < q; ++a)
                    for (int64_t k = 0; k < width; ++k) s += z[a] * D[a * width + k] * x[k];
                to[r] += 2.0 * s;
            }
        });
    });
}

void level_products(Codes codes, Longs pointer, Longs order, Mat Z, Vec values, MatOut out,
                    int threads) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1, size = int64_t(Z.shape(1));
    const int64_t *ptr = pointer.data(), *rows = order.data();
    const int32_t *level = codes.data();
    const double *v = values.data(), *z = Z.data();
    double *total = out.data();
    std::fill(total, total + n_levels * size, 0.0);
    with_size(size, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size;
        if (threads <= 1 && n_levels * q * int64_t(sizeof(double)) < sums_in_cache) {
            const int64_t n = int64_t(Z.shape(0));
            if (q == 1 && n) {  // the sum of a run of rows of one level stays in a register
                int32_t here = level[0];
                double sum = 0.0;
                for (int64_t r = 0; r < n; ++r) {
                    if (level[r] != here) {
                        total[here] = sum;
                        here = level[r];
                        sum = total[here];
                    }
                    sum += v[r] * z[r];
                }
                total[here] = sum;
                return;
            }
            for (int64_t r = 0; r < n; ++r)
                for (int64_t k = 0; k < q; ++k) total[level[r] * q + k] += v[r] * z[r * q + k];
            return;
        }
        split(ptr, n_levels, threads, [&](int64_t first, int64_t last) {
            for (int64_t l = first; l < last; ++l)
                for (int64_t i = ptr[l]; i < ptr[l + 1]; ++i)
                    for (int64_t k = 0; k < q; ++k) total[l * q + k] += v[rows[i]] * z[rows[i] * q + k];
        });
    });
}

}  // namespace mixeff
