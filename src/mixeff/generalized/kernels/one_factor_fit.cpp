// Small models with one grouping factor from their rows to the optimum of Laplace's criterion: start,
// Newton's method, last steps. Many responses to one design, or many draws of its levels, in one
// call, shared out over threads; no digit of a fit depends on the others or on the threads.

#include <nanobind/stl/string.h>

#include <stdexcept>

#include "../../factor/kernels/arrays.hpp"
#include "../../factor/kernels/small_algebra.hpp"
#include "one_factor_search.hpp"

namespace mixeff::rows {

namespace {

using Draws = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// What all fits share.
struct Shared {
    std::string family;
    Pass run;
    const double *offset, *X, *Z, *weights;  // in the caller's order; weights may be null
    int64_t n;
    double dispersion;  // not above zero where it is to be estimated
    bool expected;
    const int32_t *entry_row, *entry_column;
    int entries;
    double tolerance;
    int most;
    std::vector<double> others;  // theta to try beside a zero, with one variance
};

// The rows level by level, but for response and guess.
LevelSorted sorted(const Shared &s, const int32_t *codes, int64_t levels, int p, int q) {
    LevelSorted out;
    out.p = p;
    out.q = q;
    out.pointer.assign(levels + 1, 0);
    for (int64_t i = 0; i < s.n; ++i) {
        if (codes[i] < 0 || codes[i] >= levels)
            throw std::invalid_argument("a code that is no level");
        ++out.pointer[codes[i] + 1];
    }
    for (int64_t l = 0; l < levels; ++l) out.pointer[l + 1] += out.pointer[l];
    std::vector<int64_t> next(out.pointer.begin(), out.pointer.end() - 1);
    out.place.resize(s.n);
    for (int64_t i = 0; i < s.n; ++i) out.place[next[codes[i]]++] = i;
    return out;
}

// The rows of the caller named in `place`, in that order.
void take(const double *from, const std::vector<int64_t> &place, int width,
          std::vector<double> &to) {
    to.resize(place.size() * width);
    for (size_t i = 0; i < place.size(); ++i)
        std::copy_n(from + place[i] * width, width, to.data() + i * width);
}

// The levels drawn, one after the other; one drawn twice counts as two.
LevelSorted drawn(const LevelSorted &whole, const int64_t *levels, int64_t count) {
    LevelSorted out;
    out.p = whole.p;
    out.q = whole.q;
    out.pointer.assign(1, 0);
    for (int64_t l = 0; l < count; ++l) {
        out.place.insert(out.place.end(), whole.place.begin() + whole.pointer[levels[l]],
                         whole.place.begin() + whole.pointer[levels[l] + 1]);
        out.pointer.push_back(int64_t(out.place.size()));
    }
    return out;
}

void fill(const Shared &s, const double *y, const double *guess, LevelSorted &data) {
    take(y, data.place, 1, data.y);
    take(guess, data.place, 1, data.eta);
    take(s.offset, data.place, 1, data.offset);
    take(s.X, data.place, data.p, data.X);
    take(s.Z, data.place, data.q, data.Z);
    if (s.weights) take(s.weights, data.place, 1, data.w);
}

// Smallest eigenvalue of the p x p square; infinite for an empty one.
double least_eigenvalue(std::vector<double> square, int p) {
    std::vector<double> values(p), vectors(size_t(p) * p);
    eigen_symmetric(square.data(), p, values.data(), vectors.data());
    double least = endless;
    for (double v : values) least = v < least || std::isnan(v) ? v : least;
    return least;
}

// Where one fit is written; eta may be null. In the order of Searches in small_model.py.
struct Out {
    double *at, *value, *gradient, *hessian, *u, *scores, *Xi, *eta, *start, *scale, *decrease;
    int64_t *evaluations;
    double *least_information, *least_weight;
    int8_t *end;
};

// Predictors in the caller's order if they are wanted, and the least observed weight.
void finish(const LevelSorted &data, const OneFactor &f, const Place &place, Out &out) {
    const int q = data.q, p = data.p;
    const int64_t n = data.rows();
    std::vector<double> Lambda(size_t(q) * q, 0.0), eta(n), values(size_t(n) * level_parts[1]);
    for (int j = 0; j < f.entries; ++j)
        Lambda[f.entry_row[j] * q + f.entry_column[j]] = place.at[j];
    const double *beta = place.at.data() + f.entries;
    for (int64_t l = 0; l < data.levels(); ++l) {
        std::vector<double> b(q, 0.0);
        for (int a = 0; a < q; ++a)
            for (int c = 0; c < q; ++c) b[a] += Lambda[a * q + c] * place.u[l * q + c];
        for (int64_t i = data.pointer[l]; i < data.pointer[l + 1]; ++i) {
            double s = data.offset[i];
            for (int c = 0; c < p; ++c) s += data.X[i * p + c] * beta[c];
            for (int a = 0; a < q; ++a) s += data.Z[i * q + a] * b[a];
            eta[i] = s;
        }
    }
    Rows pass{data.y.data(), eta.data(), data.w.empty() ? nullptr : data.w.data(), n, {}, 1};
    pass.out[weight] = values.data();
    f.run(1, pass, f.set);
    double least = endless;
    for (int64_t i = 0; i < n; ++i) {
        if (out.eta) out.eta[data.place[i]] = eta[i];
        if (!(values[i] >= least)) least = values[i];
    }
    *out.least_weight = least;
}

void write(const std::vector<double> &values, double *to) {
    std::copy(values.begin(), values.end(), to);
}

// One fit; `end` says what was reached.
void fit(const Shared &s, LevelSorted &data, double shift, int threads, Out out) {
    const bool dispersed = !(s.dispersion > 0.0);
    Dispersions settings(s.family, data.y, data.w);
    FixedStart first(data, s.run, settings, s.dispersion);
    if (!first.find()) return;
    write(first.beta, out.start);
    if (dispersed) out.start[data.p] = first.dispersion;
    *out.scale = first.scale;
    first.rescale();
    std::vector<double> start(s.entries), square;
    first.moments(s.entry_row, s.entry_column, s.entries, start.data());
    start.insert(start.end(), first.beta.begin(), first.beta.end());
    if (dispersed) start.push_back(std::log(first.dispersion));
    const OneFactor f{s.run, settings.at(first.dispersion), data.y.data(),
                      data.w.empty() ? nullptr : data.w.data(), data.offset.data(), data.X.data(),
                      data.Z.data(), data.pointer.data(), data.levels(), data.p, dispersed,
                      s.expected, nullptr, nullptr, s.entry_row, s.entry_column, s.entries, false,
                      false, nullptr, nullptr, nullptr, nullptr, nullptr, 0};
    NewtonSearch search(data, f, settings, shift, s.tolerance, s.most, threads);
    if (!search.find(start)) return;
    End end = End::inside;  // with several variances the caller looks at them
    if (s.entries == 1) {
        std::vector<std::vector<double>> others(s.others.size(), start);
        for (size_t i = 0; i < s.others.size(); ++i) others[i][0] = s.others[i];
        end = search.settle(others);
    }
    if (end == End::nowhere) return;
    const Place &best = search.here;
    finish(data, search.criterion(), best, out);
    // Observed weights of both signs need not give a positive model.
    if (!search.fixed_information(*out.least_weight < 0.0, square)) return;
    *out.least_information = least_eigenvalue(square, data.p);
    write(best.at, out.at);
    write(best.gradient, out.gradient);
    write(best.hessian, out.hessian);
    write(best.u, out.u);
    write(best.scores, out.scores);
    write(best.Xi, out.Xi);
    *out.value = best.value;
    *out.decrease = best.decrease;
    *out.evaluations = search.evaluations;
    *out.end = int8_t(end);
}

// The arrays of all fits.
class Results {
  public:
    // k, p, d parameters of Lambda, fixed effects and dispersion.
    Results(size_t m, size_t n, size_t k, size_t p, size_t d, size_t J, size_t q)
        : n(n), c(k + p + d), p(p + d), modes(J * q), square(q * q) {
        add({m, c}, all.at);
        add({m}, all.value);
        add({m, c}, all.gradient);
        add({m, c, c}, all.hessian);
        add({m, J, q}, all.u);
        add({m, J, q}, all.scores);
        add({m, q, q}, all.Xi);
        add({m, n}, all.eta);
        add({m, this->p}, all.start);
        add({m}, all.scale);
        add({m}, all.decrease);
        add({m}, all.evaluations);
        add({m}, all.least_information);
        add({m}, all.least_weight);
        add({m}, all.end);
    }

    Out of(size_t i) const {
        return {all.at + i * c, all.value + i, all.gradient + i * c, all.hessian + i * c * c,
                all.u + i * modes, all.scores + i * modes, all.Xi + i * square,
                n ? all.eta + i * n : nullptr, all.start + i * p, all.scale + i, all.decrease + i,
                all.evaluations + i, all.least_information + i, all.least_weight + i,
                all.end + i};
    }

    nb::object tuple() const { return nb::tuple(list); }

  private:
    template <typename T>
    void add(std::vector<size_t> shape, T *&data) {
        list.append(nb::cast(owned<T>(std::move(shape), data)));
    }

    const size_t n, c, p, modes, square;
    Out all{};
    nb::list list;
};

nb::object one_factor_fits(const std::string &family, const std::string &link, Mat Y, Vec weights,
                           Vec offset, Mat X, Mat Z, Codes codes, int64_t levels, Mat guess,
                           double dispersion, bool expected, Codes entry_row, Codes entry_column,
                           Draws draws, Vec shift, Vec others, double tolerance, int most,
                           int threads) {
    const Pass run = pass_of(family, link);
    const size_t n = Y.shape(1), q = Z.shape(1), p = X.shape(1), k = entry_row.size();
    const bool drawing = draws.shape(0) > 0;
    const size_t m = drawing ? draws.shape(0) : Y.shape(0);
    if (!run || q < 1 || q > 6) throw std::invalid_argument("no compiled criterion for this model");
    if (!n || levels < 1 || offset.size() != n || X.shape(0) != n || Z.shape(0) != n ||
        codes.size() != n || guess.shape(0) != Y.shape(0) || guess.shape(1) != n ||
        (weights.size() && weights.size() != n) || entry_column.size() != k ||
        shift.size() != m || (drawing && (Y.shape(0) != 1 || !draws.shape(1))))
        throw std::invalid_argument("arrays of shapes that do not fit");
    for (size_t j = 0; j < k; ++j)
        if (entry_row.data()[j] < 0 || entry_row.data()[j] >= int(q) ||
            entry_column.data()[j] < 0 || entry_column.data()[j] >= int(q))
            throw std::invalid_argument("an entry outside Lambda");
    for (size_t j = 0; j < draws.size(); ++j)
        if (draws.data()[j] < 0 || draws.data()[j] >= levels)
            throw std::invalid_argument("a draw of what is no level");
    const Shared shared{family, run, offset.data(), X.data(), Z.data(),
                        weights.size() ? weights.data() : nullptr, int64_t(n), dispersion,
                        expected, entry_row.data(), entry_column.data(), int(k), tolerance, most,
                        std::vector<double>(others.data(), others.data() + others.size())};
    const LevelSorted whole = sorted(shared, codes.data(), levels, int(p), int(q));
    const size_t J = drawing ? draws.shape(1) : size_t(levels);
    const size_t d = dispersion > 0.0 ? 0 : 1;
    const Results results(m, drawing ? 0 : n, k, p, d, J, q);
    {
        nb::gil_scoped_release free;
        const int within = m > 1 ? 1 : threads;
        share(int64_t(m), threads, 1, [&](int64_t i) {
            LevelSorted data =
                drawing ? drawn(whole, draws.data() + i * J, int64_t(J)) : whole;
            const int64_t row = drawing ? 0 : i * int64_t(n);
            fill(shared, Y.data() + row, guess.data() + row, data);
            if (!data.rows()) return;
            fit(shared, data, shift.data()[i], within, results.of(size_t(i)));
        });
    }
    return results.tuple();
}

}  // namespace

void bind_one_factor_fit(nb::module_ &m) {
    using a = nb::arg;
    m.def("one_factor_fits", &one_factor_fits, a(), a(), a().noconvert(), a().noconvert(),
          a().noconvert(), a().noconvert(), a().noconvert(), a().noconvert(), a(),
          a().noconvert(), a(), a(), a().noconvert(), a().noconvert(), a().noconvert(),
          a().noconvert(), a().noconvert(), a(), a(), a());
}

}  // namespace mixeff::rows

