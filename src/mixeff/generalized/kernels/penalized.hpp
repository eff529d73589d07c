// The penalized system of a generalized model at changing weights: rows to cross-products, into the
// stages and the dense tail, factor, solve. It drives the kernels of factor/kernels in the order
// crossproducts/reweighted.py, factor/refill.py, factor/cholesky.py and factor/solves.py do, on
// their arrays.
#pragma once

#include <vector>

#include "../../factor/kernels/kernels.hpp"

namespace mixeff::rows {

using LongMat = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Lambdas = std::vector<Mat>;  // (q, q) per grouping factor, the caller's order

// One grouping factor: rows, cross-products, and where its columns stand.
struct GroupArrays {
    Codes codes;
    Longs pointer, order;
    Mat Z;
    CubeOut gram, dense;
    int64_t position;  // first global column
    int64_t first;     // first number in a vector by grouping factors

    int64_t columns() const { return int64_t(Z.shape(1)); }
    int64_t levels() const { return int64_t(pointer.shape(0)) - 1; }
    int64_t size() const { return levels() * columns(); }
};

// The pairs of levels of two grouping factors that meet.
struct PairArrays {
    int64_t first, second;
    Longs indptr;
    Codes indices;
    Longs start, order;
    CubeOut values;
};

// Where the products of a pair lie in the rows of a stage (factor/refill.py).
struct PlaceArrays {
    int64_t pair;
    bool flip;
    LongMat rows;
};

struct LinkArrays {
    int64_t stage, offset;
    Codes ancestor, place;
};

// One stage (factor/stages.py) and the arrays its factor lives in.
struct StageArrays {
    int64_t group, start;
    CubeOut G;
    Longs pointer;
    Codes columns;
    MatOut B;
    int64_t skip;
    Longs meets;
    Codes meets_row, meets_level;
    LongMat dense;  // rows of X and y of every level
    MatOut rows;    // room: C = B R
    std::vector<PlaceArrays> places;
    std::vector<LinkArrays> links;
    CubeOut own_G, T, R;
    MatOut own_B;
};

enum class Definite { yes, no, without_fixed };

class Penalized {
  public:
    Penalized(Mat X, int threads) : X(X), threads(threads) {}

    // Called from Python in this order; afterwards nothing changes but the store.
    void add_group(Codes codes, Longs pointer, Longs order, Mat Z, CubeOut gram, CubeOut dense,
                   int64_t position);
    void add_pair(int64_t first, int64_t second, Longs indptr, Codes indices, Longs start,
                  Longs order, CubeOut values);
    void add_stage(int64_t group, int64_t start, CubeOut G, Longs pointer, Codes columns, MatOut B,
                   int64_t skip, Longs meets, Codes meets_row, Codes meets_level, LongMat dense,
                   MatOut rows);
    void add_place(int64_t stage, int64_t pair, bool flip, LongMat rows);
    void add_link(int64_t stage, int64_t to, int64_t offset, Codes ancestor, Codes place);
    void set_tail(std::vector<int64_t> groups, Longs starts, int64_t column, MatOut fixed,
                  MatOut room);
    void set_store(std::vector<CubeOut> G, std::vector<MatOut> B, std::vector<CubeOut> T,
                   std::vector<CubeOut> R, MatOut S, MatOut L, VecOut scalars);

    // Factor at new weights; `logdet` is that of the stages then.
    Definite factorize(const Vec &weight, const Lambdas &Lambda, double &logdet);

    // (M^-1 r) for r by grouping factors and then X (p), in place; without `fixed` the system is
    // that of the random effects alone. `Lambda` is that of the factor.
    void solve(const Lambdas &Lambda, double *by_groups, double *fixed_part, bool fixed);

    int64_t n() const { return int64_t(X.shape(0)); }
    int64_t p() const { return int64_t(X.shape(1)); }
    int64_t random() const { return groups.empty() ? 0 : groups.back().first + groups.back().size(); }
    void check(const Lambdas &Lambda) const;

    Mat X;
    int threads;
    std::vector<GroupArrays> groups;

  private:
    void fill(const Vec &weight);
    void refresh();
    void fill_tail();
    // Lt (or Lt') t on the tail's random columns, from `t` to `out`.
    void scale_tail(const Lambdas &Lambda, const double *t, double *out, bool transpose) const;

    std::vector<PairArrays> pairs;
    std::vector<StageArrays> stages;
    std::vector<int64_t> tail_groups;
    Longs starts;
    int64_t tail = 0, width = 0;  // first tail column; columns of Z, X and y
    MatOut fixed, room, S, L;
    VecOut scalars;
    Vec nothing;                  // in the place of a response
    std::vector<double> vectors;  // t, gathered and b
    MatOut t, gathered, b, of_tail;
};

}  // namespace mixeff::rows
