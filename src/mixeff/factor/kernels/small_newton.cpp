// Trust-region Newton, the boundary and extra starts for a small model: step by step what
// optimize/newton.py, boundary.py and solve.py do; the reasons stand there.

#include <limits>

#include "small_fit.hpp"

namespace mixeff {

namespace {

// newton.py
constexpr double flat = 1e-10, nothing = 1e-10, drowned = 100.0;
constexpr double polished = 1e-11, near = 1e-6, agree = 0.2;
constexpr double expand = 3.0, shrink = 0.25;
constexpr int polishing = 5, memory = 3;
// boundary.py
constexpr double small_sd = 1e-4, snap_sd = 2e-2;
constexpr int backtracks = 40;
// solve.py
constexpr int departures = 10, reorderings = 5;
constexpr double worth_leaving = 0.01;
constexpr double same_basin = 0.03, same_value = 0.1;
constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr int square = max_theta * max_theta;

double dot_(const double *a, const double *b, int n) {
    double s = 0.0;
    for (int i = 0; i < n; ++i) s += a[i] * b[i];
    return s;
}

double length(const double *a, int n) { return std::sqrt(dot_(a, a, n)); }

double resolution(double value, double tolerance) {
    return std::isfinite(value) ? std::max(tolerance, 1e-13 * std::fabs(value)) : tolerance;
}

// The latest short steps: change of theta, change of the gradient.
struct Steps {
    int count = 0;
    double s[memory][max_theta], y[memory][max_theta];
};

// The quadratic model at a point. Its eigenbasis is found only when a step needs it: where the
// model is well conditioned and the radius large, a Cholesky factor gives the same step.
struct Quadratic {
    int k;
    double B[square], gradient[max_theta], newton[max_theta];
    double values[max_theta], vectors[square], slope[max_theta], least, decrease;
    bool pinned[max_theta], decomposed;

    void at(const SmallPoint &point, int k_, const Steps &steps) {
        k = k_;
        double Bs[max_theta];
        std::copy(point.hessian, point.hessian + k * k, B);
        std::copy(point.gradient, point.gradient + k, gradient);
        for (int m = 0; m < steps.count; ++m) {  // BFGS on top of the model
            const double *s = steps.s[m], *y = steps.y[m];
            for (int i = 0; i < k; ++i) Bs[i] = dot_(B + i * k, s, k);
            const double model = dot_(s, Bs, k), actual = dot_(s, y, k);
            if (!(model > 0 && agree * model < actual && actual < model / agree)) continue;
            for (int i = 0; i < k; ++i)
                for (int j = 0; j < k; ++j)
                    B[i * k + j] += y[i] * y[j] / actual - Bs[i] * Bs[j] / model;
        }
        for (int i = 0; i < k; ++i)
            for (int j = 0; j < i; ++j)
                B[i * k + j] = B[j * k + i] = 0.5 * (B[i * k + j] + B[j * k + i]);
        least = nothing / (1.0 + dot_(point.theta, point.theta, k));
        for (int i = 0; i < k; ++i)
            pinned[i] = gradient[i] == 0.0 && point.theta[i] == 0.0;
        decomposed = !solve();
        if (decomposed) decompose();
    }

    // The full step by Cholesky; false unless every eigenvalue is above the floor for sure.
    bool solve() {
        double L[square], top = 0.0, inverse_square = 0.0, x[max_theta];
        for (int i = 0; i < k; ++i) {
            top += std::fabs(B[i * k + i]);
            for (int j = 0; j <= i; ++j) {
                double s = B[i * k + j];
                for (int m = 0; m < j; ++m) s -= L[i * k + m] * L[j * k + m];
                if (i == j) {
                    if (!(s > 0.0)) return false;
                    L[i * k + i] = 1.0 / std::sqrt(s);
                } else {
                    L[i * k + j] = s * L[j * k + j];
                }
            }
        }
        for (int i = 0; i < k; ++i) top = std::max(top, std::fabs(gradient[i]));
        for (int c = 0; c < k; ++c)  // |L^-1|^2, at least the largest eigenvalue of B^-1
            for (int i = c; i < k; ++i) {
                double s = i == c ? 1.0 : 0.0;
                for (int m = c; m < i; ++m) s -= L[i * k + m] * x[m];
                x[i] = s * L[i * k + i];
                inverse_square += x[i] * x[i];
            }
        if (!(inverse_square * std::max(flat * top, least) < 0.1)) return false;
        double square_ = 0.0;
        for (int i = 0; i < k; ++i) {
            double s = -gradient[i];
            for (int m = 0; m < i; ++m) s -= L[i * k + m] * newton[m];
            newton[i] = s * L[i * k + i];
            square_ += newton[i] * newton[i];
        }
        for (int i = k - 1; i >= 0; --i) {
            double s = newton[i];
            for (int m = i + 1; m < k; ++m) s -= L[m * k + i] * newton[m];
            newton[i] = s * L[i * k + i];
        }
        decrease = 0.5 * square_;
        return true;
    }

    // Eigenvalues raised to the floor, and the full step from them.
    void decompose() {
        double work[square], top = 0.0, square_ = 0.0;
        decomposed = true;
        std::copy(B, B + k * k, work);
        eigen_symmetric(work, k, values, vectors);
        for (int i = 0; i < k; ++i)
            top = std::max(top, std::max(values[i], std::fabs(gradient[i])));
        for (int i = 0; i < k; ++i) {
            values[i] = std::max(values[i], std::max(flat * top, least));
            slope[i] = 0.0;
            for (int j = 0; j < k; ++j) slope[i] += vectors[j * k + i] * gradient[j];
            square_ += slope[i] * (slope[i] / values[i]);
        }
        decrease = 0.5 * square_;
        for (int j = 0; j < k; ++j) {
            newton[j] = 0.0;
            for (int i = 0; i < k; ++i) newton[j] -= vectors[j * k + i] * slope[i] / values[i];
        }
    }

    // Minimizer of the model within the radius (More and Sorensen 1983); returns what it gains.
    double step(double radius, double *to, double &size) {
        std::copy(newton, newton + k, to);
        size = length(to, k);
        if (size <= radius) return decrease;
        if (!decomposed) decompose();
        double s[max_theta], shift = 0.0;
        for (int turn = 0; turn < 50; ++turn) {
            double drop = 0.0;
            for (int i = 0; i < k; ++i) s[i] = -slope[i] / (values[i] + shift);
            size = length(s, k);
            if (size <= radius * 1.01) break;
            for (int i = 0; i < k; ++i) drop += s[i] * (s[i] / (values[i] + shift));
            shift += size * size / drop * (size / radius - 1.0);
        }
        const double f = std::min(1.0, radius / size);
        double gain = 0.0;
        for (int i = 0; i < k; ++i) {
            s[i] *= f;
            gain -= s[i] * (slope[i] + 0.5 * values[i] * s[i]);
        }
        for (int j = 0; j < k; ++j) to[j] = dot_(vectors + j * k, s, k);
        size *= f;
        return gain;
    }

    void move(const double *theta, const double *step, double *to) const {
        for (int i = 0; i < k; ++i) to[i] = theta[i] + (pinned[i] ? 0.0 : step[i]);
    }
};

struct Null {
    int term;
    double direction[max_theta], slope;
};

struct Run {
    SmallPoint point;
    bool ok;
    double decrease;
};

class Search {
public:
    Search(SmallSystem &s, const SmallOptions &o) : system(s), model(s.model), options(o), k(s.model.k) {}

    SmallSystem &system;
    const SmallModel &model;
    const SmallOptions &options;
    const int k;
    int evaluations = 0;

    void evaluate(SmallPoint &point) {
        ++evaluations;
        system.evaluate(point);
    }

    void canonical(const double *theta, double *to) const {
        for (const SmallTerm &t : model.terms) {
            int j = t.theta;
            for (int c = 0; c < t.size; ++c) {
                const double sign = theta[j] < 0.0 ? -1.0 : 1.0;
                for (int r = c; r < t.size; ++r, ++j) to[j] = sign * theta[j] + 0.0;
            }
        }
    }

    // Theta of a square root (size x m, row stride `stride`, destroyed) of one term's matrix.
    void from_root(double *root, int m, int stride, int term, double *theta) const {
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

    // The same matrices in the order of the columns that is in force, diagonals >= 0.
    void triangular(const double *factors, double *to) const {
        double root[square];
        for (size_t i = 0; i < model.terms.size(); ++i) {
            const int q = model.terms[i].size;
            std::copy(factors + model.terms[i].slopes, factors + model.terms[i].slopes + q * q, root);
            from_root(root, q, q, int(i), to);
        }
    }

    // Lambda of every term, side by side.
    void term_factors(const double *theta, double *factors) const {
        for (size_t i = 0; i < model.terms.size(); ++i)
            system.term_factor(theta, int(i), factors + model.terms[i].slopes);
    }

    // The order of a pivoted Cholesky factor where that is much better than the present one.
    bool pivoted(const double *theta, int (*orders)[max_theta]) const {
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

    void use_order(const int (*orders)[max_theta]) {
        for (size_t i = 0; i < model.terms.size(); ++i) system.reorder(int(i), orders[i]);
    }

    void use_plain_order() {
        int order[max_theta];
        for (int r = 0; r < max_theta; ++r) order[r] = r;
        if (!system.plain())
            for (size_t i = 0; i < model.terms.size(); ++i) system.reorder(int(i), order);
    }

    void remember(Steps &steps, const SmallPoint &before, const SmallPoint &after) const {
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

    // Whether a run from another start heads for the optimum known already.
    struct Known {
        const SmallPoint &optimum;
        double distance;
        bool met;
    };

    bool meets(Known &known, const SmallPoint &point) const {
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

    // A vanished column of Lambda whose variance the criterion wants: no use to go on without it.
    bool falls(SmallPoint &point) {
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

    bool stops(SmallPoint &point, Known *known, bool last) {
        int orders[max_theta][max_theta];
        if (known && meets(*known, point)) return true;
        return falls(point) || (!last && pivoted(point.theta, orders));
    }

    // Newton, in a better order of the columns of Lambda whenever the present one turns bad.
    bool newton(SmallPoint &current, int budget, double &decrease, Known *known) {
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

    // Minimizes from `current`, which becomes the point reached.
    bool descend(SmallPoint &current, int max_evaluations, double &decrease, Known *known, bool last) {
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

    void polish(SmallPoint &current, Quadratic &quadratic, Steps &steps, double &decrease) {
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

    // Directions without variance, each term's in the eigenbasis of Xi on its null space.
    int null_directions(SmallPoint &point, Null *found) {
        int count = 0;
        double Lambda[square], basis[square], sizes[max_theta], work[square];
        for (size_t i = 0; i < model.terms.size(); ++i) {
            const int q = model.terms[i].size;
            if (surely_above(point.theta + model.terms[i].theta, q, small_sd)) continue;
            system.term_factor(point.theta, int(i), Lambda);
            left_singular(Lambda, q, basis, sizes, work);
            double largest = 0.0;
            for (int j = 0; j < q; ++j) largest = std::max(largest, sizes[j]);
            const double limit = std::max(small_sd, 1e-14 * largest);
            int m = 0, keep[max_theta];
            for (int j = 0; j < q; ++j)
                if (sizes[j] <= limit) keep[m++] = j;
            if (!m) continue;
            system.derive(point);
            const double *Xi = point.Xi + model.terms[i].slopes;
            double inner[square], values[max_theta], vectors[square];
            for (int a = 0; a < m; ++a)
                for (int b = 0; b < m; ++b) {
                    double s = 0.0;
                    for (int r = 0; r < q; ++r)
                        for (int c = 0; c < q; ++c)
                            s += basis[r * q + keep[a]] * Xi[r * q + c] * basis[c * q + keep[b]];
                    inner[a * m + b] = s;
                }
            eigen_symmetric(inner, m, values, vectors);
            for (int a = 0; a < m; ++a) {
                Null &null = found[count++];
                null.term = int(i);
                null.slope = values[a];
                for (int r = 0; r < q; ++r) {
                    null.direction[r] = 0.0;
                    for (int b = 0; b < m; ++b)
                        null.direction[r] += basis[r * q + keep[b]] * vectors[b * m + a];
                }
            }
        }
        return count;
    }

    double expected_gain(SmallPoint &point, const Null &null) {
        if (null.slope >= 0) return 0.0;
        const double bend = system.curvature_along(point, null.term, null.direction);
        return bend > 0 ? 0.5 * null.slope * null.slope / bend : infinite;
    }

    // A better point inside; false when the conditions hold or no step gains anything.
    bool leave(SmallPoint &point, SmallPoint &better) {
        if (!std::isfinite(point.value)) return false;
        Null nulls[max_theta], falling[max_theta];
        const int count = null_directions(point, nulls);
        double gains[max_theta];
        const double limit = resolution(point.value, options.tolerance);
        int m = 0;
        for (int i = 0; i < count; ++i) {
            const double gain = expected_gain(point, nulls[i]);
            if (!(gain > limit)) continue;
            int j = m++;
            for (; j > 0 && gain > gains[j - 1]; --j) {
                gains[j] = gains[j - 1];
                falling[j] = falling[j - 1];
            }
            gains[j] = gain;
            falling[j] = nulls[i];
        }
        for (int chosen = m; chosen > 0; chosen = chosen > 1 ? 1 : 0) {
            if (line_search(point, falling, chosen, better) &&
                better.value < point.value - 1e-3 * limit)
                return true;
            if (system.broken) return false;
        }
        return false;
    }

    // Backtrack along Sigma + t v v' from the steps the curvature suggests, one per direction.
    bool line_search(SmallPoint &point, const Null *nulls, int count, SmallPoint &trial) {
        double steps[max_theta], fall = 0.0, factors[max_slopes];
        for (int i = 0; i < count; ++i) {
            const double bend = system.curvature_along(point, nulls[i].term, nulls[i].direction);
            steps[i] = bend > 0 ? std::min(-nulls[i].slope / bend, 1e4) : 1.0;
            fall += steps[i] * nulls[i].slope;
        }
        term_factors(point.theta, factors);
        double part = 1.0;
        for (int turn = 0; turn < backtracks; ++turn, part *= 0.2) {
            for (size_t i = 0; i < model.terms.size(); ++i) {
                const int q = model.terms[i].size, stride = 2 * max_theta;
                double root[max_theta * 2 * max_theta];
                int m = q;
                for (int r = 0; r < q; ++r)
                    std::copy(factors + model.terms[i].slopes + r * q,
                              factors + model.terms[i].slopes + (r + 1) * q, root + r * stride);
                for (int v = 0; v < count; ++v) {
                    if (nulls[v].term != int(i)) continue;
                    for (int r = 0; r < q; ++r)
                        root[r * stride + m] = std::sqrt(part * steps[v]) * nulls[v].direction[r];
                    ++m;
                }
                from_root(root, m, stride, int(i), trial.theta);
            }
            evaluate(trial);
            if (system.broken) return false;
            if (trial.value <= point.value + 1e-4 * part * fall) return true;
        }
        return false;
    }

    struct Candidate {
        int term;
        double direction[max_theta];
    };

    int candidates(SmallPoint &point, Candidate *found) {
        int count = 0;
        double Lambda[square], basis[square], sizes[max_theta], work[square];
        for (size_t i = 0; i < model.terms.size(); ++i) {
            const int q = model.terms[i].size;
            if (surely_above(point.theta + model.terms[i].theta, q, snap_sd)) continue;
            system.term_factor(point.theta, int(i), Lambda);
            left_singular(Lambda, q, basis, sizes, work);
            for (int j = 0; j < q; ++j) {
                if (!(0 < sizes[j] && sizes[j] < snap_sd)) continue;
                system.derive(point);
                const double *Xi = point.Xi + model.terms[i].slopes;
                double falls = 0.0;
                for (int r = 0; r < q; ++r)
                    for (int c = 0; c < q; ++c)
                        falls += basis[r * q + j] * Xi[r * q + c] * basis[c * q + j];
                if (!(falls > 0 || sizes[j] < small_sd)) continue;
                found[count].term = int(i);
                for (int r = 0; r < q; ++r) found[count].direction[r] = basis[r * q + j];
                ++count;
            }
        }
        return count;
    }

    // Theta with the variance in the given directions removed.
    void without(const double *theta, const Candidate *gone, int count, double *to) {
        double Lambda[square], basis[square], sizes[max_theta], work[square], factors[max_slopes];
        term_factors(theta, factors);
        triangular(factors, to);
        for (size_t i = 0; i < model.terms.size(); ++i) {
            bool any = false;
            for (int g = 0; g < count; ++g) any = any || gone[g].term == int(i);
            if (!any) continue;
            const int q = model.terms[i].size;
            system.term_factor(theta, int(i), Lambda);
            left_singular(Lambda, q, basis, sizes, work);
            double root[square];
            int m = 0;
            for (int j = 0; j < q; ++j) {
                double most = 0.0;
                for (int g = 0; g < count; ++g) {
                    if (gone[g].term != int(i)) continue;
                    double s = 0.0;
                    for (int r = 0; r < q; ++r) s += gone[g].direction[r] * basis[r * q + j];
                    most = std::max(most, std::fabs(s));
                }
                if (!(most < 0.5)) continue;
                for (int r = 0; r < q; ++r) root[r * q + m] = basis[r * q + j] * sizes[j];
                ++m;
            }
            from_root(root, m, q, int(i), to);
        }
    }

    // Vanishing variances exactly zero where the boundary is the optimum; true if anything moved.
    bool snap(SmallPoint &current) {
        Candidate found[max_theta];
        Null nulls[max_theta];
        const int count = candidates(current, found);
        bool moved = false;
        const int attempts = count > 1 ? count + 1 : count;
        for (int a = 0; a < attempts; ++a) {
            SmallPoint trial;
            without(current.theta, a ? found + a - 1 : found, a ? 1 : count, trial.theta);
            evaluate(trial);
            if (system.broken) return moved;
            if (!(trial.value <= current.value + 0.1 * resolution(current.value, options.tolerance)))
                continue;
            const int m = null_directions(trial, nulls);
            bool holds = true;
            for (int i = 0; i < m && holds; ++i)
                holds = expected_gain(trial, nulls[i]) <= 1e-3 * options.tolerance;
            if (!holds) continue;
            current = trial;
            moved = true;
            if (a == 0) break;
        }
        return moved;
    }

    // Newton, then the boundary conditions, left as often as they fail.
    void local(Run &run, Known *known) {
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

    static bool better(const Run &run, const Run &best) {
        const double noise = 1e-9 + 1e-13 * std::fabs(best.point.value);
        const double gain = best.point.value - run.point.value;
        return gain > noise || (gain > -noise && run.ok && !best.ok);
    }

    // Smallest eigenvalue of the Hessian model scaled to a unit diagonal, over free directions.
    double curvature(const SmallPoint &point) const {
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
};

}  // namespace

void small_optimum(SmallSystem &system, const double *start, const SmallOptions &options,
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
            Search::Known known{best.point, same_basin * (1.0 + length(best.point.theta, k)), false};
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

}  // namespace mixeff
