// Python bindings. Nothing is converted: a wrong type is an error, never a silent copy.

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "../../factor/kernels/arrays.hpp"
#include "../../factor/kernels/blas.hpp"
#include "row_pass.hpp"

namespace mixeff::rows {

Pass pass_of(const std::string &family, const std::string &link) {
    if (family == "binomial") return binomial_pass(link.c_str());
    if (family == "poisson") return poisson_pass(link.c_str());
    if (family == "gamma") return gamma_pass(link.c_str());
    if (family == "inverse_gaussian") return inverse_gaussian_pass(link.c_str());
    if (family == "gaussian") return gaussian_pass(link.c_str());
    if (family == "negative_binomial") return negative_binomial_pass(link.c_str());
    if (family == "negative_binomial1") return negative_binomial1_pass(link.c_str());
    return nullptr;
}

Tables::Tables(int64_t top, double shape, bool slopes) : rising(top + 1) {
    const double log_shape = std::log(shape);
    for (int64_t y = 0; y <= top; ++y) rising[y] = log_gamma_ratio(double(y), shape, log_shape);
    if (!slopes) return;
    beyond_log.resize(top + 1);
    beyond_both.resize(top + 1);
    for (int64_t y = 0; y <= top; ++y) {
        const Ratio ratio = gamma_ratio(double(y), shape);
        beyond_log[y] = ratio.beyond_log;
        beyond_both[y] = ratio.beyond_both;
    }
}

namespace {

bool has_pass(const std::string &family, const std::string &link) {
    return pass_of(family, link) != nullptr;
}

nb::tuple row_pass(const std::string &family, const std::string &link, Vec y, Vec eta, Vec weights,
                   double dispersion, bool expected, int64_t top, int level,
                   std::vector<VecOut> out, int threads) {
    const Pass run = pass_of(family, link);
    if (!run) throw std::invalid_argument("this family and link have no compiled pass");
    Rows rows{y.data(), eta.data(), weights.size() ? weights.data() : nullptr,
              static_cast<int64_t>(y.size()), {}, threads};
    if (eta.size() != y.size() || (weights.size() && weights.size() != y.size()) ||
        out.size() != parts || level < 0 || level > 3)
        throw std::invalid_argument("arrays of different lengths, or no such level");
    for (int j = 0; j < parts; ++j) {
        if (out[j].size() == 0) continue;
        if (out[j].size() != y.size() || j >= level_parts[level])
            throw std::invalid_argument("an output of another length, or beyond the level");
        rows.out[j] = out[j].data();
    }
    Sums sums;
    {
        nb::gil_scoped_release free;
        const bool shaped = family == "negative_binomial" && top < rows.n;
        const Tables tables(shaped ? top : -1, dispersion, level >= 2);
        const Setting set{dispersion,
                          std::log(dispersion),
                          std::log1p(dispersion),
                          expected,
                          shaped ? tables.rising.data() : nullptr,
                          shaped && level >= 2 ? tables.beyond_log.data() : nullptr,
                          shaped && level >= 2 ? tables.beyond_both.data() : nullptr};
        sums = run(level, rows, set);
    }
    return nb::make_tuple(sums.loglik, sums.loglik_r, sums.loglik_rr);
}

}  // namespace

void bind_one_factor(nb::module_ &m);
void bind_one_factor_fit(nb::module_ &m);
void bind_mode_search(nb::module_ &m);

}  // namespace mixeff::rows

NB_MODULE(_rows, m) {
    using namespace mixeff::rows;
    using a = nb::arg;
    // SciPy is imported with the kernels, as by those of the factor.
    mixeff::blas();
    m.doc() = "One pass over the rows of a generalized model; the twin is Family.row_terms.";
    m.def("has_pass", &has_pass, a(), a());
    m.def("row_pass", &row_pass, a(), a(), a().noconvert(), a().noconvert(), a().noconvert(), a(),
          a(), a(), a(), a().noconvert(), a());
    bind_one_factor(m);
    bind_one_factor_fit(m);
    bind_mode_search(m);
}
