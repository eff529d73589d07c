// Dense symmetric algebra in tiles handed to threads: every tile is one fixed sum, so results do
// not depend on how many threads there are. BLAS itself must run on one thread meanwhile.
#pragma once

#include <cstdint>

namespace mixeff {

// In place Cholesky factor L of a row-major lower triangle; 0, or the number of the bad pivot.
int64_t tiled_cholesky(double *A, int64_t n, int64_t ld, int threads);

// Lower triangle of (L L')^-1 in the place of L.
void tiled_inverse(double *L, int64_t n, int64_t ld, int threads);

// In place X (n x m) <- L^-1 X or L^-T X. BLAS copies a good part of a large triangle, hence tiles.
void tiled_solve(const double *L, int64_t n, int64_t ld, double *X, int64_t m, bool transpose);

// out (n x m, rows ldo apart) = S c for c on columns first .. last of S, of which the upper triangle
// is read.
void tiled_times(const double *S, int64_t n, int64_t first, int64_t last, const double *c, int64_t m,
                 double *out, int64_t ldo);

// Upper triangle of S -= P' P for k rows of P.
void tiled_subtract(const double *P, int64_t k, int64_t n, int64_t ld, double *S, int threads);

// out (k x n) = P Q for a symmetric Q of which only the lower triangle is read.
void tiled_symmetric(const double *Q, int64_t n, int64_t ldq, const double *P, int64_t k,
                     int64_t ld, double *out, int threads);

// The upper triangle of S to the lower one of L.
void transpose_upper(const double *S, int64_t n, int64_t ld, double *L, int threads);

}  // namespace mixeff
