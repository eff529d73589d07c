// The search of a small model: trust-region Newton, the boundary and extra starts, step by step what
// optimize/newton.py, boundary.py and solve.py do; the reasons stand there.
#pragma once

#include <limits>

#include "small_fit.hpp"

namespace mixeff::small_search {

constexpr double flat = 1e-10, nothing = 1e-10;  // newton.py
constexpr int memory = 3;
constexpr double small_sd = 1e-4;  // boundary.py
constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr int square = max_theta * max_theta;

inline double dot_(const double *a, const double *b, int n) {
    double s = 0.0;
    for (int i = 0; i < n; ++i) s += a[i] * b[i];
    return s;
}

inline double length(const double *a, int n) { return std::sqrt(dot_(a, a, n)); }

inline double resolution(double value, double tolerance) {
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

    void at(const SmallPoint &point, int k_, const Steps &steps);
    // The full step by Cholesky; false unless every eigenvalue is above the floor for sure.
    bool solve();
    // Eigenvalues raised to the floor, and the full step from them.
    void decompose();
    // Minimizer of the model within the radius (More and Sorensen 1983); returns what it gains.
    double step(double radius, double *to, double &size);
    void move(const double *theta, const double *step, double *to) const;
};

// A direction of a term without variance, and the slope of the criterion along v v'.
struct Null {
    int term;
    double direction[max_theta], slope;
};

// Where a search from one start ended.
struct Run {
    SmallPoint point;
    bool ok;
    double decrease;
};

// A direction whose variance may belong at zero.
struct Candidate {
    int term;
    double direction[max_theta];
};

// Whether a run from another start heads for the optimum known already.
struct Known {
    const SmallPoint &optimum;
    double distance;
    bool met;
};

class Search {
public:
    Search(SmallSystem &s, const SmallOptions &o) : system(s), model(s.model), options(o), k(s.model.k) {}

    SmallSystem &system;
    const SmallModel &model;
    const SmallOptions &options;
    const int k;
    int evaluations = 0;

    void evaluate(SmallPoint &point);
    void canonical(const double *theta, double *to) const;
    // Theta of a square root (size x m, row stride `stride`, destroyed) of one term's matrix.
    void from_root(double *root, int m, int stride, int term, double *theta) const;
    // The same matrices in the order of the columns that is in force, diagonals >= 0.
    void triangular(const double *factors, double *to) const;
    // Lambda of every term, side by side.
    void term_factors(const double *theta, double *factors) const;
    // The order of a pivoted Cholesky factor where that is much better than the present one.
    bool pivoted(const double *theta, int (*orders)[max_theta]) const;
    void use_order(const int (*orders)[max_theta]);
    void use_plain_order();
    void remember(Steps &steps, const SmallPoint &before, const SmallPoint &after) const;
    bool meets(Known &known, const SmallPoint &point) const;
    // A vanished column of Lambda whose variance the criterion wants: no use to go on without it.
    bool falls(SmallPoint &point);
    bool stops(SmallPoint &point, Known *known, bool last);
    // Newton, in a better order of the columns of Lambda whenever the present one turns bad.
    bool newton(SmallPoint &current, int budget, double &decrease, Known *known);
    // Minimizes from `current`, which becomes the point reached.
    bool descend(SmallPoint &current, int max_evaluations, double &decrease, Known *known,
                 bool last);
    void polish(SmallPoint &current, Quadratic &quadratic, Steps &steps, double &decrease);
    // Newton, then the boundary conditions, left as often as they fail.
    void local(Run &run, Known *known);
    static bool better(const Run &run, const Run &best);
    // Smallest eigenvalue of the Hessian model scaled to a unit diagonal, over free directions.
    double curvature(const SmallPoint &point) const;

    // The boundary (small_boundary.cpp).

    // Directions without variance, each term's in the eigenbasis of Xi on its null space.
    int null_directions(SmallPoint &point, Null *found);
    double expected_gain(SmallPoint &point, const Null &null);
    // A better point inside; false when the conditions hold or no step gains anything.
    bool leave(SmallPoint &point, SmallPoint &better);
    // Backtrack along Sigma + t v v' from the steps the curvature suggests, one per direction.
    bool line_search(SmallPoint &point, const Null *nulls, int count, SmallPoint &trial);
    int candidates(SmallPoint &point, Candidate *found);
    // Theta with the variance in the given directions removed.
    void without(const double *theta, const Candidate *gone, int count, double *to);
    // Vanishing variances exactly zero where the boundary is the optimum; true if anything moved.
    bool snap(SmallPoint &current);
};

}  // namespace mixeff::small_search
