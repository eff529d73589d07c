// The few BLAS and LAPACK routines used, called through the pointers SciPy publishes.
#pragma once

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

}  // namespace mixeff
