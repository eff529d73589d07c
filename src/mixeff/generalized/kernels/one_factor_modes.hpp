// Conditional modes of a block of levels: Newton's method on all of them in step, so that the rows
// are passed over side by side, each level with its own step halving.
#pragma once

#include "one_factor.hpp"

namespace mixeff::rows {

constexpr int most_passes = 200, most_halvings = 30;
constexpr double nearly = 1e-11;    // squared step after which the next is below rounding
constexpr double converged = 1e-20;  // ... and what the step at the modes may be
constexpr double stalled = 1e-13;    // a step this small that does not get smaller is rounding

template <int Q>
struct ModeState {
    double u[Q], step[Q];
    double objective, decrement, part;
    int halvings;
    bool done, rejected, fresh;
};

template <int Q>
class Modes {
  public:
    Modes(const OneFactor &f, BlockRows &rows) : f(f), rows(rows) {
        std::memcpy(Lambda.v, f.Lambda, sizeof Lambda.v);
        across = transposed<Q>(Lambda);
    }

    // From the caller's u; f.u holds the modes afterwards, but for a last correction.
    Search find(int64_t first, int64_t last) {
        states.resize(last - first);
        start(first, last);
        for (int pass = 0; pass < most_passes; ++pass) {
            bool all = true;
            evaluate(first, last, 1, false);
            with_expected = false;
            for (int64_t l = first; l < last; ++l) {
                ModeState<Q> &s = states[l - first];
                if (s.done) continue;
                const Search state = advance(l, first, last, s);
                if (state != Search::found) return state;
                all = all && s.done;
            }
            if (all) return Search::found;
        }
        return Search::endless;
    }

    // Predictors of the block's rows at f.u, and their parts up to a level.
    void evaluate(int64_t first, int64_t last, int level, bool expected) {
        for (int64_t l = first; l < last; ++l) {
            double b[Q];
            effects(f.u + l * Q, b);
            const int64_t end = f.pointer[l + 1] - rows.first;
            const double *z = f.Z + f.pointer[l] * Q;
            for (int64_t i = f.pointer[l] - rows.first; i < end; ++i, z += Q)
                rows.eta[i] = rows.fixed[i] + inner<Q>(z, b);
        }
        fill(rows.values, level, false);
        if (expected) fill(rows.expected, level, true);
        if (level == 3 && f.fisher) fill(rows.fisher, 1, true);
    }

    void effects(const double *u, double *b) const {
        for (int a = 0; a < Q; ++a) b[a] = inner<Q>(Lambda.v + a * Q, u);
    }

    Small<Q> Lambda, across;

  private:
    void fill(std::vector<double> &into, int level, bool expected) {
        Rows pass{f.y + rows.first, rows.eta.data(), f.w ? f.w + rows.first : nullptr, rows.count,
                  {}, 1};
        // Those behind the curvature are of the dispersion.
        const int count = f.dispersed ? level_parts[level] : std::min(level_parts[level], 8);
        for (int j = 0; j < count; ++j) pass.out[j] = into.data() + j * rows.room;
        Setting set = f.set;
        set.expected = expected;
        f.run(level, pass, set);
    }

    void start(int64_t first, int64_t last) {
        for (int64_t l = first; l < last; ++l) {
            ModeState<Q> &s = states[l - first];
            for (int a = 0; a < Q; ++a) s.u[a] = f.u[l * Q + a];
            s.done = s.rejected = false;
            s.fresh = true;
            s.halvings = 0;
            s.part = 1.0;
        }
    }

    // Judges the point in f.u, then takes the next step, or half of the last one.
    Search advance(int64_t l, int64_t first, int64_t last, ModeState<Q> &s) {
        double *u = f.u + l * Q;
        double loglik = 0.0, size = 0.0;
        const int64_t end = f.pointer[l + 1] - rows.first;
        for (int64_t i = f.pointer[l] - rows.first; i < end; ++i) {
            loglik += rows.part(rows::loglik)[i];
            size += std::fabs(rows.part(rows::loglik)[i]);
        }
        const double objective = inner<Q>(u, u) - 2.0 * loglik;
        const bool finite = std::isfinite(objective);
        if (s.fresh) {
            if (!finite) {
                if (s.rejected) return Search::impossible;
                s.rejected = true;  // not computable at the caller's u: from none then
                std::fill(u, u + Q, 0.0);
                return Search::found;
            }
            s.fresh = false;
        } else {
            const double allowed = s.objective + 1e-13 * (1.0 + size);
            if (!(finite && (objective <= allowed || s.decrement <= stalled))) {
                if (++s.halvings > most_halvings) return Search::endless;
                s.part *= 0.5;
                for (int a = 0; a < Q; ++a) u[a] = s.u[a] + s.part * s.step[a];
                return Search::found;
            }
        }
        s.objective = objective;
        s.halvings = 0;
        s.part = 1.0;
        if (!newton(l, first, last, s)) return Search::endless;
        for (int a = 0; a < Q; ++a) {
            s.u[a] = u[a];
            u[a] += s.step[a];
        }
        s.done = s.decrement <= nearly;
        return Search::found;
    }

    bool newton(int64_t l, int64_t first, int64_t last, ModeState<Q> &s) {
        Small<Q> M = information(l, rows.values);
        if (!cholesky<Q>(M)) {
            // Observed information need not be positive away from the mode; expected is.
            if (!with_expected) {
                with_expected = true;
                scratch.resize(rows.values.size());
                fill(scratch, 1, true);
            }
            M = information(l, scratch);
            if (!cholesky<Q>(M)) return false;
        }
        double p[Q] = {};
        const double *z = f.Z + f.pointer[l] * Q;
        const int64_t end = f.pointer[l + 1] - rows.first;
        for (int64_t i = f.pointer[l] - rows.first; i < end; ++i, z += Q)
            for (int a = 0; a < Q; ++a) p[a] += rows.part(score)[i] * z[a];
        double slope[Q];
        for (int a = 0; a < Q; ++a)
            slope[a] = s.step[a] = inner<Q>(across.v + a * Q, p) - f.u[l * Q + a];
        solve<Q>(M, s.step);
        s.decrement = inner<Q>(slope, s.step);
        return std::isfinite(s.decrement);
    }

    Small<Q> information(int64_t l, const std::vector<double> &values) const {
        Small<Q> G{};
        const double *weights = values.data() + weight * rows.room;
        const double *z = f.Z + f.pointer[l] * Q;
        const int64_t end = f.pointer[l + 1] - rows.first;
        for (int64_t i = f.pointer[l] - rows.first; i < end; ++i, z += Q)
            for (int a = 0; a < Q; ++a)
                for (int b = 0; b <= a; ++b) G(a, b) += weights[i] * z[a] * z[b];
        for (int a = 0; a < Q; ++a)
            for (int b = a + 1; b < Q; ++b) G(a, b) = G(b, a);
        return penalized<Q>(G, Lambda);
    }

    const OneFactor &f;
    BlockRows &rows;
    std::vector<ModeState<Q>> states;
    std::vector<double> scratch;
    bool with_expected = false;
};

}  // namespace mixeff::rows
