// Several vectors at once through one stage: products, forward and backward substitution.

#include <algorithm>

#include "blas.hpp"
#include "kernels.hpp"
#include "small.hpp"

namespace mixeff {

namespace {

// Whether BLAS on gathered rows beats plain loops: many vectors and a level with many entries.
bool worth_gathering(int64_t rows, int64_t q, int64_t m) { return q > 3 && m > 15 && rows > 31; }

// Row-major C (a x b) = A B + beta C, A (k x a) transposed where said.
void product(const double *A, bool transposed, const double *B, double *C, int64_t a, int64_t b,
             int64_t k, double beta) {
    char no = 'N', trans = transposed ? 'T' : 'N';
    int m = int(b), n = int(a), inner = int(k), ld = transposed ? n : inner;
    double one = 1.0;
    blas().dgemm(&no, &trans, &m, &n, &inner, &one, const_cast<double *>(B), &m,
                 const_cast<double *>(A), &ld, &beta, C, &m);
}

// The rows of c a level meets, one after the other.
void gather(const double *c, const int32_t *columns, int64_t rows, int64_t m, double *out) {
    for (int64_t r = 0; r < rows; ++r)
        std::copy(c + int64_t(columns[r]) * m, c + (int64_t(columns[r]) + 1) * m, out + r * m);
}

void add_rows(const double *in, const int32_t *columns, int64_t rows, int64_t m, double *c) {
    for (int64_t r = 0; r < rows; ++r) {
        double *to = c + int64_t(columns[r]) * m;
        for (int64_t k = 0; k < m; ++k) to[k] += in[r * m + k];
    }
}

}  // namespace

void multiply(Cube G, Longs pointer, Codes columns, Mat B, int64_t start, Mat c, MatOut out) {
    const int64_t n_levels = int64_t(G.shape(0)), q = int64_t(G.shape(1)), m = int64_t(c.shape(1));
    const int64_t *ptr = pointer.data();
    std::vector<double> packed;
    for (int64_t l = 0; l < n_levels; ++l) {
        const double *g = G.data() + l * q * q;
        const double *own = c.data() + (start + l * q) * m;
        double *own_out = out.data() + (start + l * q) * m;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b < q; ++b)
                for (int64_t k = 0; k < m; ++k) own_out[a * m + k] += g[a * q + b] * own[b * m + k];
        const int64_t rows = ptr[l + 1] - ptr[l];
        if (worth_gathering(rows, q, m)) {
            const int32_t *at = columns.data() + ptr[l];
            packed.resize(size_t(rows * m));
            gather(c.data(), at, rows, m, packed.data());
            product(B.data() + ptr[l] * q, true, packed.data(), own_out, q, m, rows, 1.0);
            product(B.data() + ptr[l] * q, false, own, packed.data(), rows, m, q, 0.0);
            add_rows(packed.data(), at, rows, m, out.data());
            continue;
        }
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
    std::vector<double> packed;
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
        const int64_t rows = ptr[l + 1] - ptr[l];
        if (worth_gathering(rows, q, m)) {
            packed.resize(size_t(rows * m));
            product(C.data() + ptr[l] * q, false, own, packed.data(), rows, m, q, 0.0);
            add_rows(packed.data(), columns.data() + ptr[l], rows, m, gathered.data());
            continue;
        }
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
