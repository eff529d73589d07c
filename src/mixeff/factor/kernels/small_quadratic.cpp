// The quadratic model of a small search and its step within a radius; as optimize/newton.py.

#include "small_search.hpp"

namespace mixeff::small_search {

namespace {

constexpr double agree = 0.2;

}  // namespace

void Quadratic::at(const SmallPoint &point, int k_, const Steps &steps) {
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

bool Quadratic::solve() {
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

void Quadratic::decompose() {
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

double Quadratic::step(double radius, double *to, double &size) {
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

void Quadratic::move(const double *theta, const double *step, double *to) const {
    for (int i = 0; i < k; ++i) to[i] = theta[i] + (pinned[i] ? 0.0 : step[i]);
}

}  // namespace mixeff::small_search
