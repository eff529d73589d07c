// Terms of one row for every family, given the jets of its link; the formulas stand in
// families/*.py. Log-likelihoods leave out what neither eta nor (but for the negative binomials)
// the dispersion changes: RowPass adds it.
#pragma once

#include <type_traits>

#include "links.hpp"

namespace mixeff::rows {

// In the order of RowTerms in families/family.py.
enum Part {
    loglik,
    score,
    weight,
    weight_slope,
    loglik_r,
    score_r,
    weight_r,
    weight_curvature,
    loglik_rr,
    score_rr,
    weight_rr,
    weight_slope_r,
    parts
};

// The parts a level computes: value; Newton step; gradient of the determinant; everything.
constexpr int level_parts[4] = {1, 3, 7, 12};

struct Setting {
    double dispersion, log_dispersion, log1p_dispersion;
    bool expected;
    // Functions of the count alone at this shape (NB2), or null where the counts are too many.
    const double *rising, *beyond_log, *beyond_both;
};

constexpr double impossible = std::numeric_limits<double>::quiet_NaN();

template <int Level>
inline void put(double *row, const Jet &l, bool expected, const Slopes &info) {
    row[loglik] = l.v;
    if constexpr (Level >= 1) {
        row[score] = l.a;
        row[weight] = expected ? info.w : -l.b;
    }
    if constexpr (Level >= 2) row[weight_slope] = expected ? info.w1 : -l.c;
    if constexpr (Level >= 3) row[weight_curvature] = expected ? info.w2 : -l.d;
}

// Gamma, inverse Gaussian, Gaussian: everything goes with 1 / phi.
template <int Level>
inline void put_scaled(double *row, const Jet &l, bool expected, const Slopes &info) {
    put<Level>(row, l, expected, info);
    if constexpr (Level >= 2) {
        row[loglik_r] = -row[loglik];
        row[score_r] = -row[score];
        row[weight_r] = -row[weight];
    }
    if constexpr (Level >= 3) {
        row[loglik_rr] = row[loglik];
        row[score_rr] = row[score];
        row[weight_rr] = row[weight];
        row[weight_slope_r] = -row[weight_slope];
    }
}

template <class Link>
struct Binomial {
    static constexpr bool without_calls = std::is_same_v<Link, Logit>;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        if constexpr (std::is_same_v<Link, Logit>) {
            const double e = exp_safe(-std::fabs(eta)), inverse = 1.0 / (1.0 + e);
            const double small = e * inverse;
            const double p = eta > 0.0 ? inverse : small, q = eta > 0.0 ? small : inverse;
            const double v = small * inverse, d = q - p;
            row[loglik] = w * ((y * eta - (eta > 0.0 ? eta : 0.0)) - log1p_unit(e));
            if constexpr (Level >= 1) {
                // Not y - p: that has no digits left where p has come close to y = 1.
                row[score] = w * (y * q - (1.0 - y) * p);
                row[weight] = w * v;
            }
            if constexpr (Level >= 2) row[weight_slope] = w * v * d;
            if constexpr (Level >= 3) row[weight_curvature] = w * v * (1.0 - 6.0 * v);
        } else {
            if constexpr (Link::every_eta) {
                // Of a Bernoulli trial only one logarithm is wanted.
                if (!set.expected && (y == 0.0 || y == 1.0)) {
                    const Jet one = y == 1.0 ? Link::log(eta) : Link::rest(eta);
                    return put<Level>(row, times(w, one), false, Slopes{});
                }
            }
            const Jet yes = Link::log(eta), no = Link::rest(eta);
            Jet l = sum(w * y, yes, w * (1.0 - y), no);
            // 0 times an infinite logarithm; that of an impossible probability stays NaN.
            if (y == 0.0 && yes.v <= 0.0) l.v = w * no.v;
            if (y == 1.0 && no.v <= 0.0) l.v = w * yes.v;
            put<Level>(row, l, set.expected, slope_product(-w, yes, no));
        }
    }
};

template <class Link>
struct Poisson {
    static constexpr bool without_calls = std::is_same_v<Link, Log>;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        if constexpr (std::is_same_v<Link, Log>) {
            const double h = exp_safe(eta), wh = w * h;
            row[loglik] = w * (y * eta - h);
            if constexpr (Level >= 1) {
                row[score] = w * (y - h);
                row[weight] = wh;
            }
            if constexpr (Level >= 2) row[weight_slope] = wh;
            if constexpr (Level >= 3) row[weight_curvature] = wh;
        } else {
            const Jet log = Link::log(eta), mean = Link::power(eta, 1.0);
            Jet l = sum(w * y, log, -w, mean);
            if (y == 0.0) l.v = -w * mean.v;
            if (!(mean.v >= 0.0)) l.v = impossible;
            put<Level>(row, l, set.expected, slope_product(w, log, mean));
        }
    }
};

template <class Link>
struct Gamma {
    static constexpr bool without_calls = false;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        const double shape = w / set.dispersion;
        const Jet log = Link::log(eta), inverse = Link::power(eta, -1.0);
        const double off = y * inverse.v - 1.0;
        Jet l = sum(-shape, log, -shape * y, inverse);
        l.v = shape * (std::fabs(off) < 0.25 ? log1p_minus(off) : std::log(y) - log.v - off);
        l.a = shape * off * log.a;
        put_scaled<Level>(row, l, set.expected, slope_product(shape, log, log));
    }
};

template <class Link>
struct InverseGaussian {
    static constexpr bool without_calls = std::is_same_v<Link, Log>;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        const double rate = w / set.dispersion;
        const Jet one = Link::power(eta, -1.0), two = Link::power(eta, -2.0);
        const double off = y * one.v - 1.0;
        Jet l = sum(-0.5 * rate * y, two, rate, one);
        l.v = one.v > 0.0 ? -0.5 * rate * off * off / y : impossible;
        l.a = -rate * off * one.a;
        put_scaled<Level>(row, l, set.expected, slope_product(-rate, Link::log(eta), one));
    }
};

template <class Link>
struct Gaussian {
    static constexpr bool without_calls = true;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        const double rate = w / set.dispersion;
        const Jet h = Link::power(eta, 1.0);
        const double left = y - h.v;
        const Jet l{-0.5 * rate * left * left, rate * left * h.a, rate * (left * h.b - h.a * h.a),
                    rate * (left * h.c - 3.0 * h.a * h.b),
                    rate * (left * h.d - 4.0 * h.a * h.c - 3.0 * h.b * h.b)};
        put_scaled<Level>(row, l, set.expected, slope_product(rate, h, h));
    }
};

template <class Link>
inline Jet along(const Jet &f, const Jet &log) {
    if constexpr (std::is_same_v<Link, Log>)
        return f;
    else
        return compose(f, log);
}

// The derivatives of l, dl/dr and d2l/dr2 in t = log h, taken along the link.
template <int Level, class Link>
inline void put_by_size(double *row, double w, const Jet &log, const Jet &plain, const Jet &by_r,
                        const Jet &by_rr, const Slopes *info) {
    const Jet l = along<Link>(plain, log);
    row[loglik] = w * plain.v;
    if constexpr (Level >= 1) {
        row[score] = w * l.a;
        row[weight] = w * (info ? info[0].w : -l.b);
    }
    if constexpr (Level >= 2) {
        const Jet r = along<Link>(by_r, log);
        row[weight_slope] = w * (info ? info[0].w1 : -l.c);
        row[loglik_r] = w * by_r.v;
        row[score_r] = w * r.a;
        row[weight_r] = w * (info ? info[1].w : -r.b);
        if constexpr (Level >= 3) {
            const Jet rr = along<Link>(by_rr, log);
            row[weight_curvature] = w * (info ? info[0].w2 : -l.d);
            row[loglik_rr] = w * by_rr.v;
            row[score_rr] = w * rr.a;
            row[weight_rr] = w * (info ? info[2].w : -rr.b);
            row[weight_slope_r] = w * (info ? info[1].w1 : -r.c);
        }
    }
}

template <class Link>
struct NegativeBinomial {
    static constexpr bool without_calls = false;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        const double k = set.dispersion;
        const Jet log = Link::log(eta);
        const double t = log.v, mu = exp_safe(t), z = t - set.log_dispersion;
        const double e = exp_safe(-std::fabs(z)), inverse = 1.0 / (1.0 + e), small = e * inverse;
        const double p = z > 0.0 ? inverse : small, q = z > 0.0 ? small : inverse;
        const double tail = log1p_unit(e), log_k = set.log_dispersion;
        const double log_p = (z > 0.0 ? 0.0 : z) - tail, log_q = (z > 0.0 ? -z : 0.0) - tail;
        const int64_t count = static_cast<int64_t>(y);
        const double rising = set.rising ? set.rising[count] : log_gamma_ratio(y, k, log_k);
        Jet plain{rising + k * log_q, 0, 0, 0, 0}, by_r{}, by_rr{};
        if (y > 0.0) plain.v += y * log_p;
        if (t != t) plain.v = impossible;
        const double pq = p * q, d = q - p, bend = (y + k) * pq;
        plain.a = p < 0.5 ? q * (y - mu) : q * y - p * k;
        plain.b = -bend;
        plain.c = -bend * d;
        plain.d = -bend * (1.0 - 6.0 * pq);
        if constexpr (Level >= 2) {
            double pull, far, ahead, both;
            size_gaps(y, mu, k, pull, far);
            if (set.rising) {
                ahead = set.beyond_log[count];
                both = set.beyond_both[count];
            } else {
                const Ratio ratio = gamma_ratio(y, k);
                ahead = ratio.beyond_log;
                both = ratio.beyond_both;
            }
            const double off = p * plain.a, level = p * p * k, wave = d * d - 2.0 * pq;
            by_r = {ahead + far, off, off * d - level, off * wave - 2.0 * level * d - level, 0};
            by_rr = {both + far + pull * (pull / (y + k)), -off * d,
                     level * d - off * wave, 0, 0};
        }
        if (!set.expected) return put_by_size<Level, Link>(row, w, log, plain, by_r, by_rr, nullptr);
        const double a = log.a, b = log.b, square = a * a;
        const double m = k * p, m_t = m * q, m_r = m * p, m_tr = 2.0 * m_t * p;
        const Slopes info[3] = {
            {square * m, 2.0 * a * b * m + square * a * m_t,
             2.0 * (b * b + a * log.c) * m + 5.0 * square * b * m_t + square * square * m_t * d},
            {square * m_r, 2.0 * a * b * m_r + square * a * m_tr, 0},
            {square * m_r * (p - q), 0, 0}};
        put_by_size<Level, Link>(row, w, log, plain, by_r, by_rr, info);
    }
};

template <class Link>
struct NegativeBinomial1 {
    static constexpr bool without_calls = false;

    template <int Level>
    static void terms(double y, double eta, double w, const Setting &set, double *row) {
        const double phi = set.dispersion, c = set.log1p_dispersion;
        const Jet log = Link::log(eta);
        const double t = log.v, mu = exp_safe(t);
        const double s = std::min(std::max(mu / phi, 2.3e-308), 1e300);
        Jet plain{-s * c, 0, 0, 0, 0}, by_r{}, by_rr{};
        if (y > 0.0)
            plain.v += log_gamma_ratio(y, s, t - set.log_dispersion) + y * (set.log_dispersion - c);
        if (t != t) plain.v = impossible;
        if constexpr (Level >= 1) {
            const Ratio ratio = gamma_ratio(y, s);
            const double *g = ratio.slopes;
            const double c1 = phi / (1.0 + phi), sc = s * c, sc1 = s * c1;
            plain = {plain.v, g[0] - sc, g[1] - sc, g[2] - sc, g[3] - sc};
            if constexpr (Level >= 2) {
                double pull, far;
                size_gaps(y, mu, s, pull, far);
                const double slope = ratio.beyond_both;
                const double turn = 2.0 * sc1 - sc - sc1 / (1.0 + phi);
                by_r = {-ratio.beyond_log - far, -slope - far - pull * (y / (y + s)),
                        sc - sc1 - g[2], sc - sc1 - g[3], 0};
                by_rr = {slope + far + pull * (pull / (y + s)), g[2] + turn, g[3] + turn, 0, 0};
            }
        }
        if (!set.expected) return put_by_size<Level, Link>(row, w, log, plain, by_r, by_rr, nullptr);
        const double share = phi / (1.0 + phi);
        const Slopes one = slope_product(1.0 / (1.0 + phi), log, Link::power(eta, 1.0));
        const double twice = share * (2.0 * share - 1.0);
        const Slopes info[3] = {one, {-share * one.w, -share * one.w1, 0}, {twice * one.w, 0, 0}};
        put_by_size<Level, Link>(row, w, log, plain, by_r, by_rr, info);
    }
};

}  // namespace mixeff::rows
