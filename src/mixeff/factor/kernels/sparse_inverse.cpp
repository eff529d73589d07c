// The sparse tail's inverse on the pattern of its factor (Takahashi, Fagan and Chen 1973; Erisman
// and Tinney 1975), and the traces taken from it.

#include <algorithm>

#include "blas.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "sparse.hpp"

namespace mixeff {

namespace {

// Rows of panel s that take part: the last `drop` columns do not.
int64_t rows_of(const Panels &p, int64_t s, int64_t drop) {
    return s == p.count - 1 ? p.width(s) - drop : p.width(s) + p.below(s) - drop;
}

// Calls body(first row, columns, Lambda or null for X and y, factor) for every level or column.
template <typename Body>
void each_level(const Panels &p, int64_t s, int64_t from, int64_t to, const Mats &Lambdas,
                Body body) {
    for (int64_t i = from; i < to;) {
        const int32_t a = p.kind[p.row(s, i)];
        const int64_t q = a < 0 ? 1 : int64_t(Lambdas[a].shape(0));
        body(i, q, a < 0 ? nullptr : Lambdas[a].data(), a);
        i += q;
    }
}

// x <- Lambda' x (or Lambda x) for q numbers `step` apart, in the order in which what is replaced is
// not needed any more.
inline void mix(int64_t q, const double *Lambda, double *x, int64_t step, bool transposed) {
    for (int64_t t = 0; t < q; ++t) {
        const int64_t a = transposed ? q - 1 - t : t;
        double sum = 0.0;
        for (int64_t b = transposed ? 0 : a; b < (transposed ? a + 1 : q); ++b)
            sum += (transposed ? Lambda[a * q + b] : Lambda[b * q + a]) * x[b * step];
        x[a * step] = sum;
    }
}

// The inverse of the columns of panel s from those after it.
void invert_panel(const Panels &p, int64_t s, int64_t drop, const double *L, double *Q,
                  double *room) {
    char upper = 'U', left = 'L', no = 'N';
    const int64_t width = p.width(s), rows = rows_of(p, s, drop), corner = s == p.count - 1;
    const int64_t used = corner ? rows : width, m = corner ? 0 : rows - width;
    const double *P = L + p.start[s];
    double *own = Q + p.start[s], one = 1.0;
    int w = int(used), ld = int(width), n = int(m), info = 0;
    std::copy(P, P + width * width, own);
    if (!used) return;
    blas().dtrtri(&upper, &no, &w, own, &ld, &info);
    blas().dlauum(&upper, &w, own, &ld, &info);
    if (m) {
        // Y = L_below L_own^-1 and W, the inverse of the rows below.
        double *Y = room, *W = room + m * width;
        std::copy(P + width * width, P + rows * width, Y);
        blas().dtrsm(&left, &upper, &no, &no, &w, &n, &one, const_cast<double *>(P), &ld, Y, &ld);
        for (int64_t e = p.push_at[s]; e < p.push_at[s + 1]; ++e) {
            const Update &u = p.updates[e];
            const int64_t stride = p.width(u.to);
            const double *from = Q + p.start[u.to];
            const int32_t *at = p.relative + u.relative - u.begin;
            for (int64_t i = u.begin; i < m; ++i) {
                const double *row = from + at[i] * stride;
                for (int64_t j = u.begin; j < std::min(u.end, i + 1); ++j)
                    W[i * m + j] = W[j * m + i] = row[at[j]];
            }
        }
        double *below = own + width * width;
        row_gemm(W, m, false, Y, width, false, below, width, m, width, m, -1.0, 0.0);
        row_gemm(Y, width, true, below, width, false, own, width, width, width, m, -1.0, 1.0);
    }
    for (int64_t i = 0; i < used; ++i)
        for (int64_t j = 0; j < i; ++j) own[j * width + i] = own[i * width + j];
}

// H_own += S' Lambda Q and H_other += S Lambda Q' for one block of S and Q.
void add_trace(const double *S, const double *Q, int64_t stride, int64_t rows, int64_t columns,
               const double *row_Lambda, const double *column_Lambda, double *H_column,
               double *H_row) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
            double left = 0.0;  // (Lambda_row Q)_ij
            for (int64_t d = 0; d <= i; ++d)
                left += (row_Lambda ? row_Lambda[i * rows + d] : 1.0) * Q[d * stride + j];
            for (int64_t c = 0; c < columns; ++c) H_column[c * columns + j] += S[i * stride + c] * left;
            if (!H_row) continue;
            double right = 0.0;  // (Lambda_column Q')_ji
            for (int64_t d = 0; d <= j; ++d) right += column_Lambda[j * columns + d] * Q[i * stride + d];
            for (int64_t r = 0; r < rows; ++r) H_row[r * rows + i] += S[r * stride + j] * right;
        }
}

// H = S_0 - V'V with V = L^-1 Lt' S_0, a few columns of one panel at a time. Only panels that the
// columns reach are visited: those that meet them, and what lies above these in the tree.
class DirectTrace {
   public:
    DirectTrace(const Panels &p, const double *S, const double *L, int64_t drop,
                const Mats &Lambdas, int64_t q, const MatOut &room, double *H)
        : p(p),
          S(S),
          L(L),
          drop(drop),
          Lambdas(Lambdas),
          q(q),
          stride(int64_t(room.shape(1))),
          V(room.data()),
          H(H),
          touched(size_t(p.count), 0),
          where(size_t(p.total), -1) {
        std::fill(V, V + p.total * stride, 0.0);
    }

    // Columns of whole levels in panel s.
    void add(int64_t s, const std::vector<int64_t> &columns) {
        m = int64_t(columns.size());
        for (int64_t j = 0; j < m; ++j) where[columns[j]] = j;
        const int64_t width = p.width(s), rows = width + p.below(s);
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < m; ++j)
                V[p.row(s, i) * stride + j] = S[p.start[s] + i * width + columns[j] - p.first[s]];
        for (int64_t j = 0; j < m; ++j)
            for (int64_t b = 0; b < q; ++b)
                H[j % q * q + b] += V[columns[j - j % q + b] * stride + j];
        scale(s, rows);
        for (int64_t e = p.pull_at[s]; e < p.pull_at[s + 1]; ++e) meet(p.updates[p.pull[e]]);
        for (int64_t j = 0; j < m; ++j) where[columns[j]] = -1;
        for (int64_t t = 0; t < p.count; ++t)
            if (touched[t]) forward(t);
    }

   private:
    const Panels &p;
    const double *S, *L;
    int64_t drop;
    const Mats &Lambdas;
    int64_t q, stride, m = 0;
    double *V, *H;
    std::vector<char> touched;
    std::vector<int64_t> where;   // number of a column among those at work
    std::vector<double> product;  // of one panel's rows with its part of V

    // Lt' from the left on the first rows of panel s.
    void scale(int64_t s, int64_t rows) {
        touched[s] = 1;
        each_level(p, s, 0, rows, Lambdas,
                   [&](int64_t i, int64_t r, const double *Lambda, int32_t) {
                       for (int64_t j = 0; Lambda && j < m; ++j)
                           mix(r, Lambda, V + p.row(s, i) * stride + j, stride, false);
                   });
    }

    void meet(const Update &u) {
        const int64_t inner = p.width(u.from);
        for (int64_t i = u.begin; i < u.end; ++i) {
            const int64_t j = where[p.rows[p.rows_at[u.from] + i]];
            if (j < 0) continue;
            const double *row = S + p.start[u.from] + (inner + i) * inner;
            for (int64_t k = 0; k < inner; ++k) V[(p.first[u.from] + k) * stride + j] = row[k];
        }
        scale(u.from, inner);
    }

    // One panel of the forward solve; its part of V is final then, is summed up and cleared.
    void forward(int64_t t) {
        char side = 'R', upper = 'U', no = 'N';
        const bool corner = t == p.count - 1;
        const int64_t width = p.width(t), rows = rows_of(p, t, drop), used = corner ? rows : width;
        const double *P = L + p.start[t];
        double *x = V + p.first[t] * stride, one = 1.0;
        int m_ = int(m), w = int(used), ld = int(width), ldx = int(stride);
        if (w)
            blas().dtrsm(&side, &upper, &no, &no, &m_, &w, &one, const_cast<double *>(P), &ld, x,
                         &ldx);
        for (int64_t k = 0; k < used; ++k)
            for (int64_t j = 0; j < m; ++j)
                for (int64_t b = 0; b < q; ++b)
                    H[j % q * q + b] -= x[k * stride + j] * x[k * stride + j - j % q + b];
        const int64_t below = corner ? 0 : rows - width;
        product.resize(size_t(std::max<int64_t>(below, 0) * m));
        row_gemm(P + width * width, width, false, x, stride, false, product.data(), m, below, m,
                 width, 1.0, 0.0);
        for (int64_t i = 0; i < below; ++i) {
            double *other = V + p.row(t, width + i) * stride;
            for (int64_t j = 0; j < m; ++j) other[j] -= product[i * m + j];
        }
        std::fill(x, x + width * stride, 0.0);
        touched[t] = 0;
        if (!corner) touched[p.parent(t)] = 1;
    }
};

}  // namespace

void scale_panel(const Panels &p, int64_t s, double *P, const Mats &Lambdas, bool transposed) {
    const int64_t width = p.width(s), rows = width + p.below(s);
    each_level(p, s, 0, width, Lambdas, [&](int64_t at, int64_t q, const double *Lambda, int32_t) {
        if (!Lambda) return;
        for (int64_t i = 0; i < rows; ++i) mix(q, Lambda, P + i * width + at, 1, transposed);
    });
    each_level(p, s, 0, rows, Lambdas, [&](int64_t at, int64_t q, const double *Lambda, int32_t) {
        if (!Lambda) return;
        for (int64_t k = 0; k < width; ++k) mix(q, Lambda, P + at * width + k, width, transposed);
    });
}

void sparse_invert(MIXEFF_PANELS, Vec L, int64_t size, VecOut Q, VecOut room) {
    const Panels p = MIXEFF_VIEW;
    for (int64_t s = p.count - 1; s >= 0; --s)
        invert_panel(p, s, p.total - size, L.data(), Q.data(), room.data());
}

void sparse_scale(MIXEFF_PANELS, VecOut Q, Mats Lambdas) {
    const Panels p = MIXEFF_VIEW;
    for (int64_t s = 0; s < p.count; ++s)
        scale_panel(p, s, Q.data() + p.start[s], Lambdas, true);
}

void sparse_rows(MIXEFF_PANELS, Codes place, Longs pointer, int64_t skip, int64_t drop,
                 Codes columns, int64_t tail, Mat B, Vec Q, MatOut QB, Longs meets,
                 Codes meets_row, Codes meets_level, Codes outer, bool half, int threads) {
    const Panels p = MIXEFF_VIEW;
    const int64_t q = int64_t(B.shape(1));
    const int64_t *ptr = pointer.data();
    const int32_t *to = place.data() - tail, *col = columns.data();
    std::fill(QB.data(), QB.data() + QB.size(), 0.0);
    // Where all of QB is asked for, every entry of Q is used for two rows: those of other threads.
    share(p.count, half ? threads : 1, 16, [&](int64_t s) {
        const std::vector<int32_t> &at = positions(p, s);
        const int64_t width = p.width(s);
        for (int64_t k = 0; k < width; ++k) {
            const int64_t own_column = p.first[s] + k, ext = outer.data()[own_column];
            if (own_column >= p.total - drop) continue;
            const double *from = Q.data() + p.start[s] + k;
            for (int64_t e = meets.data()[ext]; e < meets.data()[ext + 1]; ++e) {
                const int64_t own = meets_row.data()[e], l = meets_level.data()[e];
                const double *b = B.data() + own * q;
                double *out = QB.data() + own * q;
                for (int64_t j = ptr[l] + skip; j < ptr[l + 1] - drop; ++j) {
                    const int64_t other = to[col[j]];
                    if (other < own_column) continue;
                    const double entry = from[at[other] * width];
                    const double v = half && j != own ? 2.0 * entry : entry;
                    for (int64_t c = 0; c < q; ++c) out[c] += v * B.data()[j * q + c];
                    if (half || j == own) continue;
                    double *twin = QB.data() + j * q;
                    for (int64_t c = 0; c < q; ++c) twin[c] += entry * b[c];
                }
            }
        }
    });
}

nb::list sparse_traces(MIXEFF_PANELS, Vec S, Vec Q, int64_t size, Mats Lambdas) {
    const Panels p = MIXEFF_VIEW;
    std::vector<double *> H(Lambdas.size());
    nb::list found;
    for (size_t i = 0; i < H.size(); ++i)
        found.append(owned<double>({Lambdas[i].shape(0), Lambdas[i].shape(0)}, H[i]));
    nb::gil_scoped_release free;
    for (int64_t s = 0; s < p.count - 1; ++s) {
        const int64_t width = p.width(s), rows = rows_of(p, s, p.total - size);
        const double *s0 = S.data() + p.start[s], *q0 = Q.data() + p.start[s];
        each_level(p, s, 0, rows, Lambdas, [&](int64_t i, int64_t r, const double *LR, int32_t a) {
            each_level(p, s, 0, width, Lambdas,
                       [&](int64_t k, int64_t c, const double *LC, int32_t b) {
                           const int64_t at = i * width + k;
                           add_trace(s0 + at, q0 + at, width, r, c, LR, LC, H[b],
                                     i < width || a < 0 ? nullptr : H[a]);
                       });
        });
    }
    return found;
}

Array sparse_trace_directly(MIXEFF_PANELS, Vec S, Vec L, int64_t size, Mats Lambdas, int64_t a,
                            MatOut room) {
    const Panels p = MIXEFF_VIEW;
    const int64_t q = int64_t(Lambdas[a].shape(0));
    double *H;
    auto found = owned<double>({size_t(q), size_t(q)}, H);
    nb::gil_scoped_release free;
    DirectTrace direct(p, S.data(), L.data(), p.total - size, Lambdas, q, room, H);
    for (int64_t s = 0; s < p.count - 1; ++s) {
        std::vector<int64_t> columns;
        for (int64_t k = p.first[s]; k < p.first[s + 1]; ++k)
            if (p.kind[k] == a) columns.push_back(k);
        const int64_t step = int64_t(room.shape(1)) / q * q;
        for (int64_t at = 0; at < int64_t(columns.size()); at += step) {
            const int64_t end = std::min(at + step, int64_t(columns.size()));
            direct.add(s, {columns.begin() + at, columns.begin() + end});
        }
    }
    return found;
}

}  // namespace mixeff
