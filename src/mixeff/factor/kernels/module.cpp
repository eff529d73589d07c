// Python bindings. Nothing is converted: a wrong type is an error, never a silent copy.

#include "blas.hpp"
#include "kernels.hpp"

namespace {

using free_gil = nb::call_guard<nb::gil_scoped_release>;

// Binds a function with all its N arguments unconverted.
template <size_t... I, typename F, typename... Extra>
void bind(nb::module_ &m, const char *name, F f, std::index_sequence<I...>, const Extra &...extra) {
    m.def(name, f, ((void)I, nb::arg().noconvert())..., extra...);
}

template <typename R, typename... A, typename... Extra>
void def(nb::module_ &m, const char *name, R (*f)(A...), const Extra &...extra) {
    bind(m, name, f, std::index_sequence_for<A...>{}, extra...);
}

}  // namespace

NB_MODULE(_compiled, m) {
    using namespace mixeff;
    m.doc() = "Compiled kernels of mixeff; their NumPy twins stand in twins.py.";
    // SciPy is imported when the kernels are first loaded, not when mixeff is.
    blas();
    m.def("level_order", &level_order, nb::arg().noconvert(), nb::arg(),
          nb::arg().noconvert().none());
    def(m, "level_gram", &level_gram);
    def(m, "pair_gram", &pair_gram);
    def(m, "fixed_gram", &fixed_gram);
    def(m, "eliminate", &eliminate, free_gil());
    def(m, "index_columns", &index_columns);
    def(m, "scatter_tail", &scatter_tail, free_gil());
    def(m, "scatter_stage", &scatter_stage, free_gil());
    def(m, "place_pairs", &place_pairs, free_gil());
    def(m, "factor_tail", &factor_tail, free_gil());
    def(m, "solve_tail", &solve_tail, free_gil());
    def(m, "invert_tail", &invert_tail, free_gil());
    def(m, "tail_traces", &tail_traces);
    def(m, "scale_inverse", &scale_inverse, free_gil());
    def(m, "sparse_order", &sparse_order);
    def(m, "sparse_pattern", &sparse_pattern);
    def(m, "sparse_places", &sparse_places);
    def(m, "sparse_scatter", &sparse_scatter, free_gil());
    def(m, "sparse_factor", &sparse_factor, free_gil());
    def(m, "sparse_solve", &sparse_solve, free_gil());
    def(m, "sparse_multiply", &sparse_multiply, free_gil());
    def(m, "sparse_invert", &sparse_invert, free_gil());
    def(m, "sparse_moved", &sparse_moved, free_gil());
    def(m, "sparse_scale", &sparse_scale, free_gil());
    def(m, "sparse_traces", &sparse_traces);
    def(m, "sparse_trace_directly", &sparse_trace_directly);
    def(m, "sparse_rows", &sparse_rows, free_gil());
    def(m, "inverse_tail", &inverse_tail, free_gil());
    def(m, "inverse_stage", &inverse_stage, free_gil());
    def(m, "level_quadratic", &level_quadratic, free_gil());
    def(m, "stage_traces", &stage_traces);
    def(m, "stage_inverse", &stage_inverse, free_gil());
    def(m, "stage_off_inverse", &stage_off_inverse, free_gil());
    def(m, "forward", &forward, free_gil());
    def(m, "backward", &backward, free_gil());
    def(m, "stage_information", &stage_information, free_gil());
    def(m, "symmetric_times", &symmetric_times, free_gil());
    def(m, "residual_scores", &residual_scores, free_gil());
    def(m, "weighted_levels", &weighted_levels, free_gil());
    def(m, "weighted_pairs", &weighted_pairs, free_gil());
    def(m, "weighted_fixed", &weighted_fixed, free_gil());
    def(m, "add_effects", &add_effects, free_gil());
    def(m, "add_quadratic", &add_quadratic, free_gil());
    def(m, "add_bilinear", &add_bilinear, free_gil());
    def(m, "level_products", &level_products, free_gil());
    def(m, "subtract_outer", &subtract_outer, free_gil());
    def(m, "small_fit", &small_fit);
    def(m, "small_fits", &small_fits);
    def(m, "small_arrays", &small_arrays);
    def(m, "term_units", &term_units);
    def(m, "fixed_units", &fixed_units);
    def(m, "nested_codes", &nested_codes);
    def(m, "small_point", &small_point);
    def(m, "small_unprofiled", &small_unprofiled);
    def(m, "response_products", &response_products);
    def(m, "rescale_roots", &rescale_roots);
    def(m, "subtract_fits", &subtract_fits);
}
