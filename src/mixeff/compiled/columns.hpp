// Declarations of the kernels that work on columns as they come from a data frame; what each
// computes stands at its NumPy twin (twins.py).
#pragma once

#include "../factor/kernels/arrays.hpp"

namespace mixeff {

nb::tuple column_moments(Mat values, Vec weights, int threads);
nb::tuple regress(Mat X, Vec shift, Vec scale, Vec mean, Mat centred, double total, Vec response,
                  Vec weights, bool centre, int threads);
bool plainly_full_rank(Vec mean, Mat centred, int64_t first, int64_t n, double clear);
nb::tuple standard_basis(Vec mean, Mat centred, double total, int64_t n, Vec constant,
                         double collinear);

nb::tuple used_levels(Codes codes, int64_t n_levels);
nb::object place_integers(Vec values, double low, int64_t size);
nb::tuple index_numbers(Vec values);
nb::tuple combine_codes(Codes left, int64_t n_left, Codes right, int64_t n_right);

}  // namespace mixeff
