// A small linear mixed model: one eliminated factor, a short dense tail, few covariance parameters.
// The criterion with its derivatives and the whole optimization, on arrays made once (ENGINE
// sections 2 to 4); the same algorithm as linear/criterion.py and optimize/ in Python.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "small_algebra.hpp"
#include "small_classes.hpp"

namespace mixeff {

constexpr int max_slopes = 32;  // entries of all Xi together: at most 25 for max_theta

// One covariance term: which block (0 the eliminated one, then the tail's), its first column there,
// its columns, its first parameter and the first entry of its Xi.
struct SmallTerm {
    int block, offset, size, theta, slopes;
};

// The entry of a block's Lambda that a parameter is.
struct SmallParameter {
    int term, row, column;
};

struct SmallBlock {
    int64_t first, last, q;  // tail columns
};

// What all responses share; the arrays belong to the caller.
struct SmallModel {
    int64_t levels, q, width, random, fixed, n;  // width: tail columns with X and y
    bool reml;
    const double *G, *B, *A;   // (levels, q, q), (rows, q) with y last in each level, (width, width)
    const int64_t *pointer;    // (levels + 1,)
    const int32_t *columns;    // tail column of each row of B
    std::vector<SmallBlock> blocks;
    std::vector<SmallTerm> terms;
    std::vector<SmallParameter> parameters;
    int k, slopes;             // parameters, entries of all Xi
    LevelClasses classes;
    double nu() const { return double(n - (reml ? fixed : 0)); }
};

// The criterion at one theta.
struct SmallPoint {
    double theta[max_theta], value, gradient[max_theta], hessian[max_theta * max_theta];
    double Xi[max_slopes];
    bool derived;

    // Copies what k parameters use.
    void take(const SmallPoint &other, int k, int slopes) {
        std::copy(other.theta, other.theta + k, theta);
        value = other.value;
        derived = other.derived;
        if (!derived) return;
        std::copy(other.gradient, other.gradient + k, gradient);
        std::copy(other.hessian, other.hessian + k * k, hessian);
        std::copy(other.Xi, other.Xi + slopes, Xi);
    }
};

// The system of one response, factored at one theta after the other.
class SmallSystem {
public:
    explicit SmallSystem(const SmallModel &model);

    // Takes products with a new response: By (levels, q) and Ay (width,).
    void respond(const double *By, const double *Ay);
    // Factors at point.theta and sets point.value: +inf where it cannot be evaluated. Sets
    // `broken` where the Python engine would raise (dependent X, the random effects reproduce y).
    void evaluate(SmallPoint &point);
    // Gradient, Xi and Hessian model of the point, which is factored again if it was left.
    void derive(SmallPoint &point);
    // Second derivative along Sigma_term + t v v'.
    double curvature_along(SmallPoint &point, int term, const double *v);
    // beta (p), (X'V^-1 X)^-1 (p, p), modes of the eliminated factor (levels, q) and of the tail.
    void solution(SmallPoint &point, double *beta, double *covariance, double *modes,
                  double *tail_modes);
    // Lambda (size, size) of one term in the present order.
    void term_factor(const double *theta, int term, double *Lambda) const;
    // Lambda[order] of a term is lower triangular; nothing evaluated before is valid afterwards.
    void reorder(int term, const int *order);
    const int *order(int term) const { return orders.data() + term * max_theta; }
    bool plain() const { return !reordered; }
    // Rounding of the criterion at the factored theta, as linear/criterion.py has it.
    double noise() const { return 9e-16 * model.nu() * double(model.n) / pwrss; }

    const SmallModel &model;
    bool broken = false;
    double pwrss = 0.0;

    // Gradient, Hessian model and Xi with the residual variance `tau` given instead of profiled out:
    // k + 1 parameters, log tau last. The value is set too.
    void derive_unprofiled(SmallPoint &point, double tau, double *gradient, double *hessian);

private:
    template <int Q, int Rows> double eliminate();
    template <int Q, int Rows, int K> void differentiate();
    template <typename Body> void with_shape(Body body);
    double eliminate_levels();
    void differentiate_levels();
    double factor_tail();
    void solve_tail_modes();
    void invert_tail();
    void tail_derivatives();
    void add_directions();
    void collect(SmallPoint &point, double sigma2, bool profiled, double *scores);
    void block_factors(const double *theta);
    void times_Lambda_transposed(double *column) const;
    bool invert_if_sound(const double *Lambda, int q, double *inverse) const;

    std::optional<ClassMoments> classes;  // in place of B to Z below
    // T: inverses of the Cholesky factors of every level
    std::vector<double> B, A, T, R, C, E, N, Z, S, L, P, Qs, b, F, U, D, H, ZZ;
    std::vector<double> tail_u, tail_z;
    std::vector<int64_t> slot;  // of each block in H and ZZ
    std::vector<double> Lambdas, shapes, inverses;  // lower triangular; as theta makes it
    std::vector<SmallParameter> parameters;         // in the present order
    std::vector<int> orders;
    bool reordered = false;
    std::vector<char> sound;
    double information[max_theta * max_theta], second[max_theta * max_theta];
    double at[max_theta];       // theta of the factor that is held
    bool derived = false;       // E, N, Z, Qs and b belong to it
};

// Options of the optimizer and the starts tried when an optimum lies on the boundary.
struct SmallOptions {
    double tolerance;
    int max_evaluations, extra;
    const double *starts;  // (extra, k)
    bool judge;            // whether the curvature is wanted
};

// 0: an optimum; 1: Newton ended without one; 2: nothing to be had here, start again in Python.
enum SmallStatus { small_ok = 0, small_stopped = 1, small_broken = 2 };

struct SmallOptimum {
    SmallPoint point;
    int status, evaluations, nulls, n_values;
    double decrease, curvature;
    double values[32];  // criterion reached from each start
};

// Trust-region Newton, the boundary, extra starts: optimize/ in Python for one small system.
void small_optimum(SmallSystem &system, const double *start, const SmallOptions &options,
                   SmallOptimum &found);

}  // namespace mixeff
