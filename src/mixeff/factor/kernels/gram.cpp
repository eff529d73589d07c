// The pass over the rows: stable counting sorts and the sums within levels and pairs of levels.
// Every sum runs over rows in an order fixed by the data alone, whatever the number of threads.

#include <algorithm>
#include <optional>

#include "arrays.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace mixeff {

namespace {

// While all sums fit the cache, reading the rows as they lie is faster than level by level. Both
// ways add the rows of a level, or of a pair of levels, in the same order.
constexpr int64_t sums_in_cache = int64_t(16) << 20;

// Dense columns and what makes them working columns: (value - shift) / scale.
struct Columns {
    const double *values;
    const double *shift;
    std::vector<double> inverse;
    int64_t k;

    Columns(const Mat &v, const Vec &s, const Vec &scale)
        : values(v.data()), shift(s.data()), inverse(v.shape(1)), k(int64_t(v.shape(1))) {
        for (int64_t j = 0; j < k; ++j) inverse[j] = 1.0 / scale.data()[j];
    }
    void row(int64_t r, double root, double *out) const {
        const double *v = values + r * k;
        for (int64_t j = 0; j < k; ++j) out[j] = (v[j] - shift[j]) * inverse[j] * root;
    }
};

// X and y side by side.
struct Dense {
    Columns X, y;
    const double *roots;

    Dense(const Mat &x, const Vec &xs, const Vec &xc, const Mat &v, const Vec &vs, const Vec &vc,
          const Vec &root)
        : X(x, xs, xc), y(v, vs, vc), roots(root.size() ? root.data() : nullptr) {}
    double root(int64_t r) const { return roots ? roots[r] : 1.0; }
    int64_t width() const { return X.k + 1; }
    void row(int64_t r, double *out) const {
        const double w = root(r);
        X.row(r, w, out);
        y.row(r, w, out + X.k);
    }
};

}  // namespace

nb::tuple level_order(Codes codes, int64_t n_levels, std::optional<Longs> within) {
    const int64_t n = int64_t(codes.shape(0));
    int64_t *pointer, *order;
    auto pointer_out = owned<int64_t>({size_t(n_levels + 1)}, pointer);
    auto order_out = owned<int64_t>({size_t(n)}, order);
    const int32_t *c = codes.data();
    const int64_t *rows = within ? within->data() : nullptr;
    {
        nb::gil_scoped_release free;
        for (int64_t i = 0; i < n; ++i) ++pointer[c[i] + 1];
        for (int64_t l = 0; l < n_levels; ++l) pointer[l + 1] += pointer[l];
        std::vector<int64_t> next(pointer, pointer + n_levels);
        for (int64_t i = 0; i < n; ++i) {
            const int64_t r = rows ? rows[i] : i;
            order[next[c[r]]++] = r;
        }
    }
    return nb::make_tuple(pointer_out, order_out);
}

nb::tuple level_gram(Codes codes, Longs pointer, Longs order, Mat values, Vec shift, Vec scale, Mat X,
                     Vec X_shift, Vec X_scale, Mat y, Vec y_shift, Vec y_scale, Vec root,
                     int threads) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1;
    const Columns Z(values, shift, scale);
    const Dense D(X, X_shift, X_scale, y, y_shift, y_scale, root);
    const int64_t q = Z.k, d = D.width();
    double *gram, *dense;
    auto gram_out = owned<double>({size_t(n_levels), size_t(q), size_t(q)}, gram);
    auto dense_out = owned<double>({size_t(n_levels), size_t(d), size_t(q)}, dense);
    const int64_t *ptr = pointer.data(), *rows = order.data();
    auto add_row = [&](int64_t r, int64_t l, double *z) {
        double *e = z + q, *g = gram + l * q * q, *b = dense + l * d * q;
        Z.row(r, D.root(r), z);
        D.row(r, e);
        for (int64_t a = 0; a < q; ++a)
            for (int64_t c = 0; c < q; ++c) g[a * q + c] += z[a] * z[c];
        for (int64_t a = 0; a < d; ++a)
            for (int64_t c = 0; c < q; ++c) b[a * q + c] += e[a] * z[c];
    };
    nb::gil_scoped_release free;
    if (threads <= 1 && n_levels * q * (q + d) * int64_t(sizeof(double)) < sums_in_cache) {
        std::vector<double> buffer(q + d);
        const int64_t n = int64_t(codes.shape(0));
        for (int64_t r = 0; r < n; ++r) add_row(r, codes.data()[r], buffer.data());
    } else {
        split(ptr, n_levels, threads, [&](int64_t first, int64_t last) {
            std::vector<double> buffer(q + d);
            for (int64_t l = first; l < last; ++l)
                for (int64_t i = ptr[l]; i < ptr[l + 1]; ++i) add_row(rows[i], l, buffer.data());
        });
    }
    nb::gil_scoped_acquire held;
    return nb::make_tuple(gram_out, dense_out);
}

nb::tuple pair_gram(Longs pointer, Longs order, Codes codes, Mat values, Vec shift, Vec scale,
                    Mat other, Vec other_shift, Vec other_scale, Vec root, int threads) {
    const int64_t n_levels = int64_t(pointer.shape(0)) - 1;
    const Columns Z(values, shift, scale), W(other, other_shift, other_scale);
    const int64_t q = Z.k, k = W.k;
    const int64_t *ptr = pointer.data(), *rows = order.data();
    const int32_t *c = codes.data();
    const double *roots = root.size() ? root.data() : nullptr;
    int64_t *indptr;
    auto indptr_out = owned<int64_t>({size_t(n_levels + 1)}, indptr);
    {
        nb::gil_scoped_release free;
        split(ptr, n_levels, threads, [&](int64_t first, int64_t last) {
            for (int64_t l = first; l < last; ++l) {
                int64_t count = 0;
                for (int64_t i = ptr[l]; i < ptr[l + 1]; ++i)
                    count += i == ptr[l] || c[rows[i]] != c[rows[i - 1]];
                indptr[l + 1] = count;
            }
        });
        for (int64_t l = 0; l < n_levels; ++l) indptr[l + 1] += indptr[l];
    }
    const size_t nnz = size_t(indptr[n_levels]);
    int32_t *indices;
    double *sums;
    auto indices_out = owned<int32_t>({nnz}, indices);
    auto sums_out = owned<double>({nnz, size_t(q), size_t(k)}, sums);
    auto add_row = [&](int64_t r, int64_t at, double *z) {
        double *w = z + q, *s = sums + at * q * k;
        const double weight = roots ? roots[r] : 1.0;
        Z.row(r, weight, z);
        W.row(r, weight, w);
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b < k; ++b) s[a * k + b] += z[a] * w[b];
    };
    // visit(row, pair) for the rows of some levels, pair by pair, rows ascending within each.
    auto walk = [&](int64_t first, int64_t last, auto visit) {
        for (int64_t l = first; l < last; ++l) {
            int64_t at = indptr[l] - 1;
            for (int64_t i = ptr[l]; i < ptr[l + 1]; ++i) {
                const int64_t r = rows[i];
                if (i == ptr[l] || c[r] != c[rows[i - 1]]) indices[++at] = c[r];
                visit(r, at);
            }
        }
    };
    nb::gil_scoped_release free;
    if (threads <= 1 && int64_t(nnz) * q * k * int64_t(sizeof(double)) < sums_in_cache) {
        const int64_t n = int64_t(codes.shape(0));
        std::vector<int32_t> pair(n);
        std::vector<double> buffer(q + k);
        walk(0, n_levels, [&](int64_t r, int64_t at) { pair[r] = int32_t(at); });
        for (int64_t r = 0; r < n; ++r) add_row(r, pair[r], buffer.data());
    } else {
        split(ptr, n_levels, threads, [&](int64_t first, int64_t last) {
            std::vector<double> buffer(q + k);
            walk(first, last, [&](int64_t r, int64_t at) { add_row(r, at, buffer.data()); });
        });
    }
    nb::gil_scoped_acquire held;
    return nb::make_tuple(indptr_out, indices_out, sums_out);
}

nb::ndarray<nb::numpy, double> fixed_gram(Mat X, Vec X_shift, Vec X_scale, Mat y, Vec y_shift,
                                          Vec y_scale, Vec root, int threads) {
    const Dense D(X, X_shift, X_scale, y, y_shift, y_scale, root);
    const int64_t n = int64_t(y.shape(0)), d = D.width(), block = 512;
    // The parts depend on n alone, so their sum does too.
    const int64_t parts = std::min<int64_t>(64, (n + block - 1) / block);
    double *total;
    auto out = owned<double>({size_t(d), size_t(d)}, total);
    nb::gil_scoped_release free;
    std::vector<double> partial(size_t(parts * d * d), 0.0);
    std::vector<int64_t> bounds(size_t(parts) + 1);
    for (int64_t s = 0; s <= parts; ++s) bounds[s] = parts ? n * s / parts : 0;
    split(bounds.data(), parts, threads, [&](int64_t first, int64_t last) {
        std::vector<double> e(d), local(d * d);
        for (int64_t s = first; s < last; ++s) {
            double *mine = partial.data() + s * d * d;
            for (int64_t from = bounds[s]; from < bounds[s + 1]; from += block) {
                // Short sums first: rounding grows with the block, not with n.
                std::fill(local.begin(), local.end(), 0.0);
                const int64_t to = std::min(from + block, bounds[s + 1]);
                for (int64_t r = from; r < to; ++r) {
                    D.row(r, e.data());
                    for (int64_t a = 0; a < d; ++a)
                        for (int64_t b = 0; b <= a; ++b) local[a * d + b] += e[a] * e[b];
                }
                for (int64_t i = 0; i < d * d; ++i) mine[i] += local[i];
            }
        }
    });
    for (int64_t s = 0; s < parts; ++s)
        for (int64_t i = 0; i < d * d; ++i) total[i] += partial[s * d * d + i];
    for (int64_t a = 0; a < d; ++a)
        for (int64_t b = 0; b < a; ++b) total[b * d + a] = total[a * d + b];
    return out;
}

}  // namespace mixeff
