// Variances of zero in a small search: leaving the boundary and going to it; as
// optimize/boundary.py.

#include "small_search.hpp"

namespace mixeff::small_search {

namespace {

constexpr double snap_sd = 2e-2;
constexpr int backtracks = 40;

}  // namespace

int Search::null_directions(SmallPoint &point, Null *found) {
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

double Search::expected_gain(SmallPoint &point, const Null &null) {
    if (null.slope >= 0) return 0.0;
    const double bend = system.curvature_along(point, null.term, null.direction);
    return bend > 0 ? 0.5 * null.slope * null.slope / bend : infinite;
}

bool Search::leave(SmallPoint &point, SmallPoint &better) {
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

bool Search::line_search(SmallPoint &point, const Null *nulls, int count, SmallPoint &trial) {
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

int Search::candidates(SmallPoint &point, Candidate *found) {
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

void Search::without(const double *theta, const Candidate *gone, int count, double *to) {
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

bool Search::snap(SmallPoint &current) {
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

}  // namespace mixeff::small_search
