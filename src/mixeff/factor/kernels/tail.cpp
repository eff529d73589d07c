// The dense tail: scaling by Lambda, Cholesky, triangular solves, inverse, traces.

#include <algorithm>
#include <cmath>

#include "blas.hpp"
#include "kernels.hpp"

namespace mixeff {

namespace {

// The tail's random blocks: first column, columns per level, Lambda.
struct Block {
    int64_t first, last, q;
    const double *Lambda;
};

std::vector<Block> blocks_of(const Longs &starts, const Mats &Lambdas) {
    std::vector<Block> found;
    for (size_t i = 0; i < Lambdas.size(); ++i)
        found.push_back({starts.data()[i], starts.data()[i + 1], int64_t(Lambdas[i].shape(0)),
                         Lambdas[i].data()});
    return found;
}

// row <- row Lt on columns before `end` (which does not cut a level).
void row_times_Lambda(double *row, const std::vector<Block> &blocks, int64_t end) {
    for (const Block &k : blocks) {
        const int64_t last = std::min(k.last, end);
        if (k.q == 1) {
            for (int64_t c = k.first; c < last; ++c) row[c] *= k.Lambda[0];
            continue;
        }
        for (int64_t at = k.first; at < last; at += k.q)
            for (int64_t c = 0; c < k.q; ++c) {
                double s = 0.0;
                for (int64_t d = c; d < k.q; ++d) s += row[at + d] * k.Lambda[d * k.q + c];
                row[at + c] = s;
            }
    }
}

// row <- row Lt' on columns before `end`.
void row_times_Lambda_transposed(double *row, const std::vector<Block> &blocks, int64_t end) {
    for (const Block &k : blocks) {
        const int64_t last = std::min(k.last, end);
        if (k.q == 1) {
            for (int64_t c = k.first; c < last; ++c) row[c] *= k.Lambda[0];
            continue;
        }
        for (int64_t at = k.first; at < last; at += k.q)
            for (int64_t c = k.q - 1; c >= 0; --c) {
                double s = 0.0;
                for (int64_t d = 0; d <= c; ++d) s += row[at + d] * k.Lambda[c * k.q + d];
                row[at + c] = s;
            }
    }
}

// Copy the lower triangle to the upper one, in tiles that stay in cache.
void mirror(double *M, int64_t size, int64_t ld) {
    const int64_t tile = 32;
    for (int64_t ib = 0; ib < size; ib += tile)
        for (int64_t jb = 0; jb <= ib; jb += tile)
            for (int64_t i = ib; i < std::min(ib + tile, size); ++i)
                for (int64_t j = jb; j < std::min(jb + tile, i); ++j) M[j * ld + i] = M[i * ld + j];
}

// Dot product in eight running sums (the compiler may not reorder one).
double long_dot(const double *a, const double *b, int64_t n) {
    double s[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; ++k) s[k] += a[i + k] * b[i + k];
    for (; i < n; ++i) s[0] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

}  // namespace

int64_t factor_tail(MatOut S, MatOut L, Longs starts, Mats Lambdas, VecOut out) {
    const int64_t width = int64_t(S.shape(0)), last = width - 1;
    const auto blocks = blocks_of(starts, Lambdas);
    const int64_t random = starts.data()[starts.shape(0) - 1];
    double *s = S.data(), *m = L.data();
    mirror(s, width, width);
    // Lt' S Lt row by row up to the end of the row's own level, then mix the rows of each level.
    int64_t row = 0;
    for (const Block &k : blocks)
        for (; row < k.last; ++row) {
            const int64_t end = row - (row - k.first) % k.q + k.q;
            std::copy(s + row * width, s + row * width + end, m + row * width);
            row_times_Lambda(m + row * width, blocks, end);
        }
    for (; row < width; ++row) {
        std::copy(s + row * width, s + row * width + row + 1, m + row * width);
        row_times_Lambda(m + row * width, blocks, random);
    }
    for (const Block &k : blocks)
        for (int64_t at = k.first; at < k.last; at += k.q)
            for (int64_t a = 0; a < k.q; ++a) {
                double *target = m + (at + a) * width;
                const double own = k.Lambda[a * k.q + a];
                for (int64_t c = 0; c < at + k.q; ++c) target[c] *= own;
                for (int64_t b = a + 1; b < k.q; ++b) {
                    const double f = k.Lambda[b * k.q + a];
                    const double *source = m + (at + b) * width;
                    for (int64_t c = 0; c < at + k.q; ++c) target[c] += f * source[c];
                }
                target[at + a] += 1.0;
            }
    char upper = 'U', left = 'L', transpose = 'T', no = 'N';
    int n = int(last), ld = int(width), info = 0, one = 1;
    double unit = 1.0;
    if (last) {
        blas().dpotrf(&upper, &n, m, &ld, &info);
        if (info) return info;
        blas().dtrsm(&left, &upper, &transpose, &no, &n, &one, &unit, m, &ld, m + last * width,
                     &ld);
    }
    double total[2] = {0.0, 0.0};
    for (int64_t i = 0; i < last; ++i) {
        const double pivot = m[i * width + i];
        if (!std::isfinite(pivot)) return i + 1;
        total[i >= random] += 2.0 * std::log(pivot);
    }
    double *y = m + last * width;
    const double pwrss = y[last] - long_dot(y, y, last);
    if (std::isnan(pwrss)) return 1;
    out.data()[0] = total[0];
    out.data()[1] = total[1];
    out.data()[2] = std::max(pwrss, 0.0);
    y[last] = std::sqrt(out.data()[2]);
    return 0;
}

void solve_tail(Mat L, MatOut right, bool transpose) {
    // L X = R with row-major R is X' U = R' for the column-major U = L'.
    char side = 'R', upper = 'U', no = 'N', trans = transpose ? 'T' : 'N';
    int m = int(right.shape(1)), n = int(right.shape(0)), ld = int(L.shape(0));
    double one = 1.0;
    if (m && n)
        blas().dtrsm(&side, &upper, &trans, &no, &m, &n, &one, const_cast<double *>(L.data()), &ld,
                     right.data(), &m);
}

void invert_tail(Mat L, int64_t size, MatOut Q) {
    if (!size) return;
    const int64_t width = int64_t(Q.shape(0));
    for (int64_t i = 0; i < size; ++i)
        std::copy(L.data() + i * width, L.data() + i * width + i + 1, Q.data() + i * width);
    char upper = 'U';
    int n = int(size), ld = int(width), info = 0;
    blas().dpotri(&upper, &n, Q.data(), &ld, &info);
    mirror(Q.data(), size, width);
}

nb::list tail_traces(Mat S, Mat Q, int64_t size, Longs starts, Mats Lambdas) {
    const int64_t width = int64_t(S.shape(0));
    const auto blocks = blocks_of(starts, Lambdas);
    nb::list found;
    std::vector<double> y(size_t(std::max<int64_t>(size, 1)));
    for (const Block &k : blocks) {
        double *H;
        auto out = owned<double>({size_t(k.q), size_t(k.q)}, H);
        {
            nb::gil_scoped_release free;
            for (int64_t at = k.first; at < k.last; at += k.q)
                for (int64_t b = 0; b < k.q; ++b) {
                    const double *row = Q.data() + (at + b) * width;
                    std::copy(row, row + size, y.begin());
                    row_times_Lambda_transposed(y.data(), blocks, size);
                    for (int64_t a = 0; a < k.q; ++a)
                        H[a * k.q + b] += long_dot(S.data() + (at + a) * width, y.data(), size);
                }
        }
        found.append(out);
    }
    return found;
}

void scale_inverse(MatOut Q, int64_t size, Longs starts, Mats Lambdas) {
    const int64_t width = int64_t(Q.shape(0));
    const auto blocks = blocks_of(starts, Lambdas);
    for (int64_t row = 0; row < size; ++row)
        row_times_Lambda_transposed(Q.data() + row * width, blocks, size);
    for (const Block &k : blocks)
        for (int64_t at = k.first; at < k.last; at += k.q)
            for (int64_t a = k.q - 1; a >= 0; --a) {
                double *target = Q.data() + (at + a) * width;
                const double own = k.Lambda[a * k.q + a];
                for (int64_t c = 0; c < size; ++c) target[c] *= own;
                for (int64_t b = 0; b < a; ++b) {
                    const double f = k.Lambda[a * k.q + b];
                    const double *source = Q.data() + (at + b) * width;
                    for (int64_t c = 0; c < size; ++c) target[c] += f * source[c];
                }
            }
}

}  // namespace mixeff
