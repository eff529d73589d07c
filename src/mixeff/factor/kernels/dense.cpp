#include "dense.hpp"

#include <algorithm>

#include "blas.hpp"
#include "parallel.hpp"

namespace mixeff {

namespace {

char U = 'U', L_ = 'L', R_ = 'R', T_ = 'T', N_ = 'N';

// Rows and columns of a tile: large ones are nearer the peak of BLAS, but enough must remain to
// share out. The size of the matrix alone decides, so the sums do not depend on the threads.
int64_t tile_of(int64_t n) {
    return n < 2000 ? 128 : 192;
}

// Threads worth starting for so many multiplications: on a busy machine each start may wait.
int team(int threads, double work) { return work < 2e8 ? 1 : threads; }

int64_t tiles(int64_t n) { return (n + tile_of(n) - 1) / tile_of(n); }

}  // namespace

int64_t tiled_cholesky(double *A, int64_t n, int64_t ld, int threads) {
    const int64_t tile = tile_of(n);
    const int64_t blocks = tiles(n);
    threads = team(threads, double(n) * n * n / 6);
    double one = 1.0, minus = -1.0;
    int LD = int(ld);
    for (int64_t j = 0; j < blocks; ++j) {
        const int64_t first = j * tile, width = std::min(tile, n - first);
        double *diagonal = A + first * ld + first;
        int w = int(width), k = int(first), info = 0;
        // Left-looking: all earlier columns in one long product.
        if (first) blas().dsyrk(&U, &T_, &w, &k, &minus, A + first * ld, &LD, &one, diagonal, &LD);
        blas().dpotrf(&U, &w, diagonal, &LD, &info);
        if (info) return first + info;
        share(blocks - j - 1, threads, 1, [&](int64_t t) {
            const int64_t row = (j + 1 + t) * tile, height = std::min(tile, n - row);
            double *own = A + row * ld + first;
            row_gemm(A + row * ld, ld, false, A + first * ld, ld, true, own, ld, height, width,
                     first, -1.0, 1.0);
            int h = int(height), w2 = int(width), LD2 = int(ld);
            double unit = 1.0;
            blas().dtrsm(&L_, &U, &T_, &N_, &w2, &h, &unit, diagonal, &LD2, own, &LD2);
        });
    }
    return 0;
}

void tiled_inverse(double *A, int64_t n, int64_t ld, int threads) {
    threads = team(threads, double(n) * n * n / 3);
    // Strips are what threads share out; few enough columns for four of them in a step.
    const int64_t strip = 64, step = n < 2000 ? 2 * strip : 4 * strip, tile = tile_of(n);
    double one = 1.0, minus = -1.0;
    int LD = int(ld);
    // X = L^-1 from the last columns to the first: X_bj = -X_bb L_bj X_jj for the rows b below.
    for (int64_t first = (n - 1) / step * step; first >= 0; first -= step) {
        const int64_t width = std::min(step, n - first), below = n - first - width;
        double *diagonal = A + first * ld + first, *under = diagonal + width * ld;
        int info = 0, w = int(width);
        blas().dtrtri(&U, &N_, &w, diagonal, &LD, &info);
        if (!below) continue;
        share((width + strip - 1) / strip, threads, 1, [&](int64_t s) {
            const int64_t some = std::min(strip, width - s * strip), at = s * strip;
            // The last rows of the strip need all those above them as they were.
            for (int64_t row = (below - 1) / tile * tile; row >= 0; row -= tile) {
                const double *X = under + width + row * ld;
                double *own = under + row * ld + at;
                int m = int(some), n = int(std::min(tile, below - row)), LDA = int(ld);
                blas().dtrmm(&R_, &U, &N_, &N_, &m, &n, &one, const_cast<double *>(X) + row, &LDA,
                             own, &LDA);
                row_gemm(X, ld, false, under + at, ld, false, own, ld, n, some, row, 1.0, 1.0);
            }
        });
        share((below + tile - 1) / tile, threads, 1, [&](int64_t t) {
            int height = int(std::min(tile, below - t * tile)), k = int(width), LDA = int(ld);
            blas().dtrmm(&L_, &U, &N_, &N_, &k, &height, &minus, diagonal, &LDA,
                         under + t * tile * ld, &LDA);
        });
    }
    // Row i of tiles of X'X needs X from there on, its own diagonal tile last.
    for (int64_t i = 0; i < tiles(n); ++i) {
        const int64_t row = i * tile, height = std::min(tile, n - row), below = n - row - height;
        double *diagonal = A + row * ld + row;
        const double *after = A + (row + height) * ld;
        share(i, threads, 1, [&](int64_t j) {
            double *own = A + row * ld + j * tile;
            int h = int(height), w = int(tile), LDA = int(ld);
            // own <- X_ii' own: in columns, own' <- own' X_ii.
            blas().dtrmm(&R_, &U, &T_, &N_, &w, &h, &one, diagonal, &LDA, own, &LDA);
            row_gemm(after + row, ld, true, after + j * tile, ld, false, own, ld, height, tile,
                     below, 1.0, 1.0);
        });
        int h = int(height), k = int(below), info = 0;
        blas().dlauum(&U, &h, diagonal, &LD, &info);
        if (below)
            blas().dsyrk(&U, &N_, &h, &k, &one, const_cast<double *>(after) + row, &LD, &one,
                         diagonal, &LD);
    }
}

void tiled_solve(const double *L, int64_t n, int64_t ld, double *X, int64_t m, bool transpose) {
    const int64_t tile = tile_of(n), blocks = tiles(n);
    double one = 1.0;
    int m_ = int(m), LD = int(ld);
    for (int64_t b = 0; b < blocks && m; ++b) {
        const int64_t row = (transpose ? blocks - 1 - b : b) * tile;
        const int64_t height = std::min(tile, n - row), next = row + height;
        double *own = X + row * m;
        int h = int(height);
        if (transpose)
            row_gemm(L + next * ld + row, ld, true, X + next * m, m, false, own, m, height, m,
                     n - next, -1.0, 1.0);
        else
            row_gemm(L + row * ld, ld, false, X, m, false, own, m, height, m, row, -1.0, 1.0);
        // Row-major L X = R is X' U = R' for the column-major U = L'.
        blas().dtrsm(&R_, &U, transpose ? &T_ : &N_, &N_, &m_, &h, &one,
                     const_cast<double *>(L) + row * ld + row, &LD, own, &m_);
    }
}

void tiled_times(const double *S, int64_t n, int64_t first, int64_t last, const double *c, int64_t m,
                 double *out, int64_t ldo) {
    const int64_t tile = tile_of(n);
    double one = 1.0;
    int m_ = int(m), LD = int(n), LDO = int(ldo);
    auto each = [&](int64_t from, int64_t to, auto body) {
        for (int64_t row = from; row < to; row += tile) body(row, std::min(tile, to - row));
    };
    each(0, n, [&](int64_t row, int64_t height) {
        for (int64_t r = row; r < row + height; ++r) std::fill(out + r * ldo, out + r * ldo + m, 0.0);
    });
    if (!m) return;
    each(0, first, [&](int64_t row, int64_t height) {
        row_gemm(S + row * n + first, n, false, c, m, false, out + row * ldo, ldo, height, m,
                 last - first, 1.0, 1.0);
    });
    each(first, last, [&](int64_t row, int64_t height) {
        const int64_t next = row + height;
        int h = int(height);
        blas().dsymm(&R_, &L_, &m_, &h, &one, const_cast<double *>(S) + row * n + row, &LD,
                     const_cast<double *>(c) + (row - first) * m, &m_, &one, out + row * ldo, &LDO);
        row_gemm(S + row * n + next, n, false, c + (next - first) * m, m, false, out + row * ldo,
                 ldo, height, m, last - next, 1.0, 1.0);
        row_gemm(S + first * n + row, n, true, c, m, false, out + row * ldo, ldo, height, m,
                 row - first, 1.0, 1.0);
    });
    each(last, n, [&](int64_t row, int64_t height) {
        row_gemm(S + first * n + row, n, true, c, m, false, out + row * ldo, ldo, height, m,
                 last - first, 1.0, 1.0);
    });
}

void tiled_subtract(const double *P, int64_t k, int64_t n, int64_t ld, double *S, int threads) {
    const int64_t tile = tile_of(n);
    double *panel = const_cast<double *>(P);
    threads = team(threads, double(k) * n * n / 2);
    share(tiles(n), threads, 1, [&](int64_t t) {
        const int64_t first = t * tile, height = std::min(tile, n - first), next = first + height;
        double one = 1.0, minus = -1.0;
        int h = int(height), k_ = int(k), LD = int(ld), LDS = int(n);
        blas().dsyrk(&L_, &N_, &h, &k_, &minus, panel + first, &LD, &one, S + first * n + first,
                     &LDS);
        row_gemm(P + first, ld, true, P + next, ld, false, S + first * n + next, n, height,
                 n - next, k, -1.0, 1.0);
    });
}

void tiled_symmetric(const double *Q, int64_t n, int64_t ldq, const double *P, int64_t k,
                     int64_t ld, double *out, int threads) {
    const int64_t tile = tile_of(n);
    threads = team(threads, double(k) * n * n);
    share(tiles(n), threads, 1, [&](int64_t t) {
        const int64_t first = t * tile, width = std::min(tile, n - first), next = first + width;
        const double *row = Q + first * ldq;
        double one = 1.0, zero = 0.0, *own = out + first;
        int w = int(width), k_ = int(k), LDQ = int(ldq), LD = int(ld);
        blas().dsymm(&L_, &U, &w, &k_, &one, const_cast<double *>(row) + first, &LDQ,
                     const_cast<double *>(P) + first, &LD, &zero, own, &LD);
        row_gemm(P, ld, false, row, ldq, true, own, ld, k, width, first, 1.0, 1.0);
        row_gemm(P + next, ld, false, Q + next * ldq + first, ldq, false, own, ld, k, width,
                 n - next, 1.0, 1.0);
    });
}

void transpose_upper(const double *S, int64_t n, int64_t ld, double *L, int threads) {
    const int64_t step = 32;
    share((n + step - 1) / step, n < 1000 ? 1 : threads, 1, [&](int64_t b) {
        const int64_t ib = b * step, end = std::min(ib + step, n);
        for (int64_t jb = 0; jb <= ib; jb += step)
            for (int64_t i = ib; i < end; ++i)
                for (int64_t j = jb; j < std::min(jb + step, i + 1); ++j)
                    L[i * ld + j] = S[j * ld + i];
    });
}

}  // namespace mixeff
