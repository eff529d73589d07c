// A function of eta with its first four derivatives, as in families/jets.py.
#pragma once

namespace mixeff::rows {

struct Jet {
    double v, a, b, c, d;
};

// Derivatives of f(g(eta)); the value is that of f.
inline Jet compose(const Jet &f, const Jet &g) {
    const double s = g.a * g.a;
    return {f.v, f.a * g.a, f.b * s + f.a * g.b,
            f.c * s * g.a + 3.0 * f.b * g.a * g.b + f.a * g.c,
            f.d * s * s + 6.0 * f.c * s * g.b + f.b * (3.0 * g.b * g.b + 4.0 * g.a * g.c) +
                f.a * g.d};
}

inline Jet sum(double s, const Jet &f, double t, const Jet &g) {
    return {s * f.v + t * g.v, s * f.a + t * g.a, s * f.b + t * g.b, s * f.c + t * g.c,
            s * f.d + t * g.d};
}

inline Jet times(double s, const Jet &f) { return {s * f.v, s * f.a, s * f.b, s * f.c, s * f.d}; }

inline Jet mirror(const Jet &f) { return {f.v, -f.a, f.b, -f.c, f.d}; }

// f' g' with its first two derivatives.
struct Slopes {
    double w, w1, w2;
};

inline Slopes slope_product(double s, const Jet &f, const Jet &g) {
    return {s * f.a * g.a, s * (f.b * g.a + f.a * g.b),
            s * (f.c * g.a + 2.0 * f.b * g.b + f.a * g.c)};
}

}  // namespace mixeff::rows
