// Elimination of one block-diagonal factor, level by level (ENGINE section 2).

#include <algorithm>

#include "cache_blocks.hpp"
#include "dense.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "small.hpp"

namespace mixeff {

namespace {

template <int Q>
double eliminate_levels(const double *G, const int64_t *ptr, const double *B, const double *Lambda,
                        double *T, double *R, double *C, int64_t n_levels, int64_t size) {
    const int64_t q = Q ? Q : size;
    std::vector<double> space(Q ? 0 : size_t(q * q));
    double fixed[Q ? Q * Q : 1];
    double *GL = Q ? fixed : space.data();
    double logdet = 0.0, pivots = 1.0;
    for (int64_t l = 0; l < n_levels; ++l) {
        double *t = T + l * q * q, *r = R + l * q * q;
        product<Q>(G + l * q * q, Lambda, GL, q);
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) {
                double s = i == j ? 1.0 : 0.0;
                for (int64_t k = 0; k < q; ++k) s += Lambda[k * q + i] * GL[k * q + j];
                t[i * q + j] = s;
            }
        if (!cholesky<Q>(t, q)) return std::nan("");
        for (int64_t i = 0; i < q; ++i) {
            pivots *= t[i * q + i];
            for (int64_t j = 0; j < q; ++j) r[i * q + j] = Lambda[i * q + j];
            solve_lower<Q>(t, r + i * q, q);
        }
        // One logarithm for many pivots: each is at least 1, so only overflow matters.
        if (pivots > 1e100) {
            logdet += std::log(pivots);
            pivots = 1.0;
        }
        for (int64_t row = ptr[l]; row < ptr[l + 1]; ++row) {
            const double *b = B + row * q;
            double *c = C + row * q;
            for (int64_t j = 0; j < q; ++j) {
                double s = 0.0;
                for (int64_t k = 0; k < q; ++k) s += b[k] * r[k * q + j];
                c[j] = s;
            }
        }
    }
    return 2.0 * (logdet + std::log(pivots));
}

// row[at[j]] -= C_0 C_j' for the m rows of a level from one of them on.
template <int Q>
inline void subtract_row(const double *C, const int32_t *at, int64_t m, double *row, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t j = 0; j < m; ++j) {
        const double *cj = C + j * q;
        double s = 0.0;
        for (int64_t k = 0; k < q; ++k) s += C[k] * cj[k];
        row[at[j]] -= s;
    }
}

}  // namespace

double eliminate(Cube G, Longs pointer, Mat B, Mat Lambda, CubeOut T, CubeOut R, MatOut C) {
    const int64_t q = int64_t(G.shape(1));
    return with_size(q, [&](auto size) {
        return eliminate_levels<decltype(size)::value>(
            G.data(), pointer.data(), B.data(), Lambda.data(), T.data(), R.data(), C.data(),
            int64_t(G.shape(0)), q);
    });
}

nb::tuple index_columns(Longs pointer, int64_t skip, Codes columns, int64_t tail, int64_t width,
                        int64_t q, int64_t room) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1;
    const int64_t *ptr = pointer.data();
    const int32_t *col = columns.data();
    int64_t *meets;
    auto meets_out = owned<int64_t>({size_t(width + 1)}, meets);
    auto sparse = [&](int64_t l) { return !is_dense(ptr[l + 1] - ptr[l] - skip, width, q, room); };
    for (int64_t l = 0; l < n_levels; ++l)
        if (sparse(l))
            for (int64_t row = ptr[l] + skip; row < ptr[l + 1]; ++row) ++meets[col[row] - tail + 1];
    for (int64_t r = 0; r < width; ++r) meets[r + 1] += meets[r];
    int32_t *rows, *levels;
    auto rows_out = owned<int32_t>({size_t(meets[width])}, rows);
    auto levels_out = owned<int32_t>({size_t(meets[width])}, levels);
    std::vector<int64_t> next(meets, meets + width);
    for (int64_t l = 0; l < n_levels; ++l)
        if (sparse(l))
            for (int64_t row = ptr[l] + skip; row < ptr[l + 1]; ++row) {
                const int64_t at = next[col[row] - tail]++;
                rows[at] = int32_t(row);
                levels[at] = int32_t(l);
            }
    return nb::make_tuple(meets_out, rows_out, levels_out);
}

void scatter_tail(Longs pointer, int64_t skip, Codes columns, int64_t tail, Mat C, MatOut S,
                  MatOut panel, Longs meets, Codes meets_row, Codes meets_level, int threads) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1, q = int64_t(C.shape(1));
    const int64_t width = int64_t(S.shape(0)), room = int64_t(panel.shape(0));
    const int64_t *ptr = pointer.data();
    const int32_t *col = columns.data();
    // Columns relative to the tail: shift S instead of every index.
    double *base = S.data() - tail * width - tail;
    const bool by_column = meets.shape(0) > 0;
    int64_t used = 0;
    auto flush = [&] {
        if (!used) return;
        tiled_subtract(panel.data(), used, width, width, S.data(), threads);
        used = 0;
    };
    with_size(q, [&](auto size) {
        constexpr int Q = decltype(size)::value;
        if (by_column)
            share_in_cache(ptr, n_levels, q, meets.data(), meets_level.data(), width, threads,
                           [&](int64_t r, int64_t begin, int64_t end) {
                               double *row = S.data() + r * width - tail;
                               for (int64_t e = begin; e < end; ++e) {
                                   const int64_t at = meets_row.data()[e];
                                   subtract_row<Q>(C.data() + at * q, col + at,
                                                   ptr[meets_level.data()[e] + 1] - at, row, q);
                               }
                           });
        for (int64_t l = 0; l < n_levels; ++l) {
            const int64_t first = ptr[l] + skip, m = ptr[l + 1] - first;
            const double *c = C.data() + first * q;
            if (!is_dense(m, width, q, room)) {
                if (!by_column)
                    for (int64_t i = 0; i < m; ++i)
                        subtract_row<Q>(c + i * q, col + first + i, m - i,
                                        base + int64_t(col[first + i]) * width, q);
                continue;
            }
            if (used + q > room) flush();
            double *p = panel.data() + used * width;
            std::fill(p, p + q * width, 0.0);
            for (int64_t i = 0; i < m; ++i)
                for (int64_t k = 0; k < q; ++k) p[k * width + col[first + i] - tail] = c[i * q + k];
            used += q;
        }
    });
    flush();
}

void scatter_stage(Longs pointer, int64_t offset, Codes ancestor, Codes place, Mat C, CubeOut G,
                   MatOut B) {
    const int64_t n_levels = int64_t(ancestor.shape(0)), q = int64_t(C.shape(1));
    const int64_t k = int64_t(G.shape(1));
    const int64_t *ptr = pointer.data();
    const int32_t *to = place.data();
    with_size(q, [&](auto size) {
        constexpr int Q = decltype(size)::value;
        const int64_t width = Q ? Q : q;
        auto inner = [&](const double *a, const double *b) {
            double s = 0.0;
            for (int64_t i = 0; i < width; ++i) s += a[i] * b[i];
            return s;
        };
        for (int64_t l = 0; l < n_levels; ++l) {
            const int64_t first = ptr[l] + offset;
            const double *own = C.data() + first * width;
            double *g = G.data() + ancestor.data()[l] * k * k;
            for (int64_t a = 0; a < k; ++a)
                for (int64_t b = 0; b < k; ++b)
                    g[a * k + b] -= inner(own + a * width, own + b * width);
            for (int64_t row = first + k; row < ptr[l + 1]; ++row) {
                double *b = B.data() + int64_t(to[row]) * k;
                const double *c = C.data() + row * width;
                for (int64_t a = 0; a < k; ++a) b[a] -= inner(c, own + a * width);
            }
        }
    });
}

void place_pairs(Longs indptr, Codes indices, Cube values, int64_t row, int64_t column, MatOut S) {
    const int64_t n_levels = int64_t(indptr.shape(0)) - 1, width = int64_t(S.shape(1));
    const int64_t q = int64_t(values.shape(1)), k = int64_t(values.shape(2));
    for (int64_t l = 0; l < n_levels; ++l)
        for (int64_t e = indptr.data()[l]; e < indptr.data()[l + 1]; ++e)
            for (int64_t a = 0; a < q; ++a)
                std::copy(values.data() + (e * q + a) * k, values.data() + (e * q + a + 1) * k,
                          S.data() + (row + l * q + a) * width + column + indices.data()[e] * k);
}

}  // namespace mixeff
