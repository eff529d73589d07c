// Conditional modes of a model with any grouping factors in one call: the steps and the rules of
// generalized/pirls.py, which takes over where they come to nothing here.

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "penalized.hpp"
#include "row_pass.hpp"

namespace mixeff::rows {

namespace {

// As in pirls.py.
constexpr double stalled = 1e-13, endless = 1e-4, surplus = 0.01;
constexpr int most_steps = 100, most_halvings = 30, chords = 4;

// With more rows the arrays of the places are given back after every search.
constexpr int64_t kept_rows = 100000;

constexpr double infinite = std::numeric_limits<double>::infinity();

// Random effects (spherical, by grouping factors), fixed effects, linear predictor, the rows there.
struct Place {
    std::vector<double> u, beta, eta, score, weight;
    Vec scores, weights;
    VecOut predictor;
    double objective = infinite;

    Place(size_t random, size_t p, size_t n)
        : u(random), beta(p), eta(n), score(n), weight(n), scores(score.data(), {n}),
          weights(weight.data(), {n}), predictor(eta.data(), {n}) {}
};

class ModeSearch : public Penalized {
  public:
    ModeSearch(const std::string &family, const std::string &link, Vec y, Vec weights, Vec offset,
               Mat X, int64_t top, bool joint, int threads)
        : Penalized(X, threads), run(pass_of(family, link)), y(y), prior(weights), offset(offset),
          top(family == "negative_binomial" && top < int64_t(y.size()) ? top : -1), joint(joint) {
        const size_t n = X.shape(0);
        if (!run || y.size() != n || offset.size() != n || (weights.size() && weights.size() != n))
            throw std::invalid_argument("no compiled pass, or arrays of different lengths");
    }

    // After all grouping factors are known.
    void lay_out() {
        step.assign(size_t(random()), 0.0);
        right = step;
        effects = step;
        products = step;
        change.assign(size_t(p()), 0.0);
        X_scores = change;
        of_group.clear();
        effects_of.clear();
        for (const GroupArrays &g : groups) {
            const size_t J = size_t(g.levels()), q = size_t(g.columns());
            of_group.emplace_back(products.data() + g.first, std::initializer_list<size_t>{J, q});
            effects_of.emplace_back(effects.data() + g.first, std::initializer_list<size_t>{J, q});
        }
    }

    nb::tuple find(const Lambdas &Lambda, const Lambdas &earlier, Vec beta, Vec fixed,
                   double dispersion, double constant, const std::vector<Mat> &start, double tolerance,
                   const std::vector<MatOut> &u, VecOut beta_out, VecOut eta, VecOut score,
                   VecOut weight) {
        check(Lambda);
        if (!earlier.empty()) check(earlier);
        check_effects(start);
        check_effects(u);
        const size_t rows = size_t(n());
        if (of_group.size() != groups.size() || beta.size() != size_t(p()) || beta_out.size() != size_t(p()) ||
            eta.size() != rows || (!joint && fixed.size() != rows) || score.size() != rows || weight.size() != rows)
            throw std::invalid_argument("arrays of shapes that do not fit");
        at = 0;
        while (places.size() < 3) places.emplace_back(size_t(random()), size_t(p()), size_t(n()));
        bool found = false;
        double logdet = 0.0;
        {
            nb::gil_scoped_release free;
            const Tables tables(top, dispersion, false);
            set = Setting{dispersion, std::log(dispersion), std::log1p(dispersion), false,
                          top >= 0 ? tables.rising.data() : nullptr, nullptr, nullptr};
            shift = constant;
            found = search(Lambda, earlier, beta.data(), fixed.data(), start, tolerance, logdet);
            const Place &best = here();
            for (size_t g = 0; g < groups.size(); ++g)
                std::copy_n(best.u.data() + groups[g].first, groups[g].size(), u[g].data());
            std::copy(best.beta.begin(), best.beta.end(), beta_out.data());
            std::copy(best.eta.begin(), best.eta.end(), eta.data());
            std::copy(best.score.begin(), best.score.end(), score.data());
            std::copy(best.weight.begin(), best.weight.end(), weight.data());
        }
        const double objective = here().objective;
        if (n() > kept_rows) places.clear();
        return nb::make_tuple(found, objective, logdet, steps, observed);
    }

    nb::tuple factor(Vec weight, const Lambdas &Lambda) {
        check(Lambda);
        if (weight.size() != size_t(n())) throw std::invalid_argument("a weight for every row");
        bool good;
        double logdet = 0.0;
        {
            nb::gil_scoped_release free;
            good = factorize(weight, Lambda, logdet) == Definite::yes;
        }
        return nb::make_tuple(good, logdet);
    }

  private:
    Place &here() { return places[at]; }
    Place &trial() { return places[(at + 1) % 3]; }
    Place &full() { return places[(at + 2) % 3]; }
    void accept() { at = (at + 1) % 3; }

    template <class Arrays>
    void check_effects(const Arrays &arrays) const {
        bool fits = arrays.size() == groups.size();
        for (size_t g = 0; fits && g < groups.size(); ++g)
            fits = int64_t(arrays[g].size()) == groups[g].size();
        if (!fits) throw std::invalid_argument("one (J, q) array per grouping factor");
    }

    bool search(const Lambdas &Lambda, const Lambdas &earlier, const double *beta,
                const double *fixed, const std::vector<Mat> &start, double tolerance, double &logdet) {
        if (!begin(Lambda, beta, fixed, start)) return false;
        const Lambdas *factored = earlier.empty() ? nullptr : &earlier;
        double previous = infinite;
        for (steps = 1; steps <= most_steps; ++steps) {
            if (factored) chord(Lambda, *factored, previous, surplus * tolerance);
            if (!factor_here(Lambda, logdet)) return false;
            factored = &Lambda;
            const double length = newton(Lambda, Lambda, here());
            const bool rounding = length <= stalled && length >= previous;
            const bool last = joint && steps == most_steps && length <= endless;
            if (length <= tolerance || rounding || last) return true;
            if (!descend(Lambda, length)) return false;
            previous = length;
        }
        return false;
    }

    // The start: the effects given, or none where the likelihood cannot be computed there.
    bool begin(const Lambdas &Lambda, const double *beta, const double *fixed,
               const std::vector<Mat> &start) {
        Place &place = here();
        std::copy_n(beta, p(), place.beta.data());
        known = fixed;
        for (size_t g = 0; g < groups.size(); ++g)
            std::copy_n(start[g].data(), groups[g].size(), place.u.data() + groups[g].first);
        evaluate(Lambda, place);
        if (std::isfinite(place.objective)) return true;
        std::fill(place.u.begin(), place.u.end(), 0.0);
        evaluate(Lambda, place);
        return std::isfinite(place.objective);
    }

    // Steps with the factor at hand for as long as they converge fast.
    void chord(const Lambdas &Lambda, const Lambdas &factored, double previous, double target) {
        for (;;) {
            const double length = newton(Lambda, factored, here()), rate = length / previous;
            const bool fast = length * std::pow(rate, chords) <= target;
            if (!(target < length && length < infinite && fast)) return;
            Place &next = trial();
            add_step(here(), next);
            evaluate(Lambda, next);
            if (!(next.objective <= allowed())) return;
            accept();
            previous = length;
            if (0.0 < length * rate && length * rate <= target) return;
        }
    }

    // `step` and `change` at a place; their squared length in the metric of the factor.
    double newton(const Lambdas &Lambda, const Lambdas &factored, const Place &place) {
        for (size_t i = 0; i < groups.size(); ++i) {
            const GroupArrays &g = groups[i];
            level_products(g.codes, g.pointer, g.order, g.Z, place.scores, of_group[i], threads);
            const int64_t q = g.columns();
            const double *p_ = products.data() + g.first, *u = place.u.data() + g.first;
            double *to = right.data() + g.first;
            for (int64_t l = 0; l < g.levels(); ++l)
                for (int64_t k = 0; k < q; ++k) {
                    double s = 0.0;
                    for (int64_t a = 0; a < q; ++a)
                        s += p_[l * q + a] * Lambda[i].data()[a * q + k];
                    to[l * q + k] = s - u[l * q + k];
                }
        }
        step = right;
        if (joint) {
            std::fill(X_scores.begin(), X_scores.end(), 0.0);
            const double *x = X.data();
            for (int64_t r = 0; r < n(); ++r, x += p())
                for (int64_t c = 0; c < p(); ++c) X_scores[c] += place.score[r] * x[c];
            change = X_scores;
        }
        solve(factored, step.data(), change.data(), joint);
        double length = dot(step.data(), right.data(), random());
        if (joint) length += dot(change.data(), X_scores.data(), p());
        return length;
    }

    void add_step(const Place &from, Place &to) const {
        for (size_t i = 0; i < step.size(); ++i) to.u[i] = from.u[i] + step[i];
        for (size_t c = 0; c < change.size(); ++c) to.beta[c] = from.beta[c] + (joint ? change[c] : 0.0);
    }

    // offset + X beta
    void add_fixed(const double *beta, std::vector<double> &to) const {
        const double *x = X.data();
        for (int64_t r = 0; r < n(); ++r, x += p()) to[r] = offset.data()[r] + dot(x, beta, p());
    }

    void predict(const Lambdas &Lambda, Place &place) {
        if (joint)
            add_fixed(place.beta.data(), place.eta);
        else
            std::copy_n(known, n(), place.eta.data());
        for (size_t i = 0; i < groups.size(); ++i) {
            const GroupArrays &g = groups[i];
            const int64_t q = g.columns();
            for (int64_t l = 0; l < g.levels(); ++l) {
                const double *u = place.u.data() + g.first + l * q;
                for (int64_t a = 0; a < q; ++a)
                    effects[g.first + l * q + a] = dot(Lambda[i].data() + a * q, u, q);
            }
            add_effects(g.codes, g.Z, effects_of[i], place.predictor, threads);
        }
    }

    // The rows' terms at the linear predictor, and the objective.
    void pass(Place &place) {
        Rows all{y.data(), place.eta.data(), prior.size() ? prior.data() : nullptr, n(), {}, threads};
        all.out[score] = place.score.data();
        all.out[weight] = place.weight.data();
        const double loglik = run(1, all, set).loglik + shift;
        place.objective = dot(place.u.data(), place.u.data(), random()) - 2.0 * loglik;
        if (std::isnan(place.objective)) place.objective = infinite;
    }

    void evaluate(const Lambdas &Lambda, Place &place) {
        predict(Lambda, place);
        pass(place);
    }

    // Observed information need not be positive away from the mode; expected is.
    bool factor_here(const Lambdas &Lambda, double &logdet) {
        Place &place = here();
        observed = true;
        const Definite state = factorize(place.weights, Lambda, logdet);
        if (state == Definite::yes) return true;
        bool positive = true;
        for (double w : place.weight) positive = positive && w >= 0.0;
        if (state == Definite::without_fixed || positive) return false;
        Place &room = trial();
        Rows all{y.data(), place.eta.data(), prior.size() ? prior.data() : nullptr, n(), {}, threads};
        all.out[weight] = room.weight.data();
        Setting expected = set;
        expected.expected = true;
        observed = false;
        run(1, all, expected);
        return factorize(room.weights, Lambda, logdet) == Definite::yes;
    }

    double allowed() { return here().objective + 1e-13 * (1.0 + std::fabs(here().objective)); }

    // The longest of the steps 1, 1/2, 1/4 ... that decreases the objective.
    bool descend(const Lambdas &Lambda, double length) {
        const Place &from = here();
        Place &whole = full(), &next = trial();
        add_step(from, whole);
        predict(Lambda, whole);
        double part = 1.0;
        for (int halving = 0; halving < most_halvings; ++halving, part *= 0.5) {
            const auto between = [&](const std::vector<double> &a, const std::vector<double> &b,
                                     std::vector<double> &to) {
                for (size_t i = 0; i < a.size(); ++i) to[i] = a[i] + part * (b[i] - a[i]);
            };
            if (part == 1.0) {
                next.u = whole.u;
                next.beta = whole.beta;
                next.eta = whole.eta;
            } else {
                between(from.u, whole.u, next.u);
                between(from.beta, whole.beta, next.beta);
                between(from.eta, whole.eta, next.eta);
            }
            pass(next);
            if (next.objective <= allowed() ||
                (length <= stalled && std::isfinite(next.objective))) {
                accept();
                return true;
            }
        }
        return false;
    }

    Pass run;
    Setting set{};
    Vec y, prior, offset;
    int64_t top;
    bool joint, observed = true;  // the latest factor is that of the observed weights
    double shift = 0.0;
    int steps = 0, at = 0;
    std::vector<Place> places;
    std::vector<double> step, right, effects, products, change, X_scores;
    const double *known = nullptr;  // offset + X beta where beta stays
    std::vector<MatOut> of_group;
    std::vector<Mat> effects_of;
};

}  // namespace

void bind_mode_search(nb::module_ &m) {
    using a = nb::arg;
    nb::class_<ModeSearch>(m, "ModeSearch")
        .def(nb::init<const std::string &, const std::string &, Vec, Vec, Vec, Mat, int64_t, bool,
                      int>(),
             a(), a(), a().noconvert(), a().noconvert(), a().noconvert(), a().noconvert(), a(),
             a(), a())
        .def("add_group", &ModeSearch::add_group)
        .def("add_pair", &ModeSearch::add_pair)
        .def("add_stage", &ModeSearch::add_stage)
        .def("add_place", &ModeSearch::add_place)
        .def("add_link", &ModeSearch::add_link)
        .def("set_tail", &ModeSearch::set_tail)
        .def("lay_out", &ModeSearch::lay_out)
        .def("set_store", &ModeSearch::set_store)
        .def("find", &ModeSearch::find)
        .def("factor", &ModeSearch::factor);
}

}  // namespace mixeff::rows
