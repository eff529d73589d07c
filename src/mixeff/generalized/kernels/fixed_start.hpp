// Where the search of a small model begins: rows level by level, the model without random effects,
// variances from moments. The steps are those of generalized/starting.py, which takes over where
// they come to nothing here.
#pragma once

#include "dispersions.hpp"
#include "one_factor.hpp"

namespace mixeff::rows {

// Lower Cholesky factor of the n x n square in the place of its lower triangle; false where a
// pivot keeps less than `least` of its diagonal element.
bool factorize(std::vector<double> &square, int n, double least);

// (L L')^-1 x in place, L row by row.
void solve_factored(const std::vector<double> &L, int n, double *x);

// The caller's rows in the order of their levels; eta is a first guess of the predictor.
struct LevelSorted {
    std::vector<double> y, w, offset, X, Z, eta;
    std::vector<int64_t> pointer, place;  // place[i]: the caller's row of row i
    int p, q;

    int64_t rows() const { return int64_t(y.size()); }
    int64_t levels() const { return int64_t(pointer.size()) - 1; }
};

// The model without random effects, fitted by Fisher scoring as far as a start needs.
class FixedStart {
  public:
    // A dispersion that is not above zero is to be estimated.
    FixedStart(LevelSorted &data, Pass run, Dispersions &settings, double dispersion)
        : dispersion(dispersion > 0.0 ? dispersion : 1.0), data(data), run(run),
          settings(settings), estimated(!(dispersion > 0.0)) {
        use(this->dispersion);
    }

    // False if the likelihood cannot be computed or some direction has no information.
    bool find();

    // X and Z in units of a row's residual deviation, and beta with them; theta_j is the standard
    // deviation by moments where entry j is on the diagonal of Lambda, else zero.
    void rescale();
    void moments(const int32_t *row, const int32_t *column, int entries, double *theta) const;

    std::vector<double> beta;
    double scale = 1.0, dispersion;

  private:
    // Log-likelihood at some coefficients, not a number where it or a weight is none; `into` takes
    // the parts of the rows.
    double at(const std::vector<double> &coefficients, std::vector<double> &into);
    bool information();
    bool first();
    void use(double other);
    void find_dispersion();

    LevelSorted &data;
    Pass run;
    Dispersions &settings;
    const bool estimated;
    Setting set;
    std::vector<double> values, trial, square, eta;
    double loglik_sum = 0.0;
};

}  // namespace mixeff::rows
