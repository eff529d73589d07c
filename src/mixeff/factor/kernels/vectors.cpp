// Several vectors at once through one stage: products, forward and backward substitution.

#include "kernels.hpp"
#include "small.hpp"

namespace mixeff {

void multiply(Cube G, Longs pointer, Codes columns, Mat B, int64_t start, Mat c, MatOut out) {
    const int64_t n_levels = int64_t(G.shape(0)), q = int64_t(G.shape(1)), m = int64_t(c.shape(1));
    const int64_t *ptr = pointer.data();
    for (int64_t l = 0; l < n_levels; ++l) {
        const double *g = G.data() + l * q * q;
        const double *own = c.data() + (start + l * q) * m;
        double *own_out = out.data() + (start + l * q) * m;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b < q; ++b)
                for (int64_t k = 0; k < m; ++k) own_out[a * m + k] += g[a * q + b] * own[b * m + k];
        for (int64_t row = ptr[l]; row < ptr[l + 1]; ++row) {
            const int64_t at = columns.data()[row];
            const double *other = c.data() + at * m, *b = B.data() + row * q;
            double *other_out = out.data() + at * m;
            for (int64_t a = 0; a < q; ++a)
                for (int64_t k = 0; k < m; ++k) {
                    own_out[a * m + k] += b[a] * other[k];
                    other_out[k] += b[a] * own[a * m + k];
                }
        }
    }
}

void forward(Cube T, Mat Lambda, Longs pointer, Codes columns, Mat C, int64_t start, MatOut t,
             MatOut gathered) {
    const int64_t n_levels = int64_t(T.shape(0)), q = int64_t(T.shape(1)), m = int64_t(t.shape(1));
    const int64_t *ptr = pointer.data();
    for (int64_t l = 0; l < n_levels; ++l) {
        double *own = t.data() + (start + l * q) * m;
        const double *sum = gathered.data() + (start + l * q) * m;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = a; b < q; ++b)
                for (int64_t k = 0; k < m; ++k)
                    own[a * m + k] -= Lambda.data()[b * q + a] * sum[b * m + k];
        for (int64_t k = 0; k < m; ++k) solve_lower<0>(T.data() + l * q * q, own + k, q, m);
        for (int64_t row = ptr[l]; row < ptr[l + 1]; ++row) {
            double *other = gathered.data() + int64_t(columns.data()[row]) * m;
            const double *c = C.data() + row * q;
            for (int64_t a = 0; a < q; ++a)
                for (int64_t k = 0; k < m; ++k) other[k] += c[a] * own[a * m + k];
        }
    }
}

void backward(Cube T, Mat Lambda, Longs pointer, Codes columns, Mat C, int64_t start, MatOut t,
              MatOut b) {
    const int64_t n_levels = int64_t(T.shape(0)), q = int64_t(T.shape(1)), m = int64_t(t.shape(1));
    const int64_t *ptr = pointer.data();
    for (int64_t l = 0; l < n_levels; ++l) {
        double *own = t.data() + (start + l * q) * m;
        double *scaled = b.data() + (start + l * q) * m;
        for (int64_t row = ptr[l]; row < ptr[l + 1] - 1; ++row) {
            const double *other = b.data() + int64_t(columns.data()[row]) * m;
            const double *c = C.data() + row * q;
            for (int64_t a = 0; a < q; ++a)
                for (int64_t k = 0; k < m; ++k) own[a * m + k] -= c[a] * other[k];
        }
        for (int64_t k = 0; k < m; ++k) solve_upper<0>(T.data() + l * q * q, own + k, q, m);
        for (int64_t a = 0; a < q; ++a)
            for (int64_t k = 0; k < m; ++k) {
                double s = 0.0;
                for (int64_t d = 0; d <= a; ++d) s += Lambda.data()[a * q + d] * own[d * m + k];
                scaled[a * m + k] = s;
            }
    }
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
