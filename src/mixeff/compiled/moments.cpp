// Sums over rows of dense columns. They run in an order fixed by the number of rows alone, so no
// result depends on the number of threads.

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "../factor/kernels/parallel.hpp"
#include "columns.hpp"

namespace mixeff {

namespace {

constexpr int64_t block = 256;    // rows summed at a time: rounding grows with the block, not with n
constexpr int64_t sample = 1024;  // rows that give the provisional means

// Row ranges whose sums are added one after the other, and the threads that may share them.
struct Parts {
    std::vector<int64_t> bounds;
    int64_t count;

    explicit Parts(int64_t n) : count(std::min<int64_t>(64, (n + block - 1) / block)) {
        for (int64_t s = 0; s <= count; ++s) bounds.push_back(count ? n * s / count : 0);
    }
};

// Four sums side by side: the compiler keeps them in registers, the order stays fixed.
double sum_of_products(const double *a, const double *b, int64_t n) {
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < n; ++i) s0 += a[i] * b[i];
    return (s0 + s1) + (s2 + s3);
}

double sum(const double *a, int64_t n) {
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += a[i];
        s1 += a[i + 1];
        s2 += a[i + 2];
        s3 += a[i + 3];
    }
    for (; i < n; ++i) s0 += a[i];
    return (s0 + s1) + (s2 + s3);
}

// What can be said of a column from the rows seen so far.
struct Kind {
    bool constant = true, indicator = true, zero = true;

    void see(const double *v, int64_t stride, int64_t rows, double first) {
        if (constant)
            for (int64_t i = 0; i < rows && constant; ++i) constant = v[i * stride] == first;
        if (indicator)
            for (int64_t i = 0; i < rows && indicator; ++i)
                indicator = v[i * stride] == 0.0 || v[i * stride] == 1.0;
        if (zero)
            for (int64_t i = 0; i < rows && zero; ++i) zero = v[i * stride] == 0.0;
    }
};

}  // namespace

nb::tuple column_moments(Mat values, Vec weights, int threads) {
    const int64_t n = int64_t(values.shape(0)), k = int64_t(values.shape(1));
    const double *x = values.data(), *w = weights.size() ? weights.data() : nullptr;
    double *mean, *gram;
    int32_t *kinds;
    auto mean_out = owned<double>({size_t(k)}, mean);
    auto gram_out = owned<double>({size_t(k), size_t(k)}, gram);
    auto kinds_out = owned<int32_t>({size_t(k)}, kinds);
    double total = 0.0;
    {
        nb::gil_scoped_release free;
        // Sums about a provisional mean: the true one differs from it by so little that correcting
        // for the difference costs at most the digits of n / sample.
        std::vector<double> about(k, 0.0);
        const int64_t taken = std::min(n, sample);
        for (int64_t i = 0; i < taken; ++i)
            for (int64_t j = 0; j < k; ++j) about[j] += x[(i * n / taken) * k + j];
        for (int64_t j = 0; j < k; ++j) about[j] /= double(std::max<int64_t>(taken, 1));

        const Parts parts(n);
        const int64_t width = 1 + k + k * k;
        std::vector<double> sums(size_t(parts.count * width), 0.0);
        std::vector<Kind> seen(size_t(parts.count * k));
        split(parts.bounds.data(), parts.count, threads, [&](int64_t from, int64_t to) {
            // Columns of one block, shifted; then the same times their weights.
            std::vector<double> plain(k * block), weighted(w ? k * block : 0);
            for (int64_t s = from; s < to; ++s) {
                double *mine = sums.data() + s * width, *first = mine + 1, *second = mine + 1 + k;
                for (int64_t r = parts.bounds[s]; r < parts.bounds[s + 1]; r += block) {
                    const int64_t rows = std::min(block, parts.bounds[s + 1] - r);
                    mine[0] += w ? sum(w + r, rows) : double(rows);
                    for (int64_t j = 0; j < k; ++j) {
                        double *p = plain.data() + j * block;
                        const double *v = x + r * k + j;
                        for (int64_t i = 0; i < rows; ++i) p[i] = v[i * k] - about[j];
                        seen[s * k + j].see(v, k, rows, x[j]);
                        double *q = w ? weighted.data() + j * block : p;
                        if (w)
                            for (int64_t i = 0; i < rows; ++i) q[i] = p[i] * w[r + i];
                        first[j] += sum(q, rows);
                        for (int64_t a = 0; a <= j; ++a)
                            second[j * k + a] += sum_of_products(plain.data() + a * block, q, rows);
                    }
                }
            }
        });
        std::vector<double> first(k, 0.0);
        for (int64_t s = 0; s < parts.count; ++s) {
            const double *mine = sums.data() + s * width;
            total += mine[0];
            for (int64_t j = 0; j < k; ++j) first[j] += mine[1 + j];
            for (int64_t j = 0; j < k * k; ++j) gram[j] += mine[1 + k + j];
        }
        for (int64_t j = 0; j < k; ++j) {
            Kind all;
            for (int64_t s = 0; s < parts.count; ++s) {
                const Kind &one = seen[s * k + j];
                all.constant &= one.constant;
                all.indicator &= one.indicator;
                all.zero &= one.zero;
            }
            kinds[j] = int32_t(all.constant) | int32_t(all.indicator) << 1 | int32_t(all.zero) << 2;
            // The mean of a constant column is its value, whatever rounding says.
            const double off = total > 0 ? first[j] / total : 0.0;
            mean[j] = all.constant && n ? x[j] : about[j] + off;
            for (int64_t a = 0; a <= j; ++a) {
                const double other = total > 0 ? first[a] / total : 0.0;
                const bool flat = (kinds[j] | kinds[a]) & 1;
                gram[a * k + j] = gram[j * k + a] = flat ? 0.0 : gram[j * k + a] - total * off * other;
            }
        }
    }
    return nb::make_tuple(mean_out, gram_out, kinds_out, total);
}

namespace {

// Takes working columns times `change` from y; what is left of products with them, and of squares.
struct Subtraction {
    const double *x, *shift, *w;
    std::vector<double> inverse;
    Parts parts;
    int64_t k;
    int threads;

    Subtraction(const Mat &X, const Vec &s, const Vec &scale, const Vec &weights, int team)
        : x(X.data()), shift(s.data()), w(weights.size() ? weights.data() : nullptr),
          inverse(X.shape(1)), parts(int64_t(X.shape(0))), k(int64_t(X.shape(1))), threads(team) {
        for (int64_t j = 0; j < k; ++j) inverse[size_t(j)] = 1.0 / scale.data()[j];
    }

    double from(double *y, const double *change, double *products) const {
        std::vector<double> sums(size_t(parts.count * (k + 1)), 0.0);
        split(parts.bounds.data(), parts.count, threads, [&](int64_t first, int64_t last) {
            std::vector<double> plain(k * block), weighted(block);
            for (int64_t part = first; part < last; ++part) {
                double *mine = sums.data() + part * (k + 1);
                for (int64_t r = parts.bounds[part]; r < parts.bounds[part + 1]; r += block) {
                    const int64_t rows = std::min(block, parts.bounds[part + 1] - r);
                    double *e = y + r;
                    for (int64_t j = 0; j < k; ++j) {
                        double *p = plain.data() + j * block;
                        const double *v = x + r * k + j;
                        for (int64_t i = 0; i < rows; ++i)
                            p[i] = (v[i * k] - shift[j]) * inverse[j];
                        for (int64_t i = 0; i < rows; ++i) e[i] -= p[i] * change[j];
                    }
                    const double *q = e;
                    if (w) {
                        for (int64_t i = 0; i < rows; ++i) weighted[i] = e[i] * w[r + i];
                        q = weighted.data();
                    }
                    for (int64_t j = 0; j < k; ++j)
                        mine[j] += sum_of_products(plain.data() + j * block, q, rows);
                    mine[k] += sum_of_products(e, q, rows);
                }
            }
        });
        double squares = 0.0;
        std::fill(products, products + k, 0.0);
        for (int64_t part = 0; part < parts.count; ++part) {
            const double *mine = sums.data() + part * (k + 1);
            for (int64_t j = 0; j < k; ++j) products[j] += mine[j];
            squares += mine[k];
        }
        return squares;
    }
};

// In place lower Cholesky factor of k columns; false where a pivot is not positive.
bool cholesky(std::vector<double> &A, int64_t k) {
    for (int64_t j = 0; j < k; ++j) {
        double *row = A.data() + j * k;
        for (int64_t i = 0; i < j; ++i) {
            const double *other = A.data() + i * k;
            row[i] = (row[i] - sum_of_products(row, other, i)) / other[i];
        }
        const double left = row[j] - sum_of_products(row, row, j);
        if (!(left > 0.0)) return false;
        row[j] = std::sqrt(left);
    }
    return true;
}

}  // namespace

nb::tuple regress(Mat X, Vec shift, Vec scale, Vec mean, Mat centred, double total, Vec response,
                  Vec weights, bool centre, int threads) {
    const int64_t n = int64_t(X.shape(0)), k = int64_t(X.shape(1));
    if (int64_t(shift.shape(0)) != k || int64_t(scale.shape(0)) != k ||
        int64_t(mean.shape(0)) != k || int64_t(centred.shape(0)) != k ||
        int64_t(centred.shape(1)) != k ||
        int64_t(response.shape(0)) != n || (weights.size() && int64_t(weights.shape(0)) != n))
        throw std::invalid_argument("regress: the arrays do not fit together");
    double *projection, *left;
    auto projection_out = owned<double>({size_t(k)}, projection);
    auto left_out = owned<double>({size_t(n)}, left);
    const double *y = response.data(), *w = weights.size() ? weights.data() : nullptr;
    double center = 0.0, largest = 0.0, start = 0.0, unit = 0.0;
    const Subtraction subtract(X, shift, scale, weights, threads);
    {
        nb::gil_scoped_release free;
        for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(y[i]));
        if (centre) center = w ? sum_of_products(w, y, n) / sum(w, n) : sum(y, n) / double(n);
        for (int64_t i = 0; i < n; ++i) left[i] = y[i] - center;
        std::vector<double> products(static_cast<size_t>(k)), change(size_t(k), 0.0);
        double squares = subtract.from(left, change.data(), products.data());
        start = std::sqrt(squares / double(n));
        std::vector<double> factor(size_t(k * k));
        for (int64_t a = 0; a < k; ++a)
            for (int64_t b = 0; b < k; ++b) {
                const double off = total * (mean.data()[a] - shift.data()[a]);
                const double gram = centred.data()[a * k + b] + off * (mean.data()[b] - shift.data()[b]);
                factor[size_t(a * k + b)] = gram / (double(n) * scale.data()[a] * scale.data()[b]);
            }
        const bool sound = k > 0 && cholesky(factor, k);
        for (int step = 0; sound && step < 3; ++step) {
            double size = 0.0;
            for (int64_t i = 0; i < k; ++i) {
                double s = products[size_t(i)] / double(n);
                for (int64_t a = 0; a < i; ++a) s -= factor[size_t(i * k + a)] * change[size_t(a)];
                change[size_t(i)] = s / factor[size_t(i * k + i)];
            }
            for (int64_t i = k - 1; i >= 0; --i) {
                double s = change[size_t(i)];
                for (int64_t a = i + 1; a < k; ++a)
                    s -= factor[size_t(a * k + i)] * change[size_t(a)];
                change[size_t(i)] = s / factor[size_t(i * k + i)];
                projection[i] += change[size_t(i)];
                size += change[size_t(i)] * change[size_t(i)];
            }
            squares = subtract.from(left, change.data(), products.data());
            // A change much larger than what is left leaves its rounding errors: once more.
            if (std::sqrt(size) <= 1e3 * std::sqrt(squares / double(n))) break;
        }
        unit = std::sqrt(squares / double(n));
        if (unit > 0.0)
            for (int64_t i = 0; i < n; ++i) left[i] /= unit;
    }
    return nb::make_tuple(center, projection_out, unit, left_out, largest, start);
}

bool plainly_full_rank(Vec mean, Mat centred, int64_t first, int64_t n, double clear) {
    const int64_t all = int64_t(mean.shape(0)), k = all - first;
    if (int64_t(centred.shape(0)) != all || int64_t(centred.shape(1)) != all || first < 0 || k < 0)
        throw std::invalid_argument("plainly_full_rank: the arrays do not fit together");
    std::vector<double> gram(size_t(k * k));
    for (int64_t a = 0; a < k; ++a)
        for (int64_t b = 0; b < k; ++b)
            gram[size_t(a * k + b)] = centred.data()[(first + a) * all + first + b];
    std::vector<double> squares;
    for (int64_t a = 0; a < k; ++a) {
        const double square = gram[size_t(a * k + a)], m = mean.data()[first + a];
        // Far within the tolerance for rounding: sizes below 1e9 times the spread about the mean.
        if (!(square * 1e18 > double(n) * m * m) || !(square > 0.0)) return false;
        squares.push_back(square);
    }
    if (!cholesky(gram, k)) return false;
    for (int64_t a = 0; a < k; ++a)
        if (!(gram[size_t(a * k + a)] > clear * std::sqrt(squares[size_t(a)]))) return false;
    return true;
}

nb::tuple standard_basis(Vec mean, Mat centred, double total, int64_t n, Vec constant,
                         double collinear) {
    const int64_t k = int64_t(mean.shape(0));
    const double *c = constant.size() ? constant.data() : nullptr;
    if (int64_t(centred.shape(0)) != k || int64_t(centred.shape(1)) != k ||
        (c && int64_t(constant.shape(0)) != k))
        throw std::invalid_argument("standard_basis: the arrays do not fit together");
    double *shift, *scale, *matrix;
    auto shift_out = owned<double>({size_t(k)}, shift);
    auto scale_out = owned<double>({size_t(k)}, scale);
    auto matrix_out = owned<double>({size_t(k), size_t(k)}, matrix);
    std::vector<double> products(size_t(k * k));
    auto about = [&] {
        for (int64_t a = 0; a < k; ++a)
            for (int64_t b = 0; b < k; ++b)
                products[size_t(a * k + b)] =
                    (centred.data()[a * k + b] +
                     total * (mean.data()[a] - shift[a]) * (mean.data()[b] - shift[b])) / double(n);
        for (int64_t a = 0; a < k; ++a) scale[a] = std::sqrt(products[size_t(a * k + a)]);
    };
    for (int64_t a = 0; c && a < k; ++a) shift[a] = c[a] == 0.0 ? mean.data()[a] : 0.0;
    about();
    // A column that is itself constant up to rounding stays what it is.
    bool still = false;
    for (int64_t a = 0; a < k; ++a)
        if (shift[a] != 0.0 &&
            scale[a] <= 1e-13 * std::abs(shift[a]) * std::sqrt(total / double(n))) {
            shift[a] = 0.0;
            still = true;
        }
    if (still) about();
    for (int64_t a = 0; a < k; ++a)
        if (!(scale[a] > 0.0)) scale[a] = 1.0;
    for (int64_t a = 0; a < k; ++a) {
        matrix[a * k + a] = 1.0 / scale[a];
        for (int64_t b = 0; c && b < k; ++b) matrix[a * k + b] -= c[a] * (shift[b] / scale[b]);
    }
    // Every column keeps a good part of itself beside the columns before it.
    bool sound = true;
    if (k > 1) {
        for (int64_t a = 0; a < k; ++a)
            for (int64_t b = 0; b < k; ++b) products[size_t(a * k + b)] /= scale[a] * scale[b];
        std::vector<double> own(static_cast<size_t>(k));
        for (int64_t a = 0; a < k; ++a) own[size_t(a)] = std::sqrt(products[size_t(a * k + a)]);
        sound = cholesky(products, k);
        for (int64_t a = 0; sound && a < k; ++a)
            sound = products[size_t(a * k + a)] > collinear * own[size_t(a)];
    }
    return nb::make_tuple(shift_out, scale_out, matrix_out, sound);
}

}  // namespace mixeff
