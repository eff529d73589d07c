#include "fixed_start.hpp"

#include <algorithm>
#include <cmath>

namespace mixeff::rows {

namespace {

constexpr int most_steps = 12, most_halvings_of_steps = 20, most_turns = 20;
constexpr double most_logarithm = 12.0;  // of a dispersion to start with
constexpr double near = 1e-3;  // a gain of the log-likelihood this small ends the search
constexpr double dependent = 1e-9;
constexpr double smallest = 0.1, largest = 3.0;  // standard deviations to start with

}  // namespace

bool factorize(std::vector<double> &square, int n, double least) {
    for (int j = 0; j < n; ++j) {
        double *row = square.data() + size_t(j) * n;
        const double whole = row[j];
        double pivot = whole;
        for (int k = 0; k < j; ++k) pivot -= row[k] * row[k];
        if (!(pivot > least * whole) || !(pivot > 0.0) || !std::isfinite(pivot)) return false;
        const double root = std::sqrt(pivot);
        row[j] = root;
        for (int i = j + 1; i < n; ++i) {
            double *other = square.data() + size_t(i) * n, s = other[j];
            for (int k = 0; k < j; ++k) s -= other[k] * row[k];
            other[j] = s / root;
        }
    }
    return true;
}

void solve_factored(const std::vector<double> &L, int n, double *x) {
    for (int i = 0; i < n; ++i) {
        for (int k = 0; k < i; ++k) x[i] -= L[size_t(i) * n + k] * x[k];
        x[i] /= L[size_t(i) * n + i];
    }
    for (int i = n - 1; i >= 0; --i) {
        for (int k = i + 1; k < n; ++k) x[i] -= L[size_t(k) * n + i] * x[k];
        x[i] /= L[size_t(i) * n + i];
    }
}

bool FixedStart::find() {
    if (!first()) return false;
    for (int step = 0; step < most_steps; ++step) {
        if (estimated) {
            find_dispersion();
            loglik_sum = at(beta, values);
            if (!std::isfinite(loglik_sum)) return false;
        }
        if (!information()) return false;
        std::vector<double> move(data.p, 0.0), point(data.p);
        const double *s = values.data() + score * data.rows();
        for (int64_t i = 0; i < data.rows(); ++i)
            for (int c = 0; c < data.p; ++c) move[c] += s[i] * data.X[i * data.p + c];
        solve_factored(square, data.p, move.data());
        double part = 1.0, gained = -1.0;
        for (int turn = 0; turn < most_halvings_of_steps; ++turn, part *= 0.5) {
            for (int c = 0; c < data.p; ++c) point[c] = beta[c] + part * move[c];
            const double there = at(point, trial);
            if (!(there >= loglik_sum)) continue;
            gained = there - loglik_sum;
            loglik_sum = there;
            beta.swap(point);
            values.swap(trial);
            break;
        }
        if (gained < near) break;
    }
    double mean = 0.0;
    for (int64_t i = 0; i < data.rows(); ++i)
        mean += std::fabs(values[weight * data.rows() + i]);
    mean /= double(data.rows());
    scale = std::isfinite(mean) && mean > 1e-200 ? std::sqrt(mean) : 1.0;
    return true;
}

void FixedStart::use(double other) {
    dispersion = other;
    set = settings.at(other);
    set.expected = true;
}

// Newton's method on the log-likelihood in log dispersion, the means being fixed.
void FixedStart::find_dispersion() {
    const int64_t n = data.rows();
    std::vector<double> none(size_t(n) * level_parts[3]);
    at(beta, trial);  // the predictors
    double r = std::log(dispersion);
    for (int turn = 0; turn < most_turns; ++turn) {
        const Setting here = settings.at(std::exp(r));
        Rows pass{data.y.data(), eta.data(), data.w.empty() ? nullptr : data.w.data(), n, {}, 1};
        for (int j = 0; j < level_parts[3]; ++j) pass.out[j] = none.data() + j * n;
        const Sums sums = run(3, pass, here);
        const Constants more = settings.constants(std::exp(r));
        const double slope = sums.loglik_r + more.slope, bend = sums.loglik_rr + more.bend;
        if (!std::isfinite(slope)) break;
        const double step = bend < 0.0 ? -slope / bend : std::copysign(1.0, slope);
        r += std::min(std::max(step, -2.0), 2.0);
        if (std::fabs(step) < 1e-3 || std::fabs(r) > most_logarithm) break;
    }
    use(std::exp(std::min(std::max(r, -most_logarithm), most_logarithm)));
}

bool FixedStart::first() {
    // Least squares of the guess; X has columns of mean square one that are not nearly dependent.
    const int p = data.p;
    beta.assign(p, 0.0);
    values.resize(size_t(data.rows()) * level_parts[1]);
    trial.resize(values.size());
    std::fill(values.begin(), values.end(), 1.0);
    if (!information()) return false;
    for (int64_t i = 0; i < data.rows(); ++i)
        for (int c = 0; c < p; ++c)
            beta[c] += (data.eta[i] - data.offset[i]) * data.X[i * p + c];
    solve_factored(square, p, beta.data());
    loglik_sum = at(beta, values);
    return std::isfinite(loglik_sum);
}

// The factor of X'WX.
bool FixedStart::information() {
    const int p = data.p;
    square.assign(size_t(p) * p, 0.0);
    const double *w = values.data() + weight * data.rows();
    for (int64_t i = 0; i < data.rows(); ++i) {
        const double *x = data.X.data() + i * p;
        for (int c = 0; c < p; ++c)
            for (int e = 0; e <= c; ++e) square[c * p + e] += w[i] * x[c] * x[e];
    }
    return factorize(square, p, dependent);
}

double FixedStart::at(const std::vector<double> &coefficients, std::vector<double> &into) {
    const int64_t n = data.rows();
    eta.resize(n);
    for (int64_t i = 0; i < n; ++i) {
        double s = data.offset[i];
        for (int c = 0; c < data.p; ++c) s += data.X[i * data.p + c] * coefficients[c];
        eta[i] = s;
    }
    Rows pass{data.y.data(), eta.data(), data.w.empty() ? nullptr : data.w.data(), n, {}, 1};
    for (int j = 0; j < level_parts[1]; ++j) pass.out[j] = into.data() + j * n;
    const double found = run(1, pass, set).loglik;
    for (int64_t i = 0; i < n; ++i)
        if (!std::isfinite(into[weight * n + i])) return impossible;
    return std::isfinite(found) ? found : impossible;
}

void FixedStart::rescale() {
    const double unit = 1.0 / scale;
    for (double &x : data.X) x *= unit;
    for (double &z : data.Z) z *= unit;
    for (double &b : beta) b /= unit;
}

void FixedStart::moments(const int32_t *row, const int32_t *column, int entries,
                         double *theta) const {
    const int q = data.q;
    const int64_t n = data.rows();
    std::vector<double> above(q, 0.0), below(q, 0.0);
    for (int64_t l = 0; l < data.levels(); ++l)
        for (int a = 0; a < q; ++a) {
            double p = 0.0, g = 0.0;
            for (int64_t i = data.pointer[l]; i < data.pointer[l + 1]; ++i) {
                const double z = data.Z[i * q + a];
                p += values[score * n + i] * z;
                g += values[weight * n + i] * z * z;
            }
            above[a] += p * p - g;
            below[a] += g * g;
        }
    for (int j = 0; j < entries; ++j) {
        const double variance = above[row[j]] / std::max(below[row[j]], 1e-300);
        theta[j] = row[j] == column[j] ? std::min(std::max(std::sqrt(std::max(variance, 0.0)),
                                                           smallest), largest)
                                       : 0.0;
    }
}

}  // namespace mixeff::rows
