// Trust-region Newton from one start, and the search from all of them; as optimize/newton.py and
// solve.py.

#include "small_search.hpp"

namespace mixeff::small_search {

namespace {

constexpr double drowned = 100.0;
constexpr double polished = 1e-11, near = 1e-6;
constexpr double expand = 3.0, shrink = 0.25;
constexpr int polishing = 5;
// solve.py
constexpr int departures = 10, reorderings = 5;
constexpr double worth_leaving = 0.01;
constexpr double same_basin = 0.03, same_value = 0.1;

}  // namespace

void Search::evaluate(SmallPoint &point) {
    ++evaluations;
    system.evaluate(point);
}

void Search::canonical(const double *theta, double *to) const {
    for (const SmallTerm &t : model.terms) {
        int j = t.theta;
        for (int c = 0; c < t.size; ++c) {
            const double sign = theta[j] < 0.0 ? -1.0 : 1.0;
            for (int r = c; r < t.size; ++r, ++j) to[j] = sign * theta[j] + 0.0;
        }
    }
}

void Search::from_root(double *root, int m, int stride, int term, double *theta) const {
    const SmallTerm &t = model.terms[size_t(term)];
    const int *order = system.order(term);
    double rows[max_theta * 2 * max_theta], L[square];
    for (int r = 0; r < t.size; ++r)
        std::copy(root + order[r] * stride, root + order[r] * stride + m, rows + r * m);
    lower_factor(rows, t.size, m, m, L);
    double *next = theta + t.theta;
    for (int c = 0; c < t.size; ++c)
        for (int r = c; r < t.size; ++r) *next++ = L[r * t.size + c];
}

void Search::triangular(const double *factors, double *to) const {
    double root[square];
    for (size_t i = 0; i < model.terms.size(); ++i) {
        const int q = model.terms[i].size;
        std::copy(factors + model.terms[i].slopes, factors + model.terms[i].slopes + q * q, root);
        from_root(root, q, q, int(i), to);
    }
}

void Search::term_factors(const double *theta, double *factors) const {
    for (size_t i = 0; i < model.terms.size(); ++i)
        system.term_factor(theta, int(i), factors + model.terms[i].slopes);
}

bool Search::pivoted(const double *theta, int (*orders)[max_theta]) const {
    bool any = false;
    for (size_t i = 0; i < model.terms.size(); ++i) {
        const int q = model.terms[i].size, *current = system.order(int(i));
        std::copy(current, current + q, orders[i]);
        if (q == 1) continue;
        double rest[square], f[max_theta];
        bool used[max_theta] = {false}, worth = false;
        int order[max_theta];
        system.term_factor(theta, int(i), rest);
        for (int step = 0; step < q; ++step) {
            double left[max_theta];
            int best = 0;
            for (int r = 0; r < q; ++r) {
                left[r] = used[r] ? -1.0 : dot_(rest + r * q, rest + r * q, q);
                if (left[r] > left[best]) best = r;
            }
            const int here = used[current[step]] ? best : current[step];
            if (left[here] >= 0.1 * left[best])
                best = here;
            else
                worth = true;
            order[step] = best;
            used[best] = true;
            if (!(left[best] > 0)) continue;
            std::copy(rest + best * q, rest + (best + 1) * q, f);
            for (int r = 0; r < q; ++r) {
                const double s = dot_(rest + r * q, f, q) / left[best];
                for (int c = 0; c < q; ++c) rest[r * q + c] -= s * f[c];
            }
        }
        if (worth) std::copy(order, order + q, orders[i]);
        any = any || worth;
    }
    return any;
}

void Search::use_order(const int (*orders)[max_theta]) {
    for (size_t i = 0; i < model.terms.size(); ++i) system.reorder(int(i), orders[i]);
}

void Search::use_plain_order() {
    int order[max_theta];
    for (int r = 0; r < max_theta; ++r) order[r] = r;
    if (!system.plain())
        for (size_t i = 0; i < model.terms.size(); ++i) system.reorder(int(i), order);
}

void Search::remember(Steps &steps, const SmallPoint &before, const SmallPoint &after) const {
    if (before.value - after.value > near) {
        steps.count = 0;
        return;
    }
    if (steps.count == memory) {
        for (int m = 1; m < memory; ++m) {
            std::copy(steps.s[m], steps.s[m] + k, steps.s[m - 1]);
            std::copy(steps.y[m], steps.y[m] + k, steps.y[m - 1]);
        }
        --steps.count;
    }
    for (int i = 0; i < k; ++i) {
        steps.s[steps.count][i] = after.theta[i] - before.theta[i];
        steps.y[steps.count][i] = after.gradient[i] - before.gradient[i];
    }
    ++steps.count;
}

bool Search::meets(Known &known, const SmallPoint &point) const {
    const double above = point.value - known.optimum.value;
    if (0.0 <= above && above < same_value) {
        double theta[max_theta], Lambda[square], L[square];
        for (size_t i = 0; i < model.terms.size(); ++i) {  // in the plain order
            const SmallTerm &t = model.terms[i];
            system.term_factor(point.theta, int(i), Lambda);
            lower_factor(Lambda, t.size, t.size, t.size, L);
            double *next = theta + t.theta;
            for (int c = 0; c < t.size; ++c)
                for (int r = c; r < t.size; ++r) *next++ = L[r * t.size + c];
        }
        for (int i = 0; i < k; ++i) theta[i] -= known.optimum.theta[i];
        known.met = length(theta, k) < known.distance;
    }
    return known.met;
}

bool Search::falls(SmallPoint &point) {
    bool zero = false;
    for (const SmallTerm &t : model.terms)
        for (int c = 0, j = t.theta; c < t.size; j += t.size - c, ++c)
            zero = zero || point.theta[j] == 0.0;
    if (!zero) return false;
    Null nulls[max_theta];
    const int count = null_directions(point, nulls);
    for (int i = 0; i < count; ++i)
        if (expected_gain(point, nulls[i]) > worth_leaving) return true;
    return false;
}

bool Search::stops(SmallPoint &point, Known *known, bool last) {
    int orders[max_theta][max_theta];
    if (known && meets(*known, point)) return true;
    return falls(point) || (!last && pivoted(point.theta, orders));
}

bool Search::newton(SmallPoint &current, int budget, double &decrease, Known *known) {
    int orders[max_theta][max_theta];
    for (int change = 0;; ++change) {
        const bool last = change == reorderings;
        const int left = std::max(1, budget - evaluations);
        if (descend(current, left, decrease, known, last)) return true;
        if (system.broken || last || (known && known->met)) return false;
        if (!pivoted(current.theta, orders)) return false;
        double factors[max_slopes];
        term_factors(current.theta, factors);
        use_order(orders);
        triangular(factors, current.theta);
        evaluate(current);
        if (system.broken) return false;
    }
}

bool Search::descend(SmallPoint &current, int max_evaluations, double &decrease, Known *known, bool last) {
    if (!std::isfinite(current.value)) return false;
    const double tolerance = options.tolerance;
    Steps steps;
    Quadratic quadratic;
    SmallPoint trial;
    double step[max_theta];
    system.derive(current);
    quadratic.at(current, k, steps);
    double radius = std::max(1.0, length(current.theta, k));
    for (int turn = 0; turn < max_evaluations; ++turn) {
        decrease = quadratic.decrease;
        if (decrease < resolution(current.value, tolerance)) {
            polish(current, quadratic, steps, decrease);
            return true;
        }
        double size;
        const double predicted = quadratic.step(radius, step, size);
        quadratic.move(current.theta, step, trial.theta);
        evaluate(trial);
        if (system.broken) return false;
        const double actual = std::isfinite(trial.value) ? current.value - trial.value : -infinite;
        const double ratio = actual / predicted;
        if (ratio < 0.25)
            radius = shrink * size;
        else if (ratio > 0.5 && size > 0.8 * radius)
            radius *= expand;
        if (ratio > 1e-4) {
            if (stops(trial, known, last)) {
                current.take(trial, k, model.slopes);
                decrease = infinite;
                return false;
            }
            system.derive(trial);
            remember(steps, current, trial);
            current.take(trial, k, model.slopes);
            quadratic.at(current, k, steps);
        } else if (!(radius >= 1e-10 * (1.0 + length(current.theta, k)))) {
            break;
        }
    }
    decrease = quadratic.decrease;
    return false;
}

void Search::polish(SmallPoint &current, Quadratic &quadratic, Steps &steps, double &decrease) {
    SmallPoint trial;
    Quadratic other, *now = &quadratic, *after = &other;
    double step[max_theta], size;
    for (int turn = 0; turn < polishing; ++turn) {
        const double goal = std::max(options.tolerance, 1e-9 * std::fabs(current.value));
        if (decrease <= polished * goal) break;
        now->step(0.1 * (1.0 + length(current.theta, k)), step, size);
        now->move(current.theta, step, trial.theta);
        evaluate(trial);
        if (system.broken) return;
        if (!(trial.value <= current.value + 1e-13 * (1.0 + std::fabs(current.value)))) break;
        system.derive(trial);
        remember(steps, current, trial);
        after->at(trial, k, steps);
        if (!(after->decrease < decrease)) break;
        current.take(trial, k, model.slopes);
        std::swap(now, after);
        decrease = now->decrease;
    }
}

void Search::local(Run &run, Known *known) {
    SmallPoint &current = run.point;
    run.ok = false;
    run.decrease = infinite;
    if (!std::isfinite(current.value)) return;
    const int budget = evaluations + options.max_evaluations;
    bool converged = false;
    int turn = 0;
    for (; turn < departures; ++turn) {
        converged = newton(current, budget, run.decrease, known);
        if (system.broken || (known && known->met)) break;
        if (converged && snap(current))
            converged = newton(current, budget, run.decrease, nullptr);
        if (system.broken) break;
        SmallPoint inside;
        const bool out = leave(current, inside);
        if (system.broken || !out) break;
        current = inside;
    }
    if (turn == departures) converged = false;
    const bool was_plain = system.plain();
    double theta[max_theta];
    if (was_plain) {
        canonical(current.theta, theta);
    } else {
        double factors[max_slopes];
        term_factors(current.theta, factors);
        use_plain_order();
        triangular(factors, theta);
    }
    if (system.broken) return;
    if (!was_plain || !std::equal(theta, theta + k, current.theta)) {
        std::copy(theta, theta + k, current.theta);
        evaluate(current);
    }
    run.ok = converged;
}

bool Search::better(const Run &run, const Run &best) {
    const double noise = 1e-9 + 1e-13 * std::fabs(best.point.value);
    const double gain = best.point.value - run.point.value;
    return gain > noise || (gain > -noise && run.ok && !best.ok);
}

double Search::curvature(const SmallPoint &point) const {
    double scaled[square], values[max_theta], vectors[square];
    int free[max_theta], m = 0;
    const double unit = 1.0 + dot_(point.theta, point.theta, k);
    const double least = std::max(nothing, drowned * system.noise());
    for (int i = 0; i < k; ++i)  // a parameter the criterion does not depend on
        if (!(point.hessian[i * k + i] * unit > least) && point.theta[i] != 0.0) return 0.0;
    for (int i = 0; i < k; ++i)
        if (point.hessian[i * k + i] > 0) free[m++] = i;
    if (!m) return 0.0;
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < m; ++j)
            scaled[i * m + j] =
                point.hessian[free[i] * k + free[j]] /
                (std::sqrt(point.hessian[free[i] * k + free[i]]) *
                 std::sqrt(point.hessian[free[j] * k + free[j]]));
    eigen_symmetric(scaled, m, values, vectors);
    return *std::min_element(values, values + m);
}

// The search from the start given and, where the optimum lies on the boundary, from the others.
void optimum(SmallSystem &system, const double *start, const SmallOptions &options,
             SmallOptimum &found) {
    Search search(system, options);
    Null nulls[max_theta];
    Run best, run;
    const int k = search.k;
    search.use_plain_order();
    found.n_values = 0;
    found.status = small_broken;
    found.nulls = 0;
    found.decrease = found.curvature = std::nan("");
    std::copy(start, start + k, best.point.theta);
    search.evaluate(best.point);
    const bool usable = !system.broken && std::isfinite(best.point.value);
    if (usable) search.local(best, nullptr);
    found.evaluations = search.evaluations;
    found.point.take(best.point, k, system.model.slopes);
    if (!usable || system.broken) return;
    found.values[found.n_values++] = best.point.value;
    found.status = small_stopped;
    if (!best.ok) return;
    if (search.null_directions(best.point, nulls)) {
        for (int i = 0; i < options.extra; ++i) {
            const double *theta = options.starts + i * k;
            Known known{best.point, same_basin * (1.0 + length(best.point.theta, k)), false};
            std::copy(theta, theta + k, run.point.theta);
            search.evaluate(run.point);
            if (!system.broken) search.local(run, &known);
            if (system.broken) {
                found.status = small_broken;
                return;
            }
            if (found.n_values < 32)
                found.values[found.n_values++] = known.met ? best.point.value : run.point.value;
            if (Search::better(run, best)) best = run;
        }
    }
    system.derive(best.point);
    found.point.take(best.point, k, system.model.slopes);
    found.status = best.ok ? small_ok : small_stopped;
    found.evaluations = search.evaluations;
    found.decrease = best.decrease;
    found.nulls = search.null_directions(found.point, nulls);
    if (options.judge) found.curvature = search.curvature(found.point);
}

}  // namespace mixeff::small_search

namespace mixeff {

void small_optimum(SmallSystem &system, const double *start, const SmallOptions &options,
                   SmallOptimum &found) {
    small_search::optimum(system, start, options, found);
}

}  // namespace mixeff
