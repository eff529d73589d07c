// Sums over rows of dense columns. They run in an order fixed by the number of rows alone, so no
// result depends on the number of threads.

#include <algorithm>

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

nb::tuple subtract_fit(Mat X, Vec shift, Vec scale, Vec change, VecOut left, Vec weights,
                       int threads) {
    const int64_t n = int64_t(X.shape(0)), k = int64_t(X.shape(1));
    const double *x = X.data(), *w = weights.size() ? weights.data() : nullptr;
    const double *s = shift.data(), *b = change.data();
    double *y = left.data(), *products;
    auto products_out = owned<double>({size_t(k)}, products);
    double squares = 0.0;
    {
        nb::gil_scoped_release free;
        std::vector<double> inverse(k);
        for (int64_t j = 0; j < k; ++j) inverse[j] = 1.0 / scale.data()[j];
        const Parts parts(n);
        std::vector<double> sums(size_t(parts.count * (k + 1)), 0.0);
        split(parts.bounds.data(), parts.count, threads, [&](int64_t from, int64_t to) {
            std::vector<double> plain(k * block), weighted(block);
            for (int64_t part = from; part < to; ++part) {
                double *mine = sums.data() + part * (k + 1);
                for (int64_t r = parts.bounds[part]; r < parts.bounds[part + 1]; r += block) {
                    const int64_t rows = std::min(block, parts.bounds[part + 1] - r);
                    double *e = y + r;
                    for (int64_t j = 0; j < k; ++j) {
                        double *p = plain.data() + j * block;
                        const double *v = x + r * k + j;
                        for (int64_t i = 0; i < rows; ++i) p[i] = (v[i * k] - s[j]) * inverse[j];
                        for (int64_t i = 0; i < rows; ++i) e[i] -= p[i] * b[j];
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
        for (int64_t part = 0; part < parts.count; ++part) {
            const double *mine = sums.data() + part * (k + 1);
            for (int64_t j = 0; j < k; ++j) products[j] += mine[j];
            squares += mine[k];
        }
    }
    return nb::make_tuple(products_out, squares);
}

}  // namespace mixeff
