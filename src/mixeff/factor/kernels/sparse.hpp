// The sparse tail's matrices: columns in elimination order, gathered in panels of equal pattern.
//
// Panel s holds columns first[s] .. first[s + 1] - 1 for its own rows and the rows listed below them,
// row by row, so that its first rows are a square diagonal block. X and y are the last panel and
// the last rows of every other. A level's columns lie in one panel, its rows together.
#pragma once

#include "arrays.hpp"

namespace mixeff {

// What panel `from` contributes to panel `to`, whose columns its rows begin .. end - 1 are; place in
// `relative` of the position in panel `to` of its rows from begin on.
struct Update {
    int64_t from, to, begin, end, relative;
};

struct Panels {
    const int64_t *first, *rows_at, *start, *push_at, *pull_at, *pull;
    const int32_t *rows, *relative, *kind;
    const Update *updates;
    int64_t count, total;  // panels, columns

    Panels(const Longs &first_, const Longs &rows_at_, const Codes &rows_, const Longs &start_,
           const Longs &push_at_, const Longs &updates_, const Longs &pull_at_,
           const Longs &pull_, const Codes &relative_, const Codes &kind_)
        : first(first_.data()),
          rows_at(rows_at_.data()),
          start(start_.data()),
          push_at(push_at_.data()),
          pull_at(pull_at_.data()),
          pull(pull_.data()),
          rows(rows_.data()),
          relative(relative_.data()),
          kind(kind_.data()),
          updates(reinterpret_cast<const Update *>(updates_.data())),
          count(int64_t(first_.shape(0)) - 1),
          total(first_.data()[count]) {}

    int64_t width(int64_t s) const { return first[s + 1] - first[s]; }
    int64_t below(int64_t s) const { return rows_at[s + 1] - rows_at[s]; }
    // Column of row i of panel s, the own ones first.
    int64_t row(int64_t s, int64_t i) const {
        const int64_t c = width(s);
        return i < c ? first[s] + i : rows[rows_at[s] + i - c];
    }
    int64_t random() const { return first[count - 1]; }
    // The panel of the first row below: its pattern contains the rest.
    int64_t parent(int64_t s) const { return updates[push_at[s]].to; }
};

// The arguments every kernel of the sparse tail begins with, and the view made of them.
#define MIXEFF_PANELS                                                                           \
    Longs first, Longs rows_at, Codes rows, Longs start, Longs push_at, Longs updates,          \
        Longs pull_at, Longs pull, Codes relative, Codes kind
#define MIXEFF_VIEW \
    Panels(first, rows_at, rows, start, push_at, updates, pull_at, pull, relative, kind)

// Row of panel s of every column it holds, this thread's own; for other columns it means nothing.
std::vector<int32_t> &positions(const Panels &p, int64_t s);

// Both triangles of the diagonal block of a panel from the lower one.
inline void complete(double *P, int64_t width) {
    for (int64_t i = 0; i < width; ++i)
        for (int64_t j = 0; j < i; ++j) P[j * width + i] = P[i * width + j];
}

// Panel s of M <- Lt' M Lt, or Lt M Lt'; the diagonal block in full.
void scale_panel(const Panels &p, int64_t s, double *P, const std::vector<Mat> &Lambdas,
                 bool transposed);

}  // namespace mixeff
