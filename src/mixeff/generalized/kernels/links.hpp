// The built-in links: jets of log h, log(1 - h) and powers of h; the formulas of families/links.py.
#pragma once

#include "special.hpp"

namespace mixeff::rows {

// every_eta: any eta has a probability as its mean.
struct Logit {
    static constexpr bool every_eta = true;

    static Jet log(double eta) {
        const double e = exp_safe(-std::fabs(eta)), inverse = 1.0 / (1.0 + e);
        const double q = eta > 0.0 ? e * inverse : inverse;
        const double v = e * inverse * inverse, d = 2.0 * q - 1.0;
        return {(eta < 0.0 ? eta : 0.0) - log1p_unit(e), q, -v, -v * d, -v * (1.0 - 6.0 * v)};
    }
    static Jet rest(double eta) { return mirror(log(-eta)); }
};

struct Probit {
    static constexpr bool every_eta = true;

    static Jet log(double eta) { return normal_log(eta); }
    static Jet rest(double eta) { return mirror(normal_log(-eta)); }
};

struct Cloglog {
    static constexpr bool every_eta = true;

    static Jet log(double eta) {
        const double x = std::exp(std::min(eta, 6.620073206530356));  // log(750)
        const double b = x > 0.0 ? x / std::expm1(x) : 1.0;
        double c;
        if (x < 0.3) {
            const double z = x * x;
            double t = -691.0 / 1307674368000.0;
            for (double term : {1.0 / 47900160, -1.0 / 1209600, 1.0 / 30240, -1.0 / 720, 1.0 / 12})
                t = t * z + term;
            c = 0.5 * x - z * t - x;
        } else {
            c = 1.0 - b - x;
        }
        const double slope = -x - b * c, square = c * c + slope;
        const double value = eta < -40.0 ? eta - 0.5 * x
                             : x < 1.0   ? std::log(-std::expm1(-x))
                                         : std::log1p(-std::exp(-x));
        return {value, b, b * c, b * square,
                b * c * square + b * (2.0 * c * slope - x - b * c * c - b * slope)};
    }
    static Jet rest(double eta) {
        const double x = -exp_safe(eta);
        return {x, x, x, x, x};
    }
};

struct Cauchit {
    static constexpr bool every_eta = true;

    static Jet log(double eta) {
        const double s = 1.0 / (1.0 + eta * eta), h = std::atan2(1.0, -eta) / M_PI_;
        const double a = s / (M_PI_ * h);
        const double b = -2.0 * eta * s * a, c = (6.0 * eta * eta - 2.0) * s * s * a;
        const double d = 24.0 * eta * (1.0 - eta * eta) * s * s * s * a;
        return {std::log(h), a, b - a * a, c - 3.0 * a * b + 2.0 * a * a * a,
                d - 4.0 * a * c - 3.0 * b * b + 12.0 * a * a * b - 6.0 * a * a * a * a};
    }
    static Jet rest(double eta) { return mirror(log(-eta)); }
    static constexpr double M_PI_ = 3.14159265358979323846;
};

struct Log {
    static constexpr bool every_eta = false;

    static Jet log(double eta) { return {eta, 1.0, 0.0, 0.0, 0.0}; }
    static Jet rest(double eta) {
        const double left = -std::expm1(eta), odds = std::exp(eta) / left;
        const double second = odds * (1.0 + odds);
        return {std::log(left), -odds, -second, -second * (1.0 + 2.0 * odds),
                -second * (1.0 + 6.0 * second)};
    }
    static Jet power(double eta, double p) {
        const double v = exp_safe(p * eta);
        return {v, p * v, p * p * v, p * p * p * v, p * p * p * p * v};
    }
};

// mu = eta ^ (Two / 2).
template <int Two>
struct Power {
    static constexpr bool every_eta = false;
    static constexpr double root = 0.5 * Two;

    static Jet log(double eta) {
        const double d = 1.0 / eta, m = root;
        // A negative root of sqrt has a mean as well; elsewhere its logarithm is NaN.
        const double value = m * std::log(Two == 4 ? std::fabs(eta) : eta);
        return {value, m * d, -m * d * d, 2.0 * m * d * d * d, -6.0 * m * d * d * d * d};
    }
    static Jet rest(double eta) {
        static_assert(Two == 2, "of the power links only identity is met with a binomial");
        const double d = -1.0 / (1.0 - eta);
        return {std::log1p(-eta), d, -d * d, 2.0 * d * d * d, -6.0 * d * d * d * d};
    }
    static Jet power(double eta, double p) {
        const double m = root * p, d = 1.0 / eta;
        const double f1 = m, f2 = f1 * (m - 1.0), f3 = f2 * (m - 2.0), f4 = f3 * (m - 3.0);
        const double v = raise(eta, d, m);
        // A derivative that vanishes does so exactly.
        return {v, f1 == 0.0 ? 0.0 : f1 * (m == 1.0 ? 1.0 : v * d),
                f2 == 0.0 ? 0.0 : f2 * (m == 2.0 ? 1.0 : v * d * d),
                f3 == 0.0 ? 0.0 : f3 * v * d * d * d,
                f4 == 0.0 ? 0.0 : f4 * v * d * d * d * d};
    }

  private:
    static double raise(double eta, double d, double m) {
        if (m == 1.0) return eta;
        if (m == 2.0) return eta * eta;
        if (m == -1.0) return d;
        if (m == -2.0) return d * d;
        if (m == 0.5) return std::sqrt(eta);
        if (m == -0.5) return 1.0 / std::sqrt(eta);
        return std::pow(eta, m);
    }
};

using Identity = Power<2>;
using Sqrt = Power<4>;
using Inverse = Power<-2>;
using InverseSquare = Power<-1>;

}  // namespace mixeff::rows
