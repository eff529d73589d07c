// What the rows' terms need at one dispersion or shape: the setting of a pass, tables of counts, and
// the constants of the log-likelihood that the dispersion changes (RowPass.row_constants has them).
#pragma once

#include <string>

#include "row_pass.hpp"

namespace mixeff::rows {

constexpr double largest_table = 1e5;  // as _LARGEST_COUNT of passes.py

// Derivatives in log dispersion beside the value.
struct Constants {
    double value = 0.0, slope = 0.0, bend = 0.0;
};

// With shape a of a Gamma: log(a / 2 pi) / 2 - Stirling's remainder.
inline Constants gamma_constants(double a) {
    // Whole steps up to where the series are exact.
    double up = a, product = 1.0, first = 0.0, second = 0.0;
    for (; up < large; up += 1.0) {
        product *= up;
        first += 1.0 / up;
        second += 1.0 / (up * up);
    }
    double near = 0.5, bend = -0.5, remainder = stirling_far(up);
    const double inverse = 1.0 / up, square = inverse * inverse;
    double power = inverse;
    for (int i = 0; i < terms; ++i, power *= square) {
        near += bernoulli[i] / (2 * i + 2) * power;
        bend -= bernoulli[i] * power;
    }
    if (up > a) {
        // near = a (log a - digamma), bend = a^2 (1 / a - trigamma), from those of up = a + k.
        remainder += (up - 0.5) * std::log(up) - up - std::log(product) -
                     ((a - 0.5) * std::log(a) - a);
        near = a * (near / up + first - std::log(up / a));
        bend = a * a * (bend / (up * up) - 1.0 / up - second) + a;
    }
    return {0.5 * std::log(a) - half_log_2pi - remainder, -near, near + bend};
}

// Settings of one response, one dispersion after the other.
class Dispersions {
  public:
    Dispersions(const std::string &family, const std::vector<double> &y,
                const std::vector<double> &w)
        : shaped(family == "negative_binomial"), gamma(family == "gamma"),
          scaled(family == "gaussian" || family == "inverse_gaussian"), w(w), rows(y.size()),
          top(shaped ? table_top(y) : -1), tables(-1, 1.0, false) {}

    // Good until the next call.
    Setting at(double dispersion) {
        if (top >= 0) tables = Tables(top, dispersion, true);
        return {dispersion,
                std::log(dispersion),
                std::log1p(dispersion),
                false,
                top >= 0 ? tables.rising.data() : nullptr,
                top >= 0 ? tables.beyond_log.data() : nullptr,
                top >= 0 ? tables.beyond_both.data() : nullptr};
    }

    Constants constants(double dispersion) const {
        Constants out;
        if (scaled) {
            double used = double(rows);
            for (double v : w) used -= v > 0.0 ? 0.0 : 1.0;
            out.value = -used * (0.5 * std::log(dispersion) + half_log_2pi);
            out.slope = -0.5 * used;
        }
        if (!gamma) return out;
        if (w.empty()) {
            const Constants one = gamma_constants(1.0 / dispersion);
            return {one.value * double(rows), one.slope * double(rows), one.bend * double(rows)};
        }
        double weight = 0.0;
        Constants one;
        for (double v : w) {
            if (!(v > 0.0)) continue;
            if (v != weight) one = gamma_constants((weight = v) / dispersion);
            out.value += one.value;
            out.slope += one.slope;
            out.bend += one.bend;
        }
        return out;
    }

  private:
    // The largest count, none where a table of counts is of no use.
    static int64_t table_top(const std::vector<double> &y) {
        double most = 0.0;
        for (double v : y) {
            if (!(v >= 0.0 && v <= largest_table && v == std::floor(v))) return -1;
            most = std::max(most, v);
        }
        return most < double(y.size()) ? int64_t(most) : -1;
    }

    const bool shaped, gamma, scaled;
    const std::vector<double> &w;
    const size_t rows;
    const int64_t top;
    Tables tables;
};

}  // namespace mixeff::rows
