// The arrays of the compiled search straight from the rows of a small model. All sums run in the
// order of gram.cpp, so that the numbers are those of the blocked cross-products to the last bit.

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "kernels.hpp"

namespace mixeff {

namespace {

// Dense columns that become working ones, (value - shift) / scale, as they are read.
struct Working {
    const double *values, *shift;
    std::vector<double> inverse;
    int64_t k;

    Working(const Mat &v, const Vec &s, const Vec &scale)
        : values(v.data()), shift(s.data()), inverse(v.shape(1)), k(int64_t(v.shape(1))) {
        if (s.shape(0) != v.shape(1) || scale.shape(0) != v.shape(1))
            throw std::invalid_argument("small_arrays: shift and scale do not fit the columns");
        for (int64_t j = 0; j < k; ++j) inverse[size_t(j)] = 1.0 / scale.data()[j];
    }
    void row(int64_t r, double root, double *out) const {
        const double *v = values + r * k;
        for (int64_t j = 0; j < k; ++j) out[j] = (v[j] - shift[j]) * inverse[size_t(j)] * root;
    }
};

// A factor of the tail; its columns begin at `start`, its levels at `first` among all of the tail's.
struct TailFactor {
    const int32_t *codes;
    Working Z;
    int64_t levels, start, first;
};

// X and y of one row, side by side.
void dense_row(const Working &X, const double *y, int64_t r, double root, double *out) {
    X.row(r, root, out);
    out[X.k] = y[r] * root;
}

// Lower triangle of [X y]'W [X y] into the last rows and columns of A (width, width).
void add_fixed(const Working &X, const double *y, const double *roots, int64_t n, int64_t width,
               double *A) {
    const int64_t d = X.k + 1, at = width - d, parts = std::min<int64_t>(64, (n + 511) / 512);
    std::vector<double> e(static_cast<size_t>(d)), mine(size_t(d * d)), local(size_t(d * d));
    for (int64_t s = 0; s < parts; ++s) {
        std::fill(mine.begin(), mine.end(), 0.0);
        const int64_t end = n * (s + 1) / parts;
        for (int64_t from = n * s / parts; from < end; from += 512) {
            std::fill(local.begin(), local.end(), 0.0);
            for (int64_t r = from; r < std::min(from + 512, end); ++r) {
                dense_row(X, y, r, roots ? roots[r] : 1.0, e.data());
                for (int64_t a = 0; a < d; ++a)
                    for (int64_t b = 0; b <= a; ++b) local[size_t(a * d + b)] += e[a] * e[b];
            }
            for (size_t i = 0; i < mine.size(); ++i) mine[i] += local[i];
        }
        for (int64_t a = 0; a < d; ++a)
            for (int64_t b = 0; b <= a; ++b)
                A[(at + a) * width + at + b] += mine[size_t(a * d + b)];
    }
}

}  // namespace

nb::tuple small_arrays(Codes codes, int64_t n_levels, Mat values, Vec shift, Vec scale,
                       std::vector<Codes> tail_codes, std::vector<int64_t> tail_levels,
                       Mats tail_values, std::vector<Vec> tail_shifts, std::vector<Vec> tail_scales,
                       Mat X_values, Vec X_shift, Vec X_scale, Vec y, Vec root) {
    const int64_t n = int64_t(y.shape(0)), J = n_levels;
    const Working Z(values, shift, scale), X(X_values, X_shift, X_scale);
    const size_t factors = tail_codes.size();
    if (int64_t(codes.shape(0)) != n || int64_t(values.shape(0)) != n ||
        int64_t(X_values.shape(0)) != n || (root.shape(0) && int64_t(root.shape(0)) != n) ||
        tail_levels.size() != factors || tail_values.size() != factors ||
        tail_shifts.size() != factors || tail_scales.size() != factors)
        throw std::invalid_argument("small_arrays: the arrays do not fit together");
    std::vector<TailFactor> tail;
    int64_t width = 0, met = 0;  // columns and levels of the tail's factors
    for (size_t i = 0; i < factors; ++i) {
        if (int64_t(tail_codes[i].shape(0)) != n || int64_t(tail_values[i].shape(0)) != n)
            throw std::invalid_argument("small_arrays: the rows of a factor do not fit");
        tail.push_back({tail_codes[i].data(), Working(tail_values[i], tail_shifts[i], tail_scales[i]),
                        tail_levels[i], width, met});
        width += tail_levels[i] * tail.back().Z.k;
        met += tail_levels[i];
    }
    const int64_t q = Z.k, random = width, d = X.k + 1;
    width += d;
    const double *roots = root.shape(0) ? root.data() : nullptr, *response = y.data();
    const int32_t *level = codes.data();

    // Which levels of the tail's factors every level meets, then where their rows of B begin.
    std::vector<int64_t> place(size_t(J * met), -1);
    for (const TailFactor &f : tail)
        for (int64_t r = 0; r < n; ++r) place[size_t(level[r] * met + f.first + f.codes[r])] = 0;
    double *G, *A, *B;
    int64_t *pointer;
    int32_t *columns;
    auto pointer_out = owned<int64_t>({size_t(J + 1)}, pointer);
    for (int64_t l = 0; l < J; ++l) {
        int64_t at = pointer[l];
        for (const TailFactor &f : tail)
            for (int64_t j = 0; j < f.levels; ++j) {
                int64_t &mine = place[size_t(l * met + f.first + j)];
                if (mine < 0) continue;
                mine = at;
                at += f.Z.k;
            }
        pointer[l + 1] = at + d;
    }
    auto columns_out = owned<int32_t>({size_t(pointer[J])}, columns);
    auto B_out = owned<double>({size_t(pointer[J]), size_t(q)}, B);
    auto G_out = owned<double>({size_t(J), size_t(q), size_t(q)}, G);
    auto A_out = owned<double>({size_t(width), size_t(width)}, A);
    for (int64_t l = 0; l < J; ++l) {
        for (const TailFactor &f : tail)
            for (int64_t j = 0; j < f.levels; ++j) {
                const int64_t at = place[size_t(l * met + f.first + j)];
                for (int64_t b = 0; at >= 0 && b < f.Z.k; ++b)
                    columns[at + b] = int32_t(f.start + j * f.Z.k + b);
            }
        for (int64_t a = 0; a < d; ++a) columns[pointer[l + 1] - d + a] = int32_t(random + a);
    }

    // One row: own columns, those of the tail's factors one after the other, X and y.
    std::vector<double> buffer(size_t(q + random + d));
    double *z = buffer.data(), *w = z + q, *e = w + random;
    for (int64_t r = 0; r < n; ++r) {
        const double weight = roots ? roots[r] : 1.0;
        const int64_t l = level[r];
        Z.row(r, weight, z);
        dense_row(X, response, r, weight, e);
        double *g = G + l * q * q, *own = B + (pointer[l + 1] - d) * q;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t c = 0; c < q; ++c) g[a * q + c] += z[a] * z[c];
        for (int64_t a = 0; a < d; ++a)
            for (int64_t c = 0; c < q; ++c) own[a * q + c] += e[a] * z[c];
        double *mine = w;
        for (size_t i = 0; i < factors; ++i) {
            const TailFactor &f = tail[i];
            const int64_t k = f.Z.k, at = f.start + f.codes[r] * k;
            f.Z.row(r, weight, mine);
            double *rows = B + place[size_t(l * met + f.first + f.codes[r])] * q;
            for (int64_t b = 0; b < k; ++b)
                for (int64_t a = 0; a < q; ++a) rows[b * q + a] += z[a] * mine[b];
            const double *other = w;
            for (size_t s = 0; s <= i; ++s) {  // the lower triangle: later factors below
                const TailFactor &h = tail[s];
                const int64_t to = h.start + h.codes[r] * h.Z.k;
                for (int64_t b = 0; b < k; ++b)
                    for (int64_t c = 0; c < h.Z.k; ++c)
                        A[(at + b) * width + to + c] += mine[b] * other[c];
                other += h.Z.k;
            }
            for (int64_t a = 0; a < d; ++a)
                for (int64_t b = 0; b < k; ++b) A[(random + a) * width + at + b] += e[a] * mine[b];
            mine += k;
        }
    }
    add_fixed(X, response, roots, n, width, A);
    for (int64_t a = 0; a < width; ++a)
        for (int64_t b = 0; b < a; ++b) A[b * width + a] = A[a * width + b];
    return nb::make_tuple(G_out, pointer_out, columns_out, B_out, A_out);
}

// Whether each level of the first factor meets at most one level of the second, and the reverse.
nb::tuple nested_codes(Codes left, int64_t n_left, Codes right, int64_t n_right) {
    if (left.shape(0) != right.shape(0))
        throw std::invalid_argument("nested_codes: the factors have different rows");
    std::vector<int32_t> of_left(size_t(n_left), -1), of_right(size_t(n_right), -1);
    bool down = true, up = true;
    for (size_t r = 0; r < left.shape(0) && (down || up); ++r) {
        const int32_t a = left.data()[r], b = right.data()[r];
        int32_t &seen_b = of_left[size_t(a)], &seen_a = of_right[size_t(b)];
        down = down && (seen_b < 0 || seen_b == b);
        up = up && (seen_a < 0 || seen_a == a);
        seen_b = b;
        seen_a = a;
    }
    return nb::make_tuple(down, up);
}

}  // namespace mixeff
