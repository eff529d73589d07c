// Python bindings. Nothing is converted: a wrong type is an error, never a silent copy.

#include "columns.hpp"

NB_MODULE(_columns, m) {
    using namespace mixeff;
    using a = nb::arg;
    m.doc() = "Compiled kernels on columns of a data frame; their NumPy twins stand in twins.py.";
    m.def("column_moments", &column_moments, a().noconvert(), a().noconvert(), a());
    m.def("regress", &regress, a().noconvert(), a().noconvert(), a().noconvert(), a().noconvert(),
          a().noconvert(), a(), a().noconvert(), a().noconvert(), a(), a());
    m.def("plainly_full_rank", &plainly_full_rank, a().noconvert(), a().noconvert(), a(), a(), a());
    m.def("standard_basis", &standard_basis, a().noconvert(), a().noconvert(), a(), a(),
          a().noconvert(), a());
    m.def("used_levels", &used_levels, a().noconvert(), a());
    m.def("place_integers", &place_integers, a().noconvert(), a(), a());
    m.def("index_numbers", &index_numbers, a().noconvert());
    m.def("combine_codes", &combine_codes, a().noconvert(), a(), a().noconvert(), a());
}
