// Levels of a factor that stands alone, by classes of equal Z_l'Z_l.
//
// With G = U U' of a class, Z_l'[X y] = U W_l for each of its levels, and Phi = (I + U'Sigma U)^-1,
// everything the criterion and its derivatives take from the class is Phi and sums over its levels
// of products of two entries of W_l: second moments, formed once. An evaluation then costs what
// the classes cost, however many levels share them (all subjects of a balanced experiment; all
// groups of one size for a random intercept). W_l has orthonormal coordinates and Phi lies between
// 0 and I, so that no digits are lost where G is ill-conditioned, and what the levels leave of
// [X y]'[X y] is subtracted once instead of at every theta.
#pragma once

#include <cstdint>
#include <vector>

namespace mixeff {

struct SmallModel;
struct SmallParameter;

// The classes of a model, which all its responses share; none where they would not pay.
struct LevelClasses {
    int64_t count = 0;
    std::vector<int32_t> of_level;
    std::vector<double> sizes, roots;  // levels of each; U (count, q, q), lower triangular
};

// `always`: whether they pay or not.
LevelClasses level_classes(const SmallModel &model, bool always);

// The moments of one response, and the part of the eliminated factor at one theta after the other.
class ClassMoments {
public:
    // Takes from A (width, width) what lies in the columns of the levels.
    ClassMoments(const SmallModel &model, double *A);

    // Another response: By (levels, q), and A with its products as for the constructor.
    void respond(const double *By, double *A);
    // Adds to S; returns log|I + Lambda'Z'Z Lambda|, NaN when it is not positive definite.
    double eliminate(const double *Lambda, double *S);
    // H, zz', F (width, k) and the information (k, k) of the parameters: sums over all levels.
    // Q: inverse over the columns that count; b: fixed effects, and -1 where y stands.
    void differentiate(const double *Lambda, const SmallParameter *parameters, const double *Q,
                       const double *b, double *H, double *ZZ, double *F, double *information);
    // sum (z'v)^2 v'Nv, with sum (z'v)^2 in `slope` and sum E v (z'v) added to f (width,).
    double along(const double *v, const double *b, double *f, double &slope) const;
    // Modes of the levels (levels, q).
    void modes(const double *Lambda, const double *b, double *modes) const;

private:
    void explain(const double *from, int64_t step, int64_t i);
    void moments_of(int64_t i, double *A);
    template <int Q> double eliminate_(const double *Lambda, double *S);
    template <int Q>
    void differentiate_(const double *Lambda, const SmallParameter *parameters, const double *Q_,
                        const double *b, double *H, double *ZZ, double *F, double *information);
    template <int Q> void moments_of_(int64_t i, double *A);

    const SmallModel &model;
    const int64_t q, packed, width, pairs;  // packed: entries of a symmetric q x q matrix
    std::vector<double> W;                  // (width, levels, q)
    std::vector<double> moments;            // (count, pairs, packed): symmetric part of W_i'W_j
    std::vector<double> Phi;                // (count, q, q)
    std::vector<double> G;                  // (width, q, q)
};

}  // namespace mixeff
