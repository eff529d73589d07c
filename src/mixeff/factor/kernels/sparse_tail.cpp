// The sparse tail: filling, supernodal Cholesky, triangular solves (Ng and Peyton 1993).

#include <algorithm>
#include <cmath>

#include "blas.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "small.hpp"
#include "sparse.hpp"

namespace mixeff {

namespace {

// P -= what the panel of one update contributes, product by product in `room`.
void pull_update(const Panels &p, const Update &u, const double *L, double *P, double *room) {
    const int64_t inner = p.width(u.from), width = p.width(u.to);
    const int64_t m = p.below(u.from) - u.begin, k = u.end - u.begin;
    const double *D = L + p.start[u.from] + (inner + u.begin) * inner;
    const int32_t *to = p.relative + u.relative;
    if (inner * k <= 16) {
        for (int64_t i = 0; i < m; ++i) {
            double *row = P + to[i] * width;
            for (int64_t j = 0; j < std::min(k, i + 1); ++j)
                row[to[j]] -= dot(D + i * inner, D + j * inner, inner);
        }
        return;
    }
    row_gemm(D, inner, false, D, inner, true, room, k, m, k, inner, 1.0, 0.0);
    for (int64_t i = 0; i < m; ++i) {
        double *row = P + to[i] * width;
        for (int64_t j = 0; j < std::min(k, i + 1); ++j) row[to[j]] -= room[i * k + j];
    }
}

// The Cholesky factor of the first `width` columns of a panel of `stride`; the number of a bad pivot.
int64_t factor_panel(double *P, int64_t stride, int64_t width, int64_t rows) {
    char upper = 'U', left = 'L', trans = 'T', no = 'N';
    int w = int(width), ld = int(stride), n = int(rows - width), info = 0;
    double one = 1.0;
    if (!w) return 0;
    blas().dpotrf(&upper, &w, P, &ld, &info);
    if (info) return info;
    for (int64_t i = 0; i < width; ++i)
        if (!std::isfinite(P[i * stride + i])) return i + 1;
    if (n)
        blas().dtrsm(&left, &upper, &trans, &no, &w, &n, &one, P, &ld, P + width * stride, &ld);
    return 0;
}

}  // namespace

std::vector<int32_t> &positions(const Panels &p, int64_t s) {
    static thread_local std::vector<int32_t> found;
    if (int64_t(found.size()) < p.total) found.resize(size_t(p.total));
    const int64_t rows = p.width(s) + p.below(s);
    for (int64_t i = 0; i < rows; ++i) found[p.row(s, i)] = int32_t(i);
    return found;
}

nb::ndarray<nb::numpy, int64_t> sparse_places(MIXEFF_PANELS, Codes row, Codes column) {
    const Panels p = MIXEFF_VIEW;
    const int64_t n = int64_t(row.shape(0));
    int64_t *out;
    auto found = owned<int64_t>({size_t(n)}, out);
    for (int64_t e = 0; e < n; ++e) {
        const int64_t i = std::max(row.data()[e], column.data()[e]);
        const int64_t j = std::min(row.data()[e], column.data()[e]);
        const int64_t s = std::upper_bound(p.first, p.first + p.count, j) - p.first - 1;
        const int64_t width = p.width(s);
        int64_t at = i - p.first[s];
        if (at >= width) {
            const int32_t *begin = p.rows + p.rows_at[s], *end = p.rows + p.rows_at[s + 1];
            at = width + (std::lower_bound(begin, end, int32_t(i)) - begin);
        }
        out[e] = p.start[s] + at * width + j - p.first[s];
    }
    return found;
}

void sparse_scatter(MIXEFF_PANELS, Codes place, Longs pointer, int64_t skip, Codes columns,
                    int64_t tail, Mat C, VecOut S, Longs meets, Codes meets_row,
                    Codes meets_level, Codes outer, int threads) {
    const Panels p = MIXEFF_VIEW;
    const int64_t q = int64_t(C.shape(1)), random = p.random();
    const int64_t *ptr = pointer.data();
    const int32_t *to = place.data() - tail, *col = columns.data();
    share(p.count, threads, 16, [&](int64_t s) {
        const std::vector<int32_t> &at = positions(p, s);
        const int64_t width = p.width(s);
        for (int64_t k = 0; k < width; ++k) {
            const int64_t own_column = p.first[s] + k, ext = outer.data()[own_column];
            double *P = S.data() + p.start[s] + k;
            for (int64_t e = meets.data()[ext]; e < meets.data()[ext + 1]; ++e) {
                const int64_t own = meets_row.data()[e], l = meets_level.data()[e];
                const double *c = C.data() + own * q;
                // X and y stand last in both orders: before them nothing is below.
                for (int64_t j = own_column < random ? ptr[l] + skip : own; j < ptr[l + 1]; ++j)
                    if (to[col[j]] >= own_column)
                        P[at[to[col[j]]] * width] -= dot(c, C.data() + j * q, q);
            }
        }
    });
}

int64_t sparse_factor(MIXEFF_PANELS, VecOut S, VecOut L, Mats Lambdas, VecOut out, VecOut room) {
    const Panels p = MIXEFF_VIEW;
    double total[2] = {0.0, 0.0};
    for (int64_t s = 0; s < p.count; ++s) {
        const int64_t width = p.width(s), rows = width + p.below(s), corner = s == p.count - 1;
        double *source = S.data() + p.start[s], *P = L.data() + p.start[s];
        complete(source, width);
        std::copy(source, source + width * rows, P);
        scale_panel(p, s, P, Lambdas, false);
        for (int64_t i = 0; i < width * !corner; ++i) P[i * width + i] += 1.0;
        for (int64_t e = p.pull_at[s]; e < p.pull_at[s + 1]; ++e)
            pull_update(p, p.updates[p.pull[e]], L.data(), P, room.data());
        const int64_t factored = width - corner;
        const int64_t bad = factor_panel(P, width, factored, rows);
        if (bad) return p.first[s] + bad;
        for (int64_t i = 0; i < factored; ++i) total[corner] += 2.0 * std::log(P[i * width + i]);
        if (!corner) continue;
        double *y = P + factored * width;
        const double pwrss = y[factored] - dot(y, y, factored);
        if (std::isnan(pwrss)) return 1;
        out.data()[2] = std::max(pwrss, 0.0);
        y[factored] = std::sqrt(out.data()[2]);
    }
    out.data()[0] = total[0];
    out.data()[1] = total[1];
    return 0;
}

void sparse_solve(MIXEFF_PANELS, Vec L, MatOut right, bool transpose) {
    const Panels p = MIXEFF_VIEW;
    const int64_t m = int64_t(right.shape(1)), last = p.total - 1;
    char side = 'R', upper = 'U', no = 'N', trans = transpose ? 'T' : 'N';
    double one = 1.0, *x = right.data();
    auto diagonal = [&](int64_t s) {
        int m_ = int(m), w = int(p.width(s) - (s == p.count - 1)), ld = int(p.width(s));
        if (m_ && w)
            blas().dtrsm(&side, &upper, &trans, &no, &m_, &w, &one,
                         const_cast<double *>(L.data() + p.start[s]), &ld, x + p.first[s] * m, &m_);
    };
    for (int64_t step = 0; step < p.count; ++step) {
        const int64_t s = transpose ? p.count - 1 - step : step, width = p.width(s);
        if (!transpose) diagonal(s);
        const double *P = L.data() + p.start[s] + width * width;
        double *own = x + p.first[s] * m;
        for (int64_t i = 0; i < p.below(s); ++i) {
            const int64_t row = p.rows[p.rows_at[s] + i];
            if (row == last) break;
            double *other = x + row * m;
            for (int64_t k = 0; k < width; ++k) {
                const double f = P[i * width + k];
                if (transpose)
                    for (int64_t c = 0; c < m; ++c) own[k * m + c] -= f * other[c];
                else
                    for (int64_t c = 0; c < m; ++c) other[c] -= f * own[k * m + c];
            }
        }
        if (transpose) diagonal(s);
    }
}

void sparse_multiply(MIXEFF_PANELS, Vec S, Mat x, MatOut out) {
    const Panels p = MIXEFF_VIEW;
    const int64_t m = int64_t(x.shape(1));
    std::fill(out.data(), out.data() + p.total * m, 0.0);
    for (int64_t s = 0; s < p.count; ++s) {
        const int64_t width = p.width(s), rows = width + p.below(s);
        const double *own = x.data() + p.first[s] * m;
        double *own_out = out.data() + p.first[s] * m;
        for (int64_t i = 0; i < rows; ++i) {
            const double *P = S.data() + p.start[s] + i * width;
            const double *other = x.data() + p.row(s, i) * m;
            double *other_out = out.data() + p.row(s, i) * m;
            for (int64_t k = 0; k < width; ++k)
                for (int64_t c = 0; c < m; ++c) {
                    other_out[c] += P[k] * own[k * m + c];
                    if (i >= width) own_out[k * m + c] += P[k] * other[c];
                }
        }
    }
}

}  // namespace mixeff
