// The selected inverse of one stage on the pattern of its rows (ENGINE section 3).

#include <algorithm>

#include "cache_blocks.hpp"
#include "dense.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "small.hpp"

namespace mixeff {

namespace {

// QB = Q B for one level: each entry of Q below the diagonal is read once and used twice.
template <int Q>
inline void gather_level(const double *B, const int32_t *at, int64_t m, const double *inverse,
                         int64_t width, double *QB, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < m; ++i) {
        const double *row = inverse + int64_t(at[i]) * width;
        const double *bi = B + i * q;
        double *oi = QB + i * q;
        const double diagonal = row[at[i]];
        for (int64_t k = 0; k < q; ++k) oi[k] = diagonal * bi[k];
        for (int64_t j = 0; j < i; ++j) {
            const double v = row[at[j]];
            for (int64_t k = 0; k < q; ++k) {
                oi[k] += v * B[j * q + k];
                QB[j * q + k] += v * bi[k];
            }
        }
    }
}

// out = sum_j row[at[j]] B_j for one row of Q and m rows of a level, times factor, plus out.
template <int Q>
inline void gather_row(const double *B, const int32_t *at, int64_t m, const double *row,
                       double factor, double *out, int64_t size) {
    const int64_t q = Q ? Q : size;
    double fixed[Q ? Q : 1] = {0.0};
    if constexpr (Q != 0) {
        for (int64_t j = 0; j < m; ++j)
            for (int64_t k = 0; k < q; ++k) fixed[k] += row[at[j]] * B[j * q + k];
        for (int64_t k = 0; k < q; ++k) out[k] += factor * fixed[k];
    } else {
        for (int64_t j = 0; j < m; ++j) {
            const double v = factor * row[at[j]];
            for (int64_t k = 0; k < q; ++k) out[k] += v * B[j * q + k];
        }
    }
}

}  // namespace

void inverse_tail(Longs pointer, int64_t skip, int64_t drop, Codes columns, int64_t tail, Mat B,
                  Mat Q, MatOut QB, MatOut panel, Longs meets, Codes meets_row, Codes meets_level,
                  bool half, int threads) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1, q = int64_t(B.shape(1));
    const int64_t width = int64_t(Q.shape(0)), size = width - drop;
    // The panel holds the packed columns in its first half and the products in its second.
    const int64_t room = int64_t(panel.shape(0)) / 2;
    const int64_t *ptr = pointer.data();
    const int32_t *col = columns.data();
    const double *base = Q.data() - tail * width - tail;
    double *result = panel.data() + room * width;
    const bool by_column = half && meets.shape(0) > 0;
    std::vector<int64_t> packed;
    auto flush = [&] {
        if (packed.empty()) return;
        tiled_symmetric(Q.data(), size, width, panel.data(), int64_t(packed.size()) * q, width,
                        result, threads);
        for (size_t s = 0; s < packed.size(); ++s) {
            const int64_t l = packed[s], first = ptr[l] + skip, last = ptr[l + 1] - drop;
            const double *p = result + int64_t(s) * q * width;
            for (int64_t row = first; row < last; ++row)
                for (int64_t k2 = 0; k2 < q; ++k2)
                    QB.data()[row * q + k2] = p[k2 * width + col[row] - tail];
        }
        packed.clear();
    };
    with_size(q, [&](auto fixed) {
        constexpr int F = decltype(fixed)::value;
        if (by_column)
            share_in_cache(
                ptr, n_levels, q, meets.data(), meets_level.data(), size, threads,
                [&](int64_t r, int64_t begin, int64_t end) {
                    const double *row = Q.data() + r * width - tail;
                    for (int64_t e = begin; e < end; ++e) {
                        const int64_t l = meets_level.data()[e], first = ptr[l] + skip;
                        const int64_t own = meets_row.data()[e];
                        double *out = QB.data() + own * q;
                        const double diagonal = row[col[own]];
                        for (int64_t k = 0; k < q; ++k) out[k] = diagonal * B.data()[own * q + k];
                        gather_row<F>(B.data() + first * q, col + first, own - first, row, 2.0, out,
                                      q);
                    }
                });
        for (int64_t l = 0; l < n_levels; ++l) {
            const int64_t first = ptr[l] + skip, last = ptr[l + 1] - drop;
            std::fill(QB.data() + ptr[l] * q, QB.data() + first * q, 0.0);
            std::fill(QB.data() + last * q, QB.data() + ptr[l + 1] * q, 0.0);
            const double *b = B.data() + first * q;
            if (!is_dense(ptr[l + 1] - first, width, q, 2 * room)) {
                if (!by_column)
                    gather_level<F>(b, col + first, last - first, base, width,
                                    QB.data() + first * q, q);
                continue;
            }
            if (int64_t(packed.size() + 1) * q > room) flush();
            double *p = panel.data() + int64_t(packed.size()) * q * width;
            std::fill(p, p + q * width, 0.0);
            for (int64_t i = 0; i < last - first; ++i)
                for (int64_t k = 0; k < q; ++k) p[k * width + col[first + i] - tail] = b[i * q + k];
            packed.push_back(l);
        }
    });
    flush();
}

void inverse_stage(Longs pointer, int64_t offset, int64_t drop, Codes ancestor, Codes place, Mat B,
                   Cube diagonal, Mat off, MatOut QB) {
    const int64_t n_levels = int64_t(ancestor.shape(0)), size = int64_t(B.shape(1));
    const int64_t columns = int64_t(diagonal.shape(1));
    const int64_t *ptr = pointer.data();
    const int32_t *to = place.data();
    with_size(size == 1 && columns == 1 ? 1 : 0, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size, k = Q ? Q : columns;
        for (int64_t l = 0; l < n_levels; ++l) {
            const int64_t first = ptr[l] + offset;
            const double *own = B.data() + first * q;
            double *own_out = QB.data() + first * q;
            const double *d = diagonal.data() + ancestor.data()[l] * k * k;
            for (int64_t a = 0; a < k; ++a)
                for (int64_t b = 0; b < k; ++b)
                    for (int64_t j = 0; j < q; ++j) own_out[a * q + j] += d[a * k + b] * own[b * q + j];
            for (int64_t row = first + k; row < ptr[l + 1] - drop; ++row) {
                const double *part = off.data() + int64_t(to[row]) * k;
                const double *b = B.data() + row * q;
                double *out = QB.data() + row * q;
                for (int64_t a = 0; a < k; ++a)
                    for (int64_t j = 0; j < q; ++j) {
                        out[j] += part[a] * own[a * q + j];
                        own_out[a * q + j] += part[a] * b[j];
                    }
            }
        }
    });
}

void level_quadratic(Longs pointer, Mat B, Mat QB, CubeOut K) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1, size = int64_t(B.shape(1));
    const int64_t *ptr = pointer.data();
    with_size(size, [&](auto fixed) {
        constexpr int F = decltype(fixed)::value;
        const int64_t q = F ? F : size;
        for (int64_t l = 0; l < n_levels; ++l) {
            double *out = K.data() + l * q * q;
            std::fill(out, out + q * q, 0.0);
            for (int64_t row = ptr[l]; row < ptr[l + 1]; ++row) {
                const double *b = B.data() + row * q, *c = QB.data() + row * q;
                for (int64_t a = 0; a < q; ++a)
                    for (int64_t j = 0; j < q; ++j) out[a * q + j] += b[a] * c[j];
            }
            // Half of QB is enough: the sum is symmetric.
            for (int64_t a = 0; a < q; ++a)
                for (int64_t j = 0; j < a; ++j)
                    out[a * q + j] = out[j * q + a] = (out[a * q + j] + out[j * q + a]) / 2;
        }
    });
}

Array stage_traces(Cube G, Mat Lambda, Cube T, Cube R, Cube K, bool divide) {
    const int64_t n_levels = int64_t(G.shape(0)), size = int64_t(G.shape(1));
    double *H;
    auto out = owned<double>({size_t(size), size_t(size)}, H);
    nb::gil_scoped_release free;
    with_size(size, [&](auto fixed) {
        constexpr int S = decltype(fixed)::value;
        const int64_t q = S ? S : size;
        std::vector<double> space(size_t(6 * q * q), 0.0);
        double *inverse = space.data(), *X = inverse + q * q, *F = X + q * q, *W = F + q * q;
        double *V = W + q * q, *total = V + q * q;
        if (divide) invert_lower<S>(Lambda.data(), inverse, q);
        for (int64_t l = 0; l < n_levels; ++l) {
            const double *g = G.data() + l * q * q, *r = R.data() + l * q * q;
            const double *t = T.data() + l * q * q, *k = K.data() + l * q * q;
            level_F<S>(g, t, r, divide ? inverse : nullptr, F, X, W, q);
            product<S>(F, g, W, q);
            product<S>(F, k, V, q);
            product_transposed<S>(V, F, X, q);
            for (int64_t i = 0; i < q * q; ++i) total[i] += W[i] - X[i];
        }
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) H[i * q + j] = (total[i * q + j] + total[j * q + i]) / 2;
    });
    return out;
}

void stage_inverse(Cube R, Cube K, CubeOut diagonal) {
    const int64_t n_levels = int64_t(R.shape(0)), size = int64_t(R.shape(1));
    with_size(size, [&](auto fixed) {
        constexpr int S = decltype(fixed)::value;
        const int64_t q = S ? S : size;
        std::vector<double> space(size_t(2 * q * q));
        double *omega = space.data(), *W = omega + q * q;
        for (int64_t l = 0; l < n_levels; ++l) {
            const double *r = R.data() + l * q * q;
            double *d = diagonal.data() + l * q * q;
            product_transposed<S>(r, r, omega, q);
            product<S>(omega, K.data() + l * q * q, W, q);
            product<S>(W, omega, d, q);
            for (int64_t i = 0; i < q * q; ++i) d[i] += omega[i];
        }
    });
}

void stage_off_inverse(Longs pointer, Cube R, MatOut QB) {
    const int64_t n_levels = int64_t(R.shape(0)), size = int64_t(R.shape(1));
    const int64_t *ptr = pointer.data();
    with_size(size, [&](auto fixed) {
        constexpr int S = decltype(fixed)::value;
        const int64_t q = S ? S : size;
        std::vector<double> space(size_t(q * q + q));
        double *omega = space.data(), *w = omega + q * q;
        for (int64_t l = 0; l < n_levels; ++l) {
            const double *r = R.data() + l * q * q;
            product_transposed<S>(r, r, omega, q);
            for (int64_t row = ptr[l]; row < ptr[l + 1]; ++row) {
                double *x = QB.data() + row * q;
                for (int64_t j = 0; j < q; ++j) {
                    w[j] = 0.0;
                    for (int64_t k = 0; k < q; ++k) w[j] -= x[k] * omega[k * q + j];
                }
                std::copy(w, w + q, x);
            }
        }
    });
}

}  // namespace mixeff
