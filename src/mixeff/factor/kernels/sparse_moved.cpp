// Derivatives of the sparse tail's inverse, on the pattern of its factor: Q R Q for Q = Lt M^-1 Lt',
// which is minus the derivative of Q where S changes by R. The factorization and the inverse of
// Takahashi, Fagan and Chen (1973) are differentiated panel by panel.

#include <algorithm>

#include "blas.hpp"
#include "kernels.hpp"
#include "sparse.hpp"

namespace mixeff {

namespace {

// With D the diagonal block of a panel when its turn comes, P the rows below, Y = P D^-1 and G the
// derivative of D and P, the Schur complement of the rows below changes by -(V Y' + Y V'),
// V = G_below - Y G_own / 2. From W, the inverse of the rows below, the columns of the inverse are
// X_below = -W Y and X_own = D^-1 + Y'W Y; all are differentiated.
class Moved {
   public:
    Moved(const Panels &p, const double *L, const double *X, const std::vector<Mat> &Lambdas,
          const MatOut &R)
        : p(p),
          L(L),
          X(X),
          Lambdas(Lambdas),
          changes(int64_t(R.shape(0))),
          entries(int64_t(R.shape(1))),
          R(R.data()),
          drop(p.width(p.count - 1)),
          Y(size_t(entries)) {}

    void run() {
        for (int64_t s = 0; s < p.count - 1; ++s) down(s);
        for (int64_t s = p.count - 2; s >= 0; --s) up(s);
        for (int64_t d = 0; d < changes; ++d)
            for (int64_t s = 0; s < p.count - 1; ++s)
                scale_panel(p, s, panel(d, s), Lambdas, true);
    }

   private:
    const Panels &p;
    const double *L, *X;
    const std::vector<Mat> &Lambdas;
    int64_t changes, entries;
    double *R;
    int64_t drop;
    std::vector<double> Y, room, W, TW, inverse, half, moved;

    double *panel(int64_t d, int64_t s) { return R + d * entries + p.start[s]; }
    int64_t rows_below(int64_t s) const { return p.below(s) - drop; }

    // G of panel s, then V in the place of its rows below.
    void down(int64_t s) {
        char upper = 'U', left = 'L', no = 'N';
        const int64_t width = p.width(s), m = rows_below(s);
        double *y = Y.data() + p.start[s] + width * width, one = 1.0;
        int w = int(width), n = int(m);
        std::copy(L + p.start[s] + width * width, L + p.start[s] + (width + m) * width, y);
        if (m)
            blas().dtrsm(&left, &upper, &no, &no, &w, &n, &one,
                         const_cast<double *>(L + p.start[s]), &w, y, &w);
        for (int64_t d = 0; d < changes; ++d) {
            double *G = panel(d, s);
            complete(G, width);
            scale_panel(p, s, G, Lambdas, false);
            for (int64_t e = p.pull_at[s]; e < p.pull_at[s + 1]; ++e)
                pull(p.updates[p.pull[e]], d, G);
            complete(G, width);
            row_gemm(y, width, false, G, width, false, G + width * width, width, m, width, width,
                     -0.5, 1.0);
        }
    }

    // G -= V Y' + Y V' of an earlier panel.
    void pull(const Update &u, int64_t d, double *G) {
        const int64_t inner = p.width(u.from), width = p.width(u.to);
        const int64_t m = rows_below(u.from) - u.begin, k = u.end - u.begin;
        const int64_t at = (inner + u.begin) * inner;
        const double *y = Y.data() + p.start[u.from] + at, *v = panel(d, u.from) + at;
        const int32_t *to = p.relative + u.relative;
        room.resize(size_t(std::max<int64_t>(m * k, int64_t(room.size()))));
        row_gemm(v, inner, false, y, inner, true, room.data(), k, m, k, inner, 1.0, 0.0);
        row_gemm(y, inner, false, v, inner, true, room.data(), k, m, k, inner, 1.0, 1.0);
        for (int64_t i = 0; i < m; ++i) {
            double *row = G + to[i] * width;
            for (int64_t j = 0; j < std::min(k, i + 1); ++j) row[to[j]] -= room[i * k + j];
        }
    }

    // What the rows below panel s hold of an array laid out as the factor, symmetric.
    void gather(int64_t s, const double *from, double *out) const {
        const int64_t m = rows_below(s);
        for (int64_t e = p.push_at[s]; e < p.push_at[s + 1]; ++e) {
            const Update &u = p.updates[e];
            const int64_t stride = p.width(u.to);
            const double *base = from + p.start[u.to];
            const int32_t *at = p.relative + u.relative - u.begin;
            for (int64_t i = u.begin; i < m; ++i) {
                const double *row = base + at[i] * stride;
                for (int64_t j = u.begin; j < std::min(u.end, i + 1); ++j)
                    out[i * m + j] = out[j * m + i] = row[at[j]];
            }
        }
    }

    // M^-1 dM M^-1 on the columns of panel s in the place of G and V.
    void up(int64_t s) {
        char upper = 'U', no = 'N';
        const int64_t w = p.width(s), m = rows_below(s);
        const double *y = Y.data() + p.start[s] + w * w, *x = X + p.start[s] + w * w;
        int size = int(w), info = 0;
        inverse.assign(L + p.start[s], L + p.start[s] + w * w);
        blas().dtrtri(&upper, &no, &size, inverse.data(), &size, &info);
        blas().dlauum(&upper, &size, inverse.data(), &size, &info);
        complete(inverse.data(), w);
        W.resize(size_t(m * m));
        TW.resize(size_t(m * m));
        half.resize(size_t(std::max(m, w) * w));
        moved.resize(size_t(m * w));
        gather(s, X, W.data());
        for (int64_t d = 0; d < changes; ++d) {
            double *G = panel(d, s), *V = G + w * w;
            gather(s, R + d * entries, TW.data());
            std::copy(V, V + m * w, half.data());
            row_gemm(y, w, false, G, w, false, half.data(), w, m, w, w, -0.5, 1.0);
            row_gemm(half.data(), w, false, inverse.data(), w, false, moved.data(), w, m, w, w, 1.0,
                     0.0);  // dY
            row_gemm(W.data(), m, false, moved.data(), w, false, V, w, m, w, m, 1.0, 0.0);
            row_gemm(TW.data(), m, false, y, w, false, V, w, m, w, m, -1.0, 1.0);
            row_gemm(inverse.data(), w, false, G, w, false, half.data(), w, w, w, w, 1.0, 0.0);
            row_gemm(half.data(), w, false, inverse.data(), w, false, G, w, w, w, w, 1.0, 0.0);
            if (m) {
                row_gemm(moved.data(), w, true, x, w, false, G, w, w, w, m, 1.0, 1.0);
                row_gemm(y, w, true, V, w, false, G, w, w, w, m, -1.0, 1.0);
            }
            for (int64_t i = 0; i < w; ++i)
                for (int64_t j = 0; j < i; ++j)
                    G[i * w + j] = G[j * w + i] = 0.5 * (G[i * w + j] + G[j * w + i]);
        }
    }
};

}  // namespace

void sparse_moved(MIXEFF_PANELS, Vec L, Vec X, MatOut R, Mats Lambdas) {
    const Panels p = MIXEFF_VIEW;
    Moved(p, L.data(), X.data(), Lambdas, R).run();
}

}  // namespace mixeff
