#include "blas.hpp"

#include <nanobind/nanobind.h>

namespace nb = nanobind;

namespace mixeff {

namespace {

template <typename F>
void load(nb::handle table, const char *name, F &target) {
    nb::object capsule = table[name];
    const char *signature = PyCapsule_GetName(capsule.ptr());
    void *pointer = PyCapsule_GetPointer(capsule.ptr(), signature);
    if (!pointer) throw nb::python_error();
    target = reinterpret_cast<F>(pointer);
}

Blas load_all() {
    Blas found{};
    nb::object b = nb::module_::import_("scipy.linalg.cython_blas").attr("__pyx_capi__");
    nb::object l = nb::module_::import_("scipy.linalg.cython_lapack").attr("__pyx_capi__");
    load(b, "dtrsm", found.dtrsm);
    load(b, "dtrmm", found.dtrmm);
    load(b, "dsyrk", found.dsyrk);
    load(b, "dsymm", found.dsymm);
    load(b, "dgemm", found.dgemm);
    load(l, "dlauum", found.dlauum);
    load(l, "dtrtri", found.dtrtri);
    load(l, "dpotrf", found.dpotrf);
    return found;
}

}  // namespace

const Blas &blas() {
    // Not a function-local static: its guard could deadlock with the GIL during the import.
    static Blas found;
    static bool ready = false;
    if (!ready) {
        found = load_all();
        ready = true;
    }
    return found;
}

}  // namespace mixeff
