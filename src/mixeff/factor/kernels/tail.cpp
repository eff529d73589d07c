// The dense tail: scaling by Lambda, Cholesky, triangular solves, inverse, traces.

#include <algorithm>
#include <cmath>

#include "blas.hpp"
#include "dense.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

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

// Lambda' D Lambda + I for the diagonal block of one level, lower triangle only: as the rows of D
// and then its columns are mixed, an entry is replaced when nothing needs the old one any more.
void scale_diagonal(double *D, int64_t width, const Block &k) {
    const int64_t q = k.q;
    const double *Lambda = k.Lambda;
    auto entry = [&](int64_t a, int64_t b) -> double & {
        return D[std::max(a, b) * width + std::min(a, b)];
    };
    // Entry (a, b) of the result needs entries (c, d) with c >= a and d >= b, so in ascending order
    // of both everything still needed is old: rows before a and columns before b are done.
    for (int64_t b = 0; b < q; ++b)
        for (int64_t a = b; a < q; ++a) {
            double s = a == b ? 1.0 : 0.0;
            for (int64_t c = a; c < q; ++c) {
                double half = 0.0;
                for (int64_t d = b; d < q; ++d) half += entry(c, d) * Lambda[d * q + b];
                s += Lambda[c * q + a] * half;
            }
            entry(a, b) = s;
        }
}

// M <- Lt' M Lt + I (I on random columns) for a lower triangle; nothing above it is touched.
void scale_lower(double *M, int64_t width, int64_t random, const std::vector<Block> &blocks,
                 int threads) {
    const int some = width < 1000 ? 1 : threads;
    for (const Block &k : blocks)
        share((k.last - k.first) / k.q, some, 16, [&](int64_t level) {
            const int64_t at = k.first + level * k.q;
            double *own = M + at * width;
            for (int64_t a = 0; a < k.q; ++a) row_times_Lambda(own + a * width, blocks, at);
            // Lambda' from the left mixes the rows of the level, its first row last changed.
            for (int64_t a = 0; a < k.q; ++a) {
                double *target = own + a * width;
                const double f = k.Lambda[a * k.q + a];
                for (int64_t c = 0; c < at; ++c) target[c] *= f;
                for (int64_t b = a + 1; b < k.q; ++b) {
                    const double g = k.Lambda[b * k.q + a];
                    const double *source = own + b * width;
                    for (int64_t c = 0; c < at; ++c) target[c] += g * source[c];
                }
            }
            scale_diagonal(own + at, width, k);
        });
    for (int64_t row = random; row < width; ++row)
        row_times_Lambda(M + row * width, blocks, random);
}

// row <- row Lt' on columns from `begin` to before `end` (neither cuts a level).
void row_times_Lambda_transposed(double *row, const std::vector<Block> &blocks, int64_t begin,
                                 int64_t end) {
    for (const Block &k : blocks) {
        const int64_t first = std::max(k.first, begin), last = std::min(k.last, end);
        if (k.q == 1) {
            for (int64_t c = first; c < last; ++c) row[c] *= k.Lambda[0];
            continue;
        }
        for (int64_t at = first; at < last; at += k.q)
            for (int64_t c = k.q - 1; c >= 0; --c) {
                double s = 0.0;
                for (int64_t d = 0; d <= c; ++d) s += row[at + d] * k.Lambda[c * k.q + d];
                row[at + c] = s;
            }
    }
}

// Lambda D Lambda' for the diagonal block of one level, lower triangle only; as in scale_diagonal,
// but entry (a, b) needs those with c <= a and d <= b, so both descend.
void unscale_diagonal(double *D, int64_t width, const Block &k) {
    const int64_t q = k.q;
    const double *Lambda = k.Lambda;
    for (int64_t a = q - 1; a >= 0; --a)
        for (int64_t b = a; b >= 0; --b) {
            double s = 0.0;
            for (int64_t c = 0; c <= a; ++c) {
                double half = 0.0;
                for (int64_t d = 0; d <= b; ++d)
                    half += D[std::max(c, d) * width + std::min(c, d)] * Lambda[b * q + d];
                s += Lambda[a * q + c] * half;
            }
            D[a * width + b] = s;
        }
}

// Columns of a lower triangle taken at a time: whole levels, some 32 columns.
int64_t strip_of(int64_t q) { return q * std::max<int64_t>(1, 32 / q); }

// Columns from .. end of the symmetric Q as rows of `out` (size numbers each), from `from` on.
void lower_columns(const double *Q, int64_t width, int64_t from, int64_t end, int64_t size,
                   double *out) {
    for (int64_t c = from; c < size; ++c)
        for (int64_t b = from; b < std::min(end, c + 1); ++b)
            out[(b - from) * size + c] = Q[c * width + b];
    for (int64_t b = from; b < end; ++b)
        for (int64_t c = from; c < b; ++c)
            out[(b - from) * size + c] = Q[b * width + c];
}

// H_k += the sum over the later levels of each block of s_level x_level', one row of S.
void add_below(const double *s, const double *x, int64_t from, const std::vector<Block> &blocks,
               std::vector<double *> &H) {
    for (size_t i = 0; i < blocks.size(); ++i) {
        const int64_t q = blocks[i].q, first = std::max(from, blocks[i].first);
        const int64_t last = blocks[i].last;
        if (first >= last) continue;
        if (q == 1) {
            H[i][0] += long_dot(s + first, x + first, last - first);
            continue;
        }
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b < q; ++b) {
                double sum = 0.0;
                for (int64_t at = first; at < last; at += q) sum += s[at + a] * x[at + b];
                H[i][a * q + b] += sum;
            }
    }
}

}  // namespace

int64_t factor_tail(MatOut S, MatOut L, Longs starts, Mats Lambdas, VecOut out, int threads) {
    const int64_t width = int64_t(S.shape(0)), last = width - 1;
    const auto blocks = blocks_of(starts, Lambdas);
    const int64_t random = starts.data()[starts.shape(0) - 1];
    double *m = L.data();
    transpose_upper(S.data(), width, width, m, threads);
    scale_lower(m, width, random, blocks, threads);
    char upper = 'U', left = 'L', transpose = 'T', no = 'N';
    int n = int(last), ld = int(width), one = 1;
    double unit = 1.0;
    if (last) {
        const int64_t bad = tiled_cholesky(m, last, width, threads);
        if (bad) return bad;
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
    tiled_solve(L.data(), int64_t(right.shape(0)), int64_t(L.shape(0)), right.data(),
                int64_t(right.shape(1)), transpose);
}

void invert_tail(Mat L, int64_t size, MatOut Q, int threads) {
    const int64_t width = int64_t(Q.shape(0));
    if (Q.data() != L.data())
        for (int64_t row = 0; row < size; ++row)
            std::copy(L.data() + row * width, L.data() + row * width + row + 1,
                      Q.data() + row * width);
    tiled_inverse(Q.data(), size, width, threads);
}

nb::list tail_traces(Mat S, Mat Q, int64_t size, Longs starts, Mats Lambdas, MatOut panel) {
    const int64_t width = int64_t(S.shape(0));
    const auto blocks = blocks_of(starts, Lambdas);
    std::vector<double *> H(blocks.size());
    nb::list found;
    for (size_t i = 0; i < blocks.size(); ++i)
        found.append(owned<double>({size_t(blocks[i].q), size_t(blocks[i].q)}, H[i]));
    nb::gil_scoped_release free;
    // S is read above its diagonal, Q below it: columns of Q are laid out as rows, some at a time.
    for (size_t i = 0; i < blocks.size(); ++i) {
        const Block &k = blocks[i];
        const int64_t step = strip_of(k.q);
        double *left = panel.data() + step * size;
        for (int64_t from = k.first; from < k.last; from += step) {
            const int64_t end = std::min(from + step, k.last);
            lower_columns(Q.data(), width, from, end, size, panel.data());
            for (int64_t at = from; at < end; at += k.q) {
                const int64_t next = at + k.q;
                // Q Lt' for the rows of one level, and Lt Q.
                double *right = panel.data() + (at - from) * size;
                for (int64_t a = k.q - 1; a >= 0; --a)
                    for (int64_t c = at; c < size; ++c) {
                        double s = 0.0;
                        for (int64_t d = 0; d <= a; ++d)
                            s += k.Lambda[a * k.q + d] * right[d * size + c];
                        left[a * size + c] = s;
                    }
                for (int64_t b = 0; b < k.q; ++b)
                    row_times_Lambda_transposed(right + b * size, blocks, at, size);
                for (int64_t a = 0; a < k.q; ++a) {
                    const double *s = S.data() + (at + a) * width;
                    for (int64_t b = 0; b < k.q; ++b) {
                        const double *y = right + b * size;
                        double sum = long_dot(s + next, y + next, size - next);
                        for (int64_t c = 0; c < k.q; ++c)
                            sum += S.data()[(at + std::min(a, c)) * width + at + std::max(a, c)] *
                                   y[at + c];
                        H[i][a * k.q + b] += sum;
                    }
                    add_below(s, left + a * size, next, blocks, H);
                }
            }
        }
    }
    return found;
}

void scale_inverse(MatOut Q, int64_t size, Longs starts, Mats Lambdas) {
    const int64_t width = int64_t(Q.shape(0)), random = starts.data()[starts.shape(0) - 1];
    const auto blocks = blocks_of(starts, Lambdas);
    for (const Block &k : blocks)
        for (int64_t at = k.first; at < k.last; at += k.q) {
            double *own = Q.data() + at * width;
            for (int64_t a = 0; a < k.q; ++a)
                row_times_Lambda_transposed(own + a * width, blocks, 0, at);
            // Lambda from the left mixes the rows of the level, its last row first changed.
            for (int64_t a = k.q - 1; a >= 0; --a) {
                double *target = own + a * width;
                const double f = k.Lambda[a * k.q + a];
                for (int64_t c = 0; c < at; ++c) target[c] *= f;
                for (int64_t b = 0; b < a; ++b) {
                    const double g = k.Lambda[a * k.q + b];
                    const double *source = own + b * width;
                    for (int64_t c = 0; c < at; ++c) target[c] += g * source[c];
                }
            }
            unscale_diagonal(own + at, width, k);
        }
    for (int64_t row = random; row < size; ++row)
        row_times_Lambda_transposed(Q.data() + row * width, blocks, 0, random);
}

}  // namespace mixeff
