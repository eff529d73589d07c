// Functions of the log-likelihoods that lose digits when written down naively; the formulas stand
// in families/special.py and families/probit.py.
#pragma once

#include <cmath>
#include <limits>

#include "jets.hpp"
#include "vector_math.hpp"

namespace mixeff::rows {

constexpr double half_log_2pi = 0.918938533204672741780329736406;
constexpr double large = 16.0;  // eight terms of Stirling's series are exact from here on
constexpr int terms = 8;
constexpr double bernoulli[terms] = {1.0 / 6,  -1.0 / 30,     1.0 / 42, -1.0 / 30,
                                     5.0 / 66, -691.0 / 2730, 7.0 / 6,  -3617.0 / 510};

// log(1 + v) - v.
inline double log1p_minus(double v) {
    if (std::fabs(v) >= 0.25) return std::log1p(v) - v;
    const double s = v / (2.0 + v), z = s * s;
    double t = 1.0 / 21.0;
    t = t * z + 1.0 / 19.0;
    t = t * z + 1.0 / 17.0;
    t = t * z + 1.0 / 15.0;
    t = t * z + 1.0 / 13.0;
    t = t * z + 1.0 / 11.0;
    t = t * z + 1.0 / 9.0;
    t = t * z + 1.0 / 7.0;
    t = t * z + 0.2;
    t = t * z + 1.0 / 3.0;
    return s * (2.0 * z * t - v);
}

// lgamma(x) - ((x - 1/2) log x - x + log(2 pi)/2), for x >= 16.
inline double stirling_far(double x) {
    const double r = 1.0 / x, z = r * r;
    double t = 0.0;
    for (int i = terms; i > 0; --i) t = t * z + bernoulli[i - 1] / (2 * i * (2 * i - 1));
    return t * r;
}

// Derivatives of lgamma(y + s) - lgamma(s) for whole y >= 0, as GammaRatio of families/special.py.
struct Ratio {
    double slopes[4];
    double beyond_log, beyond_both;
};

// s^j times the j-th derivative in s, for s >= 16, and beyond_log, beyond_both.
inline void ratio_far(double y, double s, double scaled[4], double beyond[2]) {
    const double r = s / (y + s), first = -y / (y + s), log_ratio = std::log1p(y / s);
    // drop[j] = (1 + y/s)^-j - 1, all of one sign.
    double drop[2 * terms + 4];
    drop[0] = 0.0;
    for (int j = 1; j < 2 * terms + 4; ++j) drop[j] = r * drop[j - 1] + first;
    double b[4] = {-0.5 * drop[1], 0.5 * drop[2], -drop[3], 3.0 * drop[4]};
    const double inverse = 1.0 / s, square = inverse * inverse;
    double power = inverse;
    for (int i = 0; i < terms; ++i, power *= square) {
        const int j = 2 * i + 2;
        const double term = bernoulli[i] * power;
        b[0] -= term / j * drop[j];
        b[1] += term * drop[j + 1];
        b[2] -= term * (j + 1) * drop[j + 2];
        b[3] += term * (j + 1) * (j + 2) * drop[j + 3];
    }
    beyond[0] = b[0];
    beyond[1] = b[0] + b[1];
    scaled[0] = s * log_ratio + b[0];
    scaled[1] = s * drop[1] + b[1];
    scaled[2] = b[2] - s * drop[2];
    scaled[3] = 2.0 * s * drop[3] + b[3];
}

// From powers of s times derivatives in s to derivatives in log s.
inline void add_slopes(const double b[4], double slopes[4]) {
    slopes[0] += b[0];
    slopes[1] += b[0] + b[1];
    slopes[2] += b[0] + 3.0 * b[1] + b[2];
    slopes[3] += b[0] + 7.0 * b[1] + 6.0 * b[2] + b[3];
}

inline Ratio gamma_ratio(double y, double s) {
    Ratio out{{0.0, 0.0, 0.0, 0.0}, 0.0, 0.0};
    double scaled[4], beyond[2];
    if (s >= large) {
        ratio_far(y, s, scaled, beyond);
        add_slopes(scaled, out.slopes);
        out.beyond_log = beyond[0];
        out.beyond_both = beyond[1];
        return out;
    }
    if (!(y > 0.0)) return out;
    // Whole steps up to y or until s is large: slopes of log(s + i) along log s.
    double done = 0.0;
    for (; done < y && s + done < large; done += 1.0) {
        const double share = s / (s + done), rest = done / (s + done), v = share * rest;
        out.slopes[0] += share;
        out.slopes[1] += v;
        out.slopes[2] += v * (rest - share);
        out.slopes[3] += v * (1.0 - 6.0 * v);
    }
    if (done < y) {
        ratio_far(y - done, s + done, scaled, beyond);
        const double share = s / (s + done);
        double power = share;
        for (int j = 0; j < 4; ++j, power *= share) scaled[j] *= power;
        add_slopes(scaled, out.slopes);
    }
    const double logarithm = s * (s < 1e-8 ? std::log(y + s) - std::log(s) : std::log1p(y / s));
    out.beyond_log = out.slopes[0] - logarithm;
    out.beyond_both = out.slopes[1] - logarithm + s * (y / (y + s));
    return out;
}

// lgamma(y + s) - lgamma(s) for whole y >= 0, given log s (s itself may have underflowed).
inline double log_gamma_ratio(double y, double s, double log_s) {
    if (s >= large) {
        const double x = y / s;
        return s * (log1p_minus(x) + x * std::log1p(x)) - 0.5 * std::log1p(x) +
               stirling_far(y + s) - stirling_far(s) + y * log_s;
    }
    if (!(y > 0.0)) return 0.0;
    double product = 1.0, done = 1.0;
    for (; done < y && s + done < large; done += 1.0) product *= s + done;
    double out = log_s + std::log(product);
    if (done < y) out += log_gamma_ratio(y - done, s + done, std::log(s + done));
    return out;
}

// u s and s (log(1 + u) - u) with 1 + u = (y + s) / (mu + s).
inline void size_gaps(double y, double mu, double s, double &pull, double &far) {
    pull = (y - mu) * (s / (mu + s));
    if (std::fabs(y - mu) < 0.25 * (mu + s))
        far = s * log1p_minus((y - mu) / (mu + s));
    else
        far = s * (std::log(y + s) - std::log(mu + s)) - pull;
}

// log Phi with four derivatives.
inline Jet normal_log(double eta) {
    if (eta >= -2.0) {
        const double x = std::min(eta, 37.6);
        const double p = 0.5 * std::erfc(-x * 0.70710678118654752440);
        const double density = std::exp(-0.5 * x * x - half_log_2pi);
        const double m = eta < 38.0 ? density / p : 0.0;
        const double v = x + m, slope = 1.0 - m * v, third = m * (v * v - slope);
        const double value = x < 0.0 ? std::log(p)
                                     : std::log1p(-0.5 * std::erfc(x * 0.70710678118654752440));
        return {value, m, -m * v, third, m * v * (3.0 * slope - v * v) - m * third};
    }
    const double x = -eta;
    // An error at level n shrinks by exp(-2 x sqrt(n)) on its way up; the
    // fourth rung is the last one wanted.
    const double root = 2.0 + 20.0 / x;
    const int levels = 6 + static_cast<int>(root * root);
    double k = 0.5 * (std::sqrt(x * x + 4.0 * (levels + 1)) - x);
    double ladder[5] = {0, 0, 0, 0, 0};
    for (int n = levels; n > 0; --n) {
        k = n / (x + k);
        if (n <= 4) ladder[n] = k;
    }
    const double k1 = ladder[1], k2 = ladder[2], k3 = ladder[3], k4 = ladder[4];
    const double m = x + k1, step = k3 - k2, base = m * k1 * k1 * k2;
    const double third = base * step;
    const double fourth =
        -(third * (3.0 * k1 - k2 - k3) + base * (k3 * (k3 - k4) + k2 * step));
    return {-0.5 * x * x - half_log_2pi - std::log(m), m, -m * k1, third, fourth};
}

}  // namespace mixeff::rows
