// The few BLAS and LAPACK routines used, called through the pointers SciPy publishes.
#pragma once

#include <cstdint>

namespace mixeff {

// Row-major lower triangles are column-major upper ones, hence 'U' at every call.
struct Blas {
    void (*dpotrf)(char *, int *, double *, int *, int *);
    void (*dlauum)(char *, int *, double *, int *, int *);
    void (*dtrtri)(char *, char *, int *, double *, int *, int *);
    void (*dtrsm)(char *, char *, char *, char *, int *, int *, double *, double *, int *,
                  double *, int *);
    void (*dtrmm)(char *, char *, char *, char *, int *, int *, double *, double *, int *,
                  double *, int *);
    void (*dsyrk)(char *, char *, int *, int *, double *, double *, int *, double *, double *,
                  int *);
    void (*dsymm)(char *, char *, int *, int *, double *, double *, int *, double *, int *,
                  double *, double *, int *);
    void (*dgemm)(char *, char *, int *, int *, int *, double *, double *, int *, double *, int *,
                  double *, double *, int *);
};

// Loaded from SciPy at the first call (which must hold the GIL).
const Blas &blas();

// Row-major C (m x n) = alpha A B + beta C, A or B transposed where said.
inline void row_gemm(const double *A, int64_t lda, bool At, const double *B, int64_t ldb, bool Bt,
                     double *C, int64_t ldc, int64_t m, int64_t n, int64_t k, double alpha,
                     double beta) {
    if (!m || !n) return;
    char T = 'T', N = 'N';
    int m_ = int(n), n_ = int(m), k_ = int(k), a = int(ldb), b = int(lda), c = int(ldc);
    blas().dgemm(Bt ? &T : &N, At ? &T : &N, &m_, &n_, &k_, &alpha, const_cast<double *>(B), &a,
                 const_cast<double *>(A), &b, &beta, C, &c);
}

}  // namespace mixeff
