// Newton's method within a trust region on Laplace's criterion: the search of optimize/newton.py as
// long as all goes well (a positive definite Hessian at every point kept), and with one variance its
// rules for the edge; whatever else may happen is left to it.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../../factor/kernels/small_algebra.hpp"
#include "fixed_start.hpp"

namespace mixeff::rows {

// As in optimize/newton.py and generalized/one_factor.py.
constexpr double definite = 1e-8;
constexpr double shrink = 0.25, expand = 3.0;
constexpr int polishing = 5;
constexpr double polished = 1e-11;
// As in optimize/boundary.py and optimize/solve.py.
constexpr double snapped = 2e-2, none = 1e-4, same_basin = 0.03, same_value = 0.1;
constexpr double determined = 1e-3;  // curvature in log dispersion below which others look closer
constexpr double least_bend = 1e-3;  // of a mended Hessian, as a part of the largest eigenvalue
constexpr double endless = std::numeric_limits<double>::infinity();

// The criterion at one point, with the factor of its Hessian scaled to a unit diagonal.
struct Place {
    std::vector<double> at, u, scores, gradient, hessian, Xi, root, factor, step;
    double value = endless, decrease = endless, length = endless;
    bool mended = false;
};

// Where a search ends: with all variances above zero, with the one there is at zero, or without
// having found an optimum.
enum class End : int8_t { nowhere, inside, edge };

inline double norm(const std::vector<double> &x) {
    double s = 0.0;
    for (double v : x) s += v * v;
    return std::sqrt(s);
}

class NewtonSearch {
  public:
    NewtonSearch(const LevelSorted &data, OneFactor f, Dispersions &settings, double shift,
                 double tolerance, int most, int threads)
        : f(f), settings(settings), q(data.q), m(f.parameters()), threads(threads), most(most),
          shift(shift), tolerance(tolerance), Lambda(size_t(data.q) * data.q, 0.0),
          last(size_t(data.levels()) * data.q, 0.0) {}

    // Whether a point that satisfies the conditions for an interior optimum was found from here; it
    // is `here` then.
    bool find(const std::vector<double> &start) {
        Place first;
        first.at = start;
        return evaluate(first) && find_from(first, nullptr);
    }

    // With one variance: zero where that is the optimum, and then the other starts, as
    // optimize/boundary.py and optimize/solve.py do; the sign of theta put right. What else there
    // may be to do is theirs: no end then.
    End settle(const std::vector<std::vector<double>> &others) {
        if (std::fabs(here.at[0]) >= snapped || (here.Xi[0] <= 0.0 && std::fabs(here.at[0]) >= none))
            return upright() ? End::inside : End::nowhere;
        Place edge;
        edge.at = here.at;
        edge.at[0] = 0.0;
        pinned = true;
        const double allowed = here.value + 0.1 * resolution(here);
        const bool flat = evaluate(edge) && edge.value <= allowed && edge.Xi[0] >= 0.0 &&
                          find_from(edge, nullptr) && here.Xi[0] >= 0.0;
        pinned = false;
        if (!flat) return End::nowhere;
        const Place best = here;
        const double noise = 1e-9 + 1e-13 * std::fabs(best.value);
        for (const std::vector<double> &other : others) {
            Place first;
            first.at = other;
            met = false;
            if (!evaluate(first)) continue;  // nothing can begin there
            if (!find_from(first, &best)) return End::nowhere;
            if (met) continue;
            if (here.value < best.value - noise || std::fabs(here.at[0]) < snapped)
                return End::nowhere;
        }
        here = best;
        return End::edge;
    }

    // X'V^-1 X of the working linear model at the optimum, with the expected weights if so said.
    bool fixed_information(bool fisher, std::vector<double> &out) {
        set_point(here);
        std::vector<double> u = here.u, scores(here.u.size());
        OneFactor own = f;
        own.model = true;
        own.fisher = fisher;
        own.u = u.data();
        own.scores = scores.data();
        LevelSums sums;
        if (run_all(own, q, threads, sums) != Search::found) return false;
        mirror_square(sums.XX, f.p);
        out.swap(sums.XX);
        return true;
    }

    // The criterion, set up for the optimum.
    const OneFactor &criterion() {
        set_point(here);
        return f;
    }

    Place here;
    int evaluations = 0;

  private:
    double resolution(const Place &place) const {
        return std::max(tolerance, 1e-13 * std::fabs(place.value));
    }

    // From an evaluated point; `known` ends the search where it heads for that optimum.
    bool find_from(const Place &start, const Place *known) {
        const bool mending = known != nullptr;
        here = start;
        if (!model(here, mending)) return false;
        double radius = std::max(1.0, norm(here.at));
        for (int turn = 0; turn < most; ++turn) {
            if (here.decrease < resolution(here)) {
                polish();
                return !here.mended;
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
                if (known && (met = heads_for(trial, *known))) return true;
                if (!model(trial, mending)) return false;
                std::swap(here, trial);
            } else if (!(radius >= 1e-10 * (1.0 + norm(here.at)))) {
                return false;
            }
        }
        return false;
    }

    bool heads_for(const Place &place, const Place &known) const {
        const double above = place.value - known.value;
        if (!(above >= 0.0 && above < same_value)) return false;
        std::vector<double> apart = place.at;
        for (int j = 0; j < m; ++j)
            apart[j] = (j ? apart[j] : std::fabs(apart[j])) - known.at[j];
        return norm(apart) < same_basin * (1.0 + norm(known.at));
    }

    // The same point with theta above zero.
    bool upright() {
        if (here.at[0] >= 0.0) return true;
        here.at[0] = -here.at[0];
        for (double &v : last) v = -v;
        return evaluate(here) && model(here);
    }

    void set_point(const Place &place) {
        std::fill(Lambda.begin(), Lambda.end(), 0.0);
        for (int j = 0; j < f.entries; ++j)
            Lambda[f.entry_row[j] * q + f.entry_column[j]] = place.at[j];
        f.Lambda = Lambda.data();
        f.beta = place.at.data() + f.entries;
        if (f.dispersed) f.set = settings.at(dispersion_of(place));
    }

    static double dispersion_of(const Place &place) {
        return std::exp(std::min(place.at.back(), 700.0));
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
        if (f.dispersed) {
            const Constants constants = settings.constants(dispersion_of(place));
            place.value -= 2.0 * constants.value;
            place.gradient.back() -= 2.0 * constants.slope;
            place.hessian.back() -= 2.0 * constants.bend;
            // Towards the end of its range the dispersion stops to matter.
            if (!(place.hessian.back() > determined) || !std::isfinite(place.value)) return false;
        }
        if (pinned) {  // a zero variance does not move
            for (int j = 0; j < m; ++j)
                place.hessian[j] = place.hessian[size_t(j) * m] = j ? 0.0 : 1.0;
            place.gradient[0] = 0.0;
        }
        return true;
    }

    // The Newton step and what it is predicted to gain; false unless the Hessian is positive
    // definite and no parameter is that of a vanished column of Lambda.
    bool model(Place &place, bool mending = false) const {
        return newton(place) || (mending && mend(place) && newton(place));
    }

    // The Hessian with the sizes of its eigenvalues instead of them: another start may lie where it
    // is not positive definite. No search may end there.
    bool mend(Place &place) const {
        std::vector<double> &H = place.hessian, work = H, values(m), V(size_t(m) * m);
        for (double h : H)
            if (!std::isfinite(h)) return false;
        eigen_symmetric(work.data(), m, values.data(), V.data());
        double top = 0.0;
        for (double &v : values) top = std::max(top, v = std::fabs(v));
        std::fill(H.begin(), H.end(), 0.0);
        for (int i = 0; i < m; ++i) {
            const double v = std::max(values[i], least_bend * top);
            for (int r = 0; r < m; ++r)
                for (int c = 0; c < m; ++c)
                    H[size_t(r) * m + c] += V[size_t(r) * m + i] * v * V[size_t(c) * m + i];
        }
        place.mended = true;
        return top > 0.0;
    }

    bool newton(Place &place) const {
        place.root.resize(m);
        for (int j = 0; j < m; ++j) {
            const double d = place.hessian[size_t(j) * m + j];
            const bool vanished = place.at[j] == 0.0 && place.gradient[j] == 0.0;
            if (!(d > 0.0) || (vanished && !(pinned && !j))) return false;
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
    Dispersions &settings;
    const int q, m, threads, most;
    const double shift, tolerance;
    std::vector<double> Lambda, last;
    bool pinned = false, met = false;
};

}  // namespace mixeff::rows
