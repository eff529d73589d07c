// Declarations of every kernel; what each computes stands at its NumPy twin (twins.py).
#pragma once

#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <vector>

#include "arrays.hpp"
#include "sparse.hpp"

namespace mixeff {

using Mats = std::vector<Mat>;
using Array = nb::ndarray<nb::numpy, double>;

nb::tuple level_order(Codes codes, int64_t n_levels, std::optional<Longs> within);
nb::tuple level_gram(Codes codes, Longs pointer, Longs order, Mat values, Vec shift, Vec scale, Mat X,
                     Vec X_shift, Vec X_scale, Mat y, Vec y_shift, Vec y_scale, Vec root,
                     int threads);
nb::tuple pair_gram(Longs pointer, Longs order, Codes codes, Mat values, Vec shift, Vec scale,
                    Mat other, Vec other_shift, Vec other_scale, Vec root, int threads);
Array fixed_gram(Mat X, Vec X_shift, Vec X_scale, Mat y, Vec y_shift, Vec y_scale, Vec root,
                 int threads);

double eliminate(Cube G, Longs pointer, Mat B, Mat Lambda, CubeOut T, CubeOut R, MatOut C);
// Whether a level with m rows is packed into the panel (room columns) for BLAS: it touches more
// than a quarter of the tail. Such levels are left out of the index by column.
inline bool is_dense(int64_t m, int64_t width, int64_t q, int64_t room) {
    return 4 * m > width && q <= room / 2;
}

void scatter_tail(Longs pointer, int64_t skip, Codes columns, int64_t tail, Mat C, MatOut S,
                  MatOut panel, Longs meets, Codes meets_row, Codes meets_level, int threads);
nb::tuple index_columns(Longs pointer, int64_t skip, Codes columns, int64_t tail, int64_t width,
                        int64_t q, int64_t room);
void scatter_stage(Longs pointer, int64_t offset, Codes ancestor, Codes place, Mat C, CubeOut G,
                   MatOut B);

void place_pairs(Longs indptr, Codes indices, Cube values, int64_t row, int64_t column, MatOut S);
int64_t factor_tail(MatOut S, MatOut L, Longs starts, Mats Lambdas, VecOut out, int threads);
void solve_tail(Mat L, MatOut right, bool transpose);
void invert_tail(Mat L, int64_t size, MatOut Q, int threads);
nb::list tail_traces(Mat S, Mat Q, int64_t size, Longs starts, Mats Lambdas, MatOut panel);
void scale_inverse(MatOut Q, int64_t size, Longs starts, Mats Lambdas);

// The sparse tail; its matrices are flat arrays of panels (sparse.hpp).
nb::tuple sparse_order(Longs pointer, Codes nodes, Codes weights, int64_t border, double limit);
nb::tuple sparse_pattern(Longs pointer, Codes nodes, Codes order, Codes weights, Codes factors,
                         int64_t border);
nb::ndarray<nb::numpy, int64_t> sparse_places(MIXEFF_PANELS, Codes row, Codes column);
void sparse_scatter(MIXEFF_PANELS, Codes place, Longs pointer, int64_t skip, Codes columns,
                    int64_t tail, Mat C, VecOut S, Longs meets, Codes meets_row,
                    Codes meets_level, Codes outer, int threads);
int64_t sparse_factor(MIXEFF_PANELS, VecOut S, VecOut L, Mats Lambdas, VecOut out, VecOut room);
void sparse_solve(MIXEFF_PANELS, Vec L, MatOut right, bool transpose);
void sparse_multiply(MIXEFF_PANELS, Vec S, Mat x, MatOut out);
void sparse_invert(MIXEFF_PANELS, Vec L, int64_t size, VecOut Q, VecOut room);
void sparse_moved(MIXEFF_PANELS, Vec L, Vec X, MatOut R, Mats Lambdas);
void sparse_scale(MIXEFF_PANELS, VecOut Q, Mats Lambdas);
nb::list sparse_traces(MIXEFF_PANELS, Vec S, Vec Q, int64_t size, Mats Lambdas);
Array sparse_trace_directly(MIXEFF_PANELS, Vec S, Vec L, int64_t size, Mats Lambdas, int64_t a,
                            MatOut room);
void sparse_rows(MIXEFF_PANELS, Codes place, Longs pointer, int64_t skip, int64_t drop,
                 Codes columns, int64_t tail, Mat B, Vec Q, MatOut QB, Longs meets,
                 Codes meets_row, Codes meets_level, Codes outer, bool half, int threads);

void inverse_tail(Longs pointer, int64_t skip, int64_t drop, Codes columns, int64_t tail, Mat B,
                  Mat Q, MatOut QB, MatOut panel, Longs meets, Codes meets_row, Codes meets_level,
                  bool half, int threads);
void inverse_stage(Longs pointer, int64_t offset, int64_t drop, Codes ancestor, Codes place, Mat B,
                   Cube diagonal, Mat off, MatOut QB);
void level_quadratic(Longs pointer, Mat B, Mat QB, CubeOut K);
Array stage_traces(Cube G, Mat Lambda, Cube T, Cube R, Cube K, bool divide);
void stage_inverse(Cube R, Cube K, CubeOut diagonal);
void stage_off_inverse(Longs pointer, Cube R, MatOut QB);

void forward(Cube T, Cube R, Mat Lambda, Longs pointer, Codes columns, Mat B, int64_t start,
             MatOut t, MatOut gathered);
void backward(Cube T, Cube R, Mat Lambda, Longs pointer, Codes columns, Mat B, int64_t start,
              MatOut t, MatOut b);
void stage_information(Cube G, Mat Lambda, Cube T, Cube R, bool divide, Longs pointer,
                       Codes columns, Mat B, int64_t start, Mat z, Cube slopes, int64_t earlier, int64_t origin, MatOut sums,
                       MatOut information);
void symmetric_times(Mat S, int64_t first, int64_t last, Mat c, int64_t at, MatOut out);
void residual_scores(Cube G, Longs pointer, Codes columns, Mat B, int64_t start, Mat b, MatOut z);

// Row weights that change while the pattern stays: penalized IRLS.
void weighted_levels(Codes codes, Longs pointer, Longs order, Mat Z, Mat X, Vec weight, Vec product,
                     CubeOut gram, CubeOut dense, int threads);
void weighted_pairs(Longs start, Longs order, Mat Z, Mat other, Vec weight, CubeOut values,
                    int threads);
void weighted_fixed(Mat X, Vec weight, Vec product, MatOut fixed, int threads);
void add_effects(Codes codes, Mat Z, Mat effects, VecOut out, int threads);
void add_quadratic(Codes codes, Mat Z, Cube blocks, VecOut out, int threads);
void add_bilinear(Codes position, Mat Z, Mat other, Cube blocks, VecOut out, int threads);
void level_products(Codes codes, Longs pointer, Longs order, Mat Z, Vec values, MatOut out,
                    int threads);

void subtract_outer(Longs pointer, Longs columns, Mat a, Mat b, Longs meets, Longs order,
                    Codes level, MatOut out, int threads);

// Whole fits of small models: what they return stands in factor/small.py.
nb::tuple small_fit(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                    int64_t n, bool reml, Vec start, Mat extra, double tolerance,
                    int max_evaluations);
nb::tuple small_fits(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                     int64_t n, bool reml, Mat By, Mat Ay, Vec start, Mat extra, double tolerance,
                     int max_evaluations, int threads);
nb::tuple small_arrays(Codes codes, int64_t n_levels, Mat values, Vec shift, Vec scale,
                       std::vector<Codes> tail_codes, std::vector<int64_t> tail_levels,
                       Mats tail_values, std::vector<Vec> tail_shifts, std::vector<Vec> tail_scales,
                       Mat X_values, Vec X_shift, Vec X_scale, Vec y, Vec root);
nb::tuple term_units(Mat basis, Vec theta, Mat modes, int64_t first, double scale);
nb::tuple fixed_units(Mat basis, Vec projection, double scale, double center, Vec constant,
                      Vec beta, Mat covariance);
nb::tuple nested_codes(Codes left, int64_t n_left, Codes right, int64_t n_right);
nb::tuple small_unprofiled(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks,
                           Longs terms, int64_t n, Vec theta, double log_tau);
nb::tuple small_point(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                      int64_t n, bool reml, Vec theta, bool by_class, int term, Vec direction);
Array response_products(Codes codes, int64_t n_levels, Mat values, Vec shift, Vec scale,
                        Mat responses, int threads);
nb::tuple subtract_fits(Mat values, Vec shift, Vec scale, Mat coefficients, MatOut responses,
                        Vec weights, int threads);
Array rescale_roots(Mat basis, Mat theta);

}  // namespace mixeff
