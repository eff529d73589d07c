// Several vectors at once through one stage: forward and backward substitution, information.

#include <algorithm>

#include "blas.hpp"
#include "dense.hpp"
#include "kernels.hpp"
#include "small.hpp"

namespace mixeff {

namespace {

// Rows taken together where BLAS beats plain loops: many vectors, wide levels with many entries.
constexpr int64_t chunk = 64;

bool worth_packing(int64_t rows, int64_t q, int64_t m) { return q > 3 && m > 15 && rows > 31; }

// out = A x for a q x q matrix and q rows of m numbers; the vectors are the inner loop.
inline void times(const double *A, const double *x, double *out, int64_t q, int64_t m) {
    std::fill(out, out + q * m, 0.0);
    for (int64_t a = 0; a < q; ++a)
        for (int64_t b = 0; b < q; ++b)
            for (int64_t k = 0; k < m; ++k) out[a * m + k] += A[a * q + b] * x[b * m + k];
}

inline void times_transposed(const double *A, const double *x, double *out, int64_t q, int64_t m) {
    std::fill(out, out + q * m, 0.0);
    for (int64_t b = 0; b < q; ++b)
        for (int64_t a = 0; a < q; ++a)
            for (int64_t k = 0; k < m; ++k) out[a * m + k] += A[b * q + a] * x[b * m + k];
}

// Row columns[r] of `out` (width numbers each) += B_r x, for x of q rows of m numbers.
void add_products(const double *B, const int32_t *columns, int64_t rows, const double *x, int64_t q,
                  int64_t m, double *out, int64_t width, std::vector<double> &packed) {
    if (worth_packing(rows, q, m)) {
        packed.resize(size_t(chunk * m));
        for (int64_t from = 0; from < rows; from += chunk) {
            // Row-major B x is x' B' in columns.
            char no = 'N';
            int m_ = int(m), n = int(std::min(chunk, rows - from)), inner = int(q);
            double one = 1.0, zero = 0.0;
            blas().dgemm(&no, &no, &m_, &n, &inner, &one, const_cast<double *>(x), &m_,
                         const_cast<double *>(B) + from * q, &inner, &zero, packed.data(), &m_);
            for (int64_t r = 0; r < n; ++r) {
                double *to = out + int64_t(columns[from + r]) * width;
                for (int64_t k = 0; k < m; ++k) to[k] += packed[r * m + k];
            }
        }
        return;
    }
    if (q == 1 && m == 1) {
        const double only = x[0];
        for (int64_t r = 0; r < rows; ++r) out[int64_t(columns[r]) * width] += B[r] * only;
        return;
    }
    for (int64_t r = 0; r < rows; ++r) {
        double *to = out + int64_t(columns[r]) * width;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t k = 0; k < m; ++k) to[k] += B[r * q + a] * x[a * m + k];
    }
}

// The backward half of a solve through one stage; Q fixed means one vector.
template <int Q>
void backward_levels(const double *T, const double *R, const double *Lambda, const int64_t *ptr,
                     const int32_t *columns, const double *B, double *t, double *scaled,
                     const double *others, int64_t n_levels, int64_t size, int64_t vectors) {
    const int64_t q = Q ? Q : size, m = Q ? 1 : vectors;
    std::vector<double> space(Q ? 0 : size_t(q * m));
    double fixed[Q ? Q : 1];
    double *sums = Q ? fixed : space.data();
    for (int64_t l = 0; l < n_levels; ++l) {
        double *own = t + l * q * m, *own_scaled = scaled + l * q * m;
        std::fill(sums, sums + q * m, 0.0);
        for (int64_t row = ptr[l]; row < ptr[l + 1] - 1; ++row) {
            const double *other = others + int64_t(columns[row]) * m;
            for (int64_t a = 0; a < q; ++a)
                for (int64_t k = 0; k < m; ++k) sums[a * m + k] += B[row * q + a] * other[k];
        }
        const double *r = R + l * q * q;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t c = 0; c < q; ++c)
                for (int64_t k = 0; k < m; ++k) own[c * m + k] -= r[a * q + c] * sums[a * m + k];
        for (int64_t k = 0; k < m; ++k) solve_upper<Q>(T + l * q * q, own + k, q, m);
        for (int64_t a = 0; a < q; ++a)
            for (int64_t k = 0; k < m; ++k) {
                double s = 0.0;
                for (int64_t d = 0; d <= a; ++d) s += Lambda[a * q + d] * own[d * m + k];
                own_scaled[a * m + k] = s;
            }
    }
}

}  // namespace

void forward(Cube T, Cube R, Mat Lambda, Longs pointer, Codes columns, Mat B, int64_t start,
             MatOut t, MatOut gathered) {
    const int64_t n_levels = int64_t(T.shape(0)), q = int64_t(T.shape(1)), m = int64_t(t.shape(1));
    const int64_t *ptr = pointer.data();
    std::vector<double> scaled(size_t(q * m)), packed;
    for (int64_t l = 0; l < n_levels; ++l) {
        double *own = t.data() + (start + l * q) * m;
        const double *sum = gathered.data() + (start + l * q) * m;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = a; b < q; ++b)
                for (int64_t k = 0; k < m; ++k)
                    own[a * m + k] -= Lambda.data()[b * q + a] * sum[b * m + k];
        // Row by row, so that the vectors are the inner loop.
        const double *factor = T.data() + l * q * q;
        for (int64_t a = 0; a < q; ++a) {
            for (int64_t b = 0; b < a; ++b)
                for (int64_t k = 0; k < m; ++k) own[a * m + k] -= factor[a * q + b] * own[b * m + k];
            for (int64_t k = 0; k < m; ++k) own[a * m + k] /= factor[a * q + a];
        }
        times(R.data() + l * q * q, own, scaled.data(), q, m);
        add_products(B.data() + ptr[l] * q, columns.data() + ptr[l], ptr[l + 1] - ptr[l],
                     scaled.data(), q, m, gathered.data(), m, packed);
    }
}

void backward(Cube T, Cube R, Mat Lambda, Longs pointer, Codes columns, Mat B, int64_t start,
              MatOut t, MatOut b) {
    const int64_t n_levels = int64_t(T.shape(0)), q = int64_t(T.shape(1)), m = int64_t(t.shape(1));
    const int64_t *ptr = pointer.data();
    with_size(m == 1 ? q : 0, [&](auto size) {
        constexpr int Q = decltype(size)::value;
        backward_levels<Q>(T.data(), R.data(), Lambda.data(), ptr, columns.data(), B.data(),
                           t.data() + start * m, b.data() + start * m, b.data(), n_levels, q,
                           Q ? 1 : m);
    });
}

void stage_information(Cube G, Mat Lambda, Cube T, Cube R, bool divide, Longs pointer,
                       Codes columns, Mat B, int64_t start, Mat z, Cube slopes,
                       int64_t earlier, int64_t origin, MatOut sums, MatOut information) {
    const int64_t n_levels = int64_t(G.shape(0)), size = int64_t(G.shape(1));
    const int64_t own = int64_t(slopes.shape(0)), m = earlier + own;
    const int64_t width = int64_t(sums.shape(1)), all = int64_t(information.shape(1));
    const int64_t *ptr = pointer.data();
    with_size(size, [&](auto fixed) {
        constexpr int Q = decltype(fixed)::value;
        const int64_t q = Q ? Q : size;
        std::vector<double> space(size_t(4 * q * m + 5 * q * q)), packed;
        // v = [sums of earlier stages, G c], x = [-Omega v, F'c] with c = slope z and Omega = R R'.
        double *v = space.data(), *x = v + q * m, *c = x + q * m, *w = c + q * m, *omega = w + q * m;
        double *inverse = omega + q * q, *F = inverse + q * q, *X = F + q * q, *W = X + q * q;
        if (divide) invert_lower<Q>(Lambda.data(), inverse, q);
        for (int64_t l = 0; l < n_levels; ++l) {
            const double *zl = z.data() + l * q, *g = G.data() + l * q * q, *r = R.data() + l * q * q;
            level_F<Q>(g, T.data() + l * q * q, r, divide ? inverse : nullptr, F, X, W, q);
            for (int64_t a = 0; a < q; ++a)
                for (int64_t j = 0; j < own; ++j) {
                    const double *slope = slopes.data() + (j * q + a) * q;
                    double s = 0.0;
                    for (int64_t b = 0; b < q; ++b) s += slope[b] * zl[b];
                    c[a * own + j] = s;
                }
            times(g, c, w, q, own);
            for (int64_t a = 0; a < q; ++a)
                std::copy(w + a * own, w + (a + 1) * own, v + a * m + earlier);
            times_transposed(F, c, w, q, own);
            for (int64_t a = 0; a < q; ++a)
                std::copy(w + a * own, w + (a + 1) * own, x + a * m + earlier);
            if (earlier) {
                const double *sum = sums.data() + (start - origin + l * q) * width;
                product_transposed<Q>(r, r, omega, q);
                for (int64_t a = 0; a < q; ++a) {
                    std::copy(sum + a * width, sum + a * width + earlier, v + a * m);
                    for (int64_t k = 0; k < earlier; ++k) {
                        double s = 0.0;
                        for (int64_t b = 0; b < q; ++b) s -= omega[a * q + b] * sum[b * width + k];
                        x[a * m + k] = s;
                    }
                }
            }
            for (int64_t a = 0; a < q; ++a)
                for (int64_t i = 0; i < m; ++i)
                    for (int64_t j = i; j < m; ++j)
                        information.data()[i * all + j] += v[a * m + i] * x[a * m + j];
            // The last row of a level is that of y.
            add_products(B.data() + ptr[l] * q, columns.data() + ptr[l], ptr[l + 1] - ptr[l] - 1, x, q,
                         m, sums.data() - origin * width, width, packed);
        }
    });
}

void symmetric_times(Mat S, int64_t first, int64_t last, Mat c, int64_t at, MatOut out) {
    tiled_times(S.data(), int64_t(S.shape(0)), first, last, c.data(), int64_t(c.shape(1)),
                out.data() + at, int64_t(out.shape(1)));
}

void residual_scores(Cube G, Longs pointer, Codes columns, Mat B, int64_t start, Mat b, MatOut z) {
    const int64_t n_levels = int64_t(G.shape(0)), q = int64_t(G.shape(1));
    const int64_t *ptr = pointer.data();
    for (int64_t l = 0; l < n_levels; ++l) {
        double *out = z.data() + l * q;
        const double *own = b.data() + start + l * q, *g = G.data() + l * q * q;
        const double *y = B.data() + (ptr[l + 1] - 1) * q;
        for (int64_t a = 0; a < q; ++a) {
            out[a] = y[a];
            for (int64_t c = 0; c < q; ++c) out[a] -= g[a * q + c] * own[c];
        }
        for (int64_t row = ptr[l]; row < ptr[l + 1] - 1; ++row) {
            const double other = b.data()[columns.data()[row]];
            for (int64_t a = 0; a < q; ++a) out[a] -= B.data()[row * q + a] * other;
        }
    }
}

}  // namespace mixeff
