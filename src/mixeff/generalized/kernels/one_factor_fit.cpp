// A small model with one grouping factor from its rows to the optimum of Laplace's criterion in
// one call: start, Newton's method within a trust region, last steps. The search is that of
// optimize/newton.py as long as all goes well (a positive definite Hessian at every point kept);
// whatever else may happen is left to it.

#include <nanobind/stl/string.h>

#include <stdexcept>

#include "../../factor/kernels/arrays.hpp"
#include "../../factor/kernels/small_algebra.hpp"
#include "fixed_start.hpp"

namespace mixeff::rows {

namespace {

// As in optimize/newton.py and generalized/one_factor.py.
constexpr double definite = 1e-8;
constexpr double shrink = 0.25, expand = 3.0;
constexpr int polishing = 5;
constexpr double polished = 1e-11;
constexpr double endless = std::numeric_limits<double>::infinity();

// The criterion at one point, with the factor of its Hessian scaled to a unit diagonal.
struct Place {
    std::vector<double> at, u, scores, gradient, hessian, Xi, root, factor, step;
    double value = endless, decrease = endless, length = endless;
};

double norm(const std::vector<double> &x) {
    double s = 0.0;
    for (double v : x) s += v * v;
    return std::sqrt(s);
}

class NewtonSearch {
  public:
    NewtonSearch(const LevelSorted &data, OneFactor f, double shift, double tolerance, int most,
                 int threads)
        : f(f), q(data.q), m(f.parameters()), threads(threads), most(most), shift(shift),
          tolerance(tolerance), Lambda(size_t(data.q) * data.q, 0.0),
          last(size_t(data.levels()) * data.q, 0.0) {}

    // Whether an interior optimum was found from here; it is `here` then.
    bool find(const std::vector<double> &start) {
        here.at = start;
        if (!evaluate(here) || !model(here)) return false;
        double radius = std::max(1.0, norm(start));
        for (int turn = 0; turn < most; ++turn) {
            if (here.decrease < std::max(tolerance, 1e-13 * std::fabs(here.value))) {
                polish();
                return true;
            }
            const std::vector<double> step = within(here, radius);
            const double size = norm(step), predicted = gain(here, step);
            Place trial;
            trial.at = moved(here, step);
            const bool there = evaluate(trial);
            const double ratio = there ? (here.value - trial.value) / predicted : -endless;
            if (ratio < 0.25)
                radius = shrink * size;
            else if (ratio > 0.5 && size > 0.8 * radius)
                radius *= expand;
            if (ratio > 1e-4) {
                if (!model(trial)) return false;
                std::swap(here, trial);
            } else if (!(radius >= 1e-10 * (1.0 + norm(here.at)))) {
                return false;
            }
        }
        return false;
    }

    // X'V^-1 X of the working linear model at the optimum.
    bool fixed_information(std::vector<double> &out) {
        set_point(here);
        std::vector<double> u = here.u, scores(here.u.size());
        OneFactor own = f;
        own.model = true;
        own.u = u.data();
        own.scores = scores.data();
        LevelSums sums;
        if (run_all(own, q, threads, sums) != Search::found) return false;
        mirror_square(sums.XX, f.p);
        out.swap(sums.XX);
        return true;
    }

    Place here;
    int evaluations = 0;

  private:
    void set_point(const Place &place) {
        std::fill(Lambda.begin(), Lambda.end(), 0.0);
        for (int j = 0; j < f.entries; ++j)
            Lambda[f.entry_row[j] * q + f.entry_column[j]] = place.at[j];
        f.Lambda = Lambda.data();
        f.beta = place.at.data() + f.entries;
    }

    // Value, gradient and Hessian; false where they cannot be had.
    bool evaluate(Place &place) {
        ++evaluations;
        set_point(place);
        place.u = last;
        place.scores.resize(last.size());
        f.u = place.u.data();
        f.scores = place.scores.data();
        LevelSums sums;
        if (run_all(f, q, threads, sums) != Search::found || !std::isfinite(sums.value))
            return false;
        entry_slopes(f, q, sums);
        mirror_square(sums.hessian, m);
        last = place.u;
        place.value = sums.value + shift;
        place.gradient.swap(sums.gradient);
        place.hessian.swap(sums.hessian);
        place.Xi.swap(sums.Xi);
        return true;
    }

    // The Newton step and what it is predicted to gain; false unless the Hessian is positive
    // definite and no parameter is that of a vanished column of Lambda.
    bool model(Place &place) const {
        place.root.resize(m);
        for (int j = 0; j < m; ++j) {
            const double d = place.hessian[size_t(j) * m + j];
            if (!(d > 0.0) || (place.at[j] == 0.0 && place.gradient[j] == 0.0)) return false;
            place.root[j] = std::sqrt(d);
        }
        std::vector<double> less = scaled(place, -definite);
        if (!factorize(less, m, 0.0)) return false;
        place.factor = scaled(place, 0.0);
        if (!factorize(place.factor, m, 0.0)) return false;
        place.step.resize(m);
        for (int j = 0; j < m; ++j) place.step[j] = -place.gradient[j] / place.root[j];
        solve_factored(place.factor, m, place.step.data());
        place.decrease = 0.0;
        for (int j = 0; j < m; ++j) {
            place.step[j] /= place.root[j];
            place.decrease -= 0.5 * place.gradient[j] * place.step[j];
        }
        place.length = norm(place.step);
        return std::isfinite(place.decrease);
    }

    std::vector<double> scaled(const Place &place, double more) const {
        std::vector<double> out(size_t(m) * m);
        for (int i = 0; i < m; ++i)
            for (int j = 0; j < m; ++j)
                out[size_t(i) * m + j] =
                    place.hessian[size_t(i) * m + j] / (place.root[i] * place.root[j]) +
                    (i == j ? more : 0.0);
        return out;
    }

    // Minimizer of the quadratic model within the radius (More and Sorensen 1983).
    std::vector<double> within(const Place &place, double radius) const {
        if (place.length <= radius) return place.step;
        std::vector<double> s(m), half(m), H;
        double size = place.length, shifted = 0.0;
        for (int turn = 0; turn < 50; ++turn) {
            H = place.hessian;
            for (int j = 0; j < m; ++j) H[size_t(j) * m + j] += shifted;
            if (!factorize(H, m, 0.0)) break;  // never: the Hessian is positive definite
            for (int j = 0; j < m; ++j) s[j] = -place.gradient[j];
            solve_factored(H, m, s.data());
            size = norm(s);
            if (size <= radius * 1.01) break;
            half = s;
            solve_factored(H, m, half.data());
            double drop = 0.0;
            for (int j = 0; j < m; ++j) drop += s[j] * half[j];
            shifted += size * size / drop * (size / radius - 1.0);
        }
        const double part = std::min(1.0, radius / size);
        for (double &v : s) v *= part;
        return s;
    }

    double gain(const Place &place, const std::vector<double> &step) const {
        double s = 0.0;
        for (int i = 0; i < m; ++i) {
            double bend = 0.0;
            for (int j = 0; j < m; ++j) bend += place.hessian[size_t(i) * m + j] * step[j];
            s -= step[i] * (place.gradient[i] + 0.5 * bend);
        }
        return s;
    }

    std::vector<double> moved(const Place &place, const std::vector<double> &step) const {
        std::vector<double> out = place.at;
        for (int j = 0; j < m; ++j) out[j] += step[j];
        return out;
    }

    // Last steps, kept while they shrink what is left to gain by the gradient.
    void polish() {
        const double least = polished * std::max(tolerance, 1e-9 * std::fabs(here.value));
        for (int turn = 0; turn < polishing && here.decrease > least; ++turn) {
            Place trial;
            trial.at = moved(here, within(here, 0.1 * (1.0 + norm(here.at))));
            if (!evaluate(trial)) return;
            if (!(trial.value <= here.value + 1e-13 * (1.0 + std::fabs(here.value)))) return;
            if (!model(trial) || trial.decrease >= here.decrease) return;
            std::swap(here, trial);
        }
    }

    OneFactor f;
    const int q, m, threads, most;
    const double shift, tolerance;
    std::vector<double> Lambda, last;
};

LevelSorted sorted(Vec y, Vec weights, Vec offset, Mat X, Mat Z, Codes codes, int64_t levels,
                   Vec eta) {
    const int64_t n = int64_t(y.size());
    const int p = int(X.shape(1)), q = int(Z.shape(1));
    LevelSorted out;
    out.p = p;
    out.q = q;
    out.pointer.assign(levels + 1, 0);
    for (int64_t i = 0; i < n; ++i) {
        if (codes.data()[i] < 0 || codes.data()[i] >= levels)
            throw std::invalid_argument("a code that is no level");
        ++out.pointer[codes.data()[i] + 1];
    }
    for (int64_t l = 0; l < levels; ++l) out.pointer[l + 1] += out.pointer[l];
    std::vector<int64_t> next(out.pointer.begin(), out.pointer.end() - 1);
    out.place.resize(n);
    for (int64_t i = 0; i < n; ++i) out.place[next[codes.data()[i]]++] = i;
    const auto take = [&](const double *from, int width, std::vector<double> &to) {
        to.resize(size_t(n) * width);
        for (int64_t i = 0; i < n; ++i)
            std::copy_n(from + out.place[i] * width, width, to.data() + i * width);
    };
    take(y.data(), 1, out.y);
    if (weights.size()) take(weights.data(), 1, out.w);
    take(offset.data(), 1, out.offset);
    take(eta.data(), 1, out.eta);
    take(X.data(), p, out.X);
    take(Z.data(), q, out.Z);
    return out;
}

// Smallest eigenvalue of the p x p square; infinite for an empty one.
double least_eigenvalue(std::vector<double> square, int p) {
    std::vector<double> values(p), vectors(size_t(p) * p);
    eigen_symmetric(square.data(), p, values.data(), vectors.data());
    double least = endless;
    for (double v : values) least = v < least || std::isnan(v) ? v : least;
    return least;
}

nb::object array(const std::vector<double> &values, std::vector<size_t> shape) {
    double *data;
    auto out = owned<double>(shape, data);
    std::copy(values.begin(), values.end(), data);
    return nb::cast(out);
}

struct Fitted {
    bool found = false;
    double scale = 1.0, least_information = 0.0, least_weight = 0.0;
    std::vector<double> beta, eta;  // of the start; predictors in the caller's order
};

// Predictors in the caller's order, and the least observed weight.
void finish(const LevelSorted &data, OneFactor f, const Place &place, Fitted &out) {
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
    out.least_weight = endless;
    out.eta.resize(n);
    for (int64_t i = 0; i < n; ++i) {
        out.eta[data.place[i]] = eta[i];
        if (!(values[i] >= out.least_weight)) out.least_weight = values[i];
    }
}

nb::object one_factor_fit(const std::string &family, const std::string &link, Vec y, Vec weights,
                          Vec offset, Mat X, Mat Z, Codes codes, int64_t levels, Vec eta,
                          int64_t top, double dispersion, bool expected, Codes entry_row,
                          Codes entry_column, double shift, double tolerance, int most,
                          int threads) {
    const Pass run = pass_of(family, link);
    const size_t n = y.size(), q = Z.shape(1), k = entry_row.size();
    if (!run || q < 1 || q > 6) throw std::invalid_argument("no compiled criterion for this model");
    if (!n || levels < 1 || offset.size() != n || X.shape(0) != n || Z.shape(0) != n ||
        codes.size() != n || eta.size() != n || (weights.size() && weights.size() != n) ||
        entry_column.size() != k)
        throw std::invalid_argument("arrays of shapes that do not fit");
    for (size_t j = 0; j < k; ++j)
        if (entry_row.data()[j] < 0 || entry_row.data()[j] >= int(q) ||
            entry_column.data()[j] < 0 || entry_column.data()[j] >= int(q))
            throw std::invalid_argument("an entry outside Lambda");
    LevelSorted data = sorted(y, weights, offset, X, Z, codes, levels, eta);
    const bool shaped = family == "negative_binomial" && top < int64_t(n);
    const Tables tables(shaped ? top : -1, dispersion, true);
    const Setting set{dispersion, std::log(dispersion), std::log1p(dispersion), false,
                      shaped ? tables.rising.data() : nullptr,
                      shaped ? tables.beyond_log.data() : nullptr,
                      shaped ? tables.beyond_both.data() : nullptr};
    OneFactor f{run, set, data.y.data(), data.w.empty() ? nullptr : data.w.data(),
                data.offset.data(), data.X.data(), data.Z.data(), data.pointer.data(),
                data.levels(), data.p, false, expected, nullptr, nullptr, entry_row.data(),
                entry_column.data(), int(k), false, false, nullptr, nullptr, nullptr, nullptr,
                nullptr, 0};
    Fitted out;
    NewtonSearch search(data, f, shift, tolerance, most, threads);
    {
        nb::gil_scoped_release free;
        FixedStart first(data, run, set);
        if (first.find()) {
            out.scale = first.scale;
            out.beta = first.beta;
            first.rescale();
            std::vector<double> start(k + data.p), square;
            first.moments(entry_row.data(), entry_column.data(), int(k), start.data());
            std::copy(first.beta.begin(), first.beta.end(), start.begin() + k);
            out.found = search.find(start) && search.fixed_information(square);
            if (out.found) {
                out.least_information = least_eigenvalue(square, data.p);
                finish(data, f, search.here, out);
            }
        }
    }
    if (!out.found) return nb::none();
    const Place &best = search.here;
    const size_t m = k + data.p, J = size_t(data.levels());
    return nb::make_tuple(array(best.at, {m}), best.value, array(best.gradient, {m}),
                          array(best.hessian, {m, m}), array(best.u, {J, q}),
                          array(best.scores, {J, q}), array(best.Xi, {q, q}),
                          array(out.eta, {n}), array(out.beta, {size_t(data.p)}), out.scale,
                          best.decrease, search.evaluations, out.least_information,
                          out.least_weight);
}

}  // namespace

void bind_one_factor_fit(nb::module_ &m) {
    using a = nb::arg;
    m.def("one_factor_fit", &one_factor_fit, a(), a(), a().noconvert(), a().noconvert(),
          a().noconvert(), a().noconvert(), a().noconvert(), a().noconvert(), a(),
          a().noconvert(), a(), a(), a(), a().noconvert(), a().noconvert(), a(), a(), a(), a());
}

}  // namespace mixeff::rows
