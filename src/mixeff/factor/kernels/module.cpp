#include "arrays.hpp"
NB_MODULE(_compiled, m) { m.doc() = "Compiled kernels of mixeff."; }
