// Small models from Python: one fit with everything about it, or many responses in one call.

#include "small_fit.hpp"

#include <memory>
#include <stdexcept>

#include "kernels.hpp"
#include "parallel.hpp"

namespace mixeff {

namespace {

SmallModel describe(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                    int64_t n, bool reml) {
    SmallModel m;
    m.levels = int64_t(G.shape(0));
    m.q = int64_t(G.shape(1));
    m.width = int64_t(A.shape(0));
    m.n = n;
    m.reml = reml;
    m.G = G.data();
    m.B = B.data();
    m.A = A.data();
    m.pointer = pointer.data();
    m.columns = columns.data();
    m.random = 0;
    for (size_t i = 0; i + 2 < blocks.shape(0); i += 3) {
        m.blocks.push_back({blocks.data()[i], blocks.data()[i + 1], blocks.data()[i + 2]});
        m.random = blocks.data()[i + 1];
    }
    m.fixed = m.width - 1 - m.random;
    m.k = m.slopes = 0;
    for (size_t i = 0; i + 2 < terms.shape(0); i += 3) {
        const SmallTerm t{int(terms.data()[i]), int(terms.data()[i + 1]), int(terms.data()[i + 2]),
                          m.k, m.slopes};
        const int64_t room = t.block < 0 || t.block > int(m.blocks.size()) ? 0
                             : t.block ? m.blocks[size_t(t.block - 1)].q : m.q;
        if (t.size < 1 || t.offset + t.size > room) throw std::invalid_argument("small_fit: terms");
        for (int c = 0; c < t.size; ++c)
            for (int r = c; r < t.size; ++r)
                m.parameters.push_back({int(m.terms.size()), t.offset + r, t.offset + c});
        m.k += t.size * (t.size + 1) / 2;
        m.slopes += t.size * t.size;
        m.terms.push_back(t);
    }
    if (m.k < 1 || m.k > max_theta || m.q > max_theta || m.slopes > max_slopes ||
        int64_t(pointer.shape(0)) != m.levels + 1 || B.shape(1) != size_t(m.q) ||
        B.shape(0) != columns.shape(0) || int64_t(B.shape(0)) != pointer.data()[m.levels])
        throw std::invalid_argument("small_fit: the arrays do not fit together or are too large");
    for (const SmallBlock &b : m.blocks)
        if (b.q > max_theta) throw std::invalid_argument("small_fit: too many columns in a block");
    return m;
}

constexpr int64_t strip = 64;  // responses at a time: the sums of a small model stay in cache

// work(i) for i in 0 .. count-1, handed out one by one.
template <typename Work>
void for_each(int64_t count, int threads, Work work) {
    std::atomic<int64_t> next(0);
    auto member = [&] {
        for (int64_t at = next.fetch_add(1); at < count; at = next.fetch_add(1)) work(at);
    };
    std::vector<std::thread> team;
    for (int t = 1; t < std::min<int64_t>(threads, count); ++t) team.emplace_back(member);
    member();
    for (auto &one : team) one.join();
}

SmallOptions choose(const Mat &extra, double tolerance, int max_evaluations, bool judge) {
    return {tolerance, max_evaluations, int(extra.shape(0)), extra.data(), judge};
}

}  // namespace

nb::tuple small_fit(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                    int64_t n, bool reml, Vec start, Mat extra, double tolerance,
                    int max_evaluations) {
    SmallModel model = describe(G, pointer, columns, B, A, blocks, terms, n, reml);
    model.classes = level_classes(model, false);
    if (int(start.shape(0)) != model.k) throw std::invalid_argument("small_fit: start");
    const size_t k = size_t(model.k), p = size_t(model.fixed), q = size_t(model.q);
    double *theta, *gradient, *hessian, *slopes, *values, *beta, *covariance, *modes, *tail;
    SmallOptimum found;
    const SmallOptions options = choose(extra, tolerance, max_evaluations, true);
    auto theta_out = owned<double>({k}, theta);
    auto gradient_out = owned<double>({k}, gradient);
    auto hessian_out = owned<double>({k, k}, hessian);
    auto slopes_out = owned<double>({size_t(model.slopes)}, slopes);
    auto beta_out = owned<double>({p}, beta);
    auto covariance_out = owned<double>({p, p}, covariance);
    auto modes_out = owned<double>({size_t(model.levels), q}, modes);
    auto tail_out = owned<double>({size_t(model.random)}, tail);
    double pwrss = 0.0;
    {
        nb::gil_scoped_release free;
        SmallSystem system(model);
        small_optimum(system, start.data(), options, found);
        std::copy(found.point.theta, found.point.theta + k, theta);
        if (found.status == small_ok) {
            system.solution(found.point, beta, covariance, modes, tail);
            pwrss = system.pwrss;
            std::copy(found.point.gradient, found.point.gradient + k, gradient);
            std::copy(found.point.hessian, found.point.hessian + k * k, hessian);
            std::copy(found.point.Xi, found.point.Xi + model.slopes, slopes);
        }
    }
    auto values_out = owned<double>({size_t(found.n_values)}, values);
    std::copy(found.values, found.values + found.n_values, values);
    return nb::make_tuple(found.status, theta_out, found.point.value, gradient_out, hessian_out,
                          slopes_out, found.decrease, found.curvature, found.nulls,
                          found.evaluations, values_out, pwrss, beta_out, covariance_out, modes_out,
                          tail_out);
}

nb::tuple small_fits(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                     int64_t n, bool reml, Mat By, Mat Ay, Vec start, Mat extra, double tolerance,
                     int max_evaluations, int threads) {
    SmallModel model = describe(G, pointer, columns, B, A, blocks, terms, n, reml);
    model.classes = level_classes(model, false);
    const size_t m = By.shape(0), k = size_t(model.k), p = size_t(model.fixed);
    if (int(start.shape(0)) != model.k || int64_t(By.shape(1)) != model.levels * model.q ||
        Ay.shape(0) != m || int64_t(Ay.shape(1)) != model.width)
        throw std::invalid_argument("small_fits: the responses do not fit the model");
    double *theta, *value, *pwrss, *beta;
    int64_t *status, *evaluations, *nulls;
    const SmallOptions options = choose(extra, tolerance, max_evaluations, false);
    auto theta_out = owned<double>({m, k}, theta);
    auto value_out = owned<double>({m}, value);
    auto pwrss_out = owned<double>({m}, pwrss);
    auto beta_out = owned<double>({m, p}, beta);
    auto status_out = owned<int64_t>({m}, status);
    auto evaluations_out = owned<int64_t>({m}, evaluations);
    auto nulls_out = owned<int64_t>({m}, nulls);
    {
        nb::gil_scoped_release free;
        const size_t team_size = std::max<size_t>(1, std::min(m / 16, size_t(std::max(threads, 1))));
        std::vector<std::unique_ptr<SmallSystem>> systems;
        for (size_t t = 0; t < team_size; ++t)
            systems.push_back(std::make_unique<SmallSystem>(model));
        std::atomic<size_t> next(0);
        auto work = [&](size_t t) {
            SmallSystem &system = *systems[t];
            SmallOptimum found;
            for (size_t first = next.fetch_add(16); first < m; first = next.fetch_add(16))
                for (size_t i = first; i < std::min(first + 16, m); ++i) {
                    system.respond(By.data() + i * By.shape(1), Ay.data() + i * Ay.shape(1));
                    small_optimum(system, start.data(), options, found);
                    status[i] = found.status;
                    value[i] = found.point.value;
                    evaluations[i] = found.evaluations;
                    nulls[i] = found.nulls;
                    std::copy(found.point.theta, found.point.theta + k, theta + i * k);
                    if (found.status == small_broken) continue;
                    system.solution(found.point, beta + i * p, nullptr, nullptr, nullptr);
                    pwrss[i] = system.pwrss;
                }
        };
        std::vector<std::thread> team;
        for (size_t t = 1; t < team_size; ++t) team.emplace_back(work, t);
        work(0);
        for (auto &member : team) member.join();
    }
    return nb::make_tuple(status_out, theta_out, value_out, pwrss_out, beta_out, evaluations_out,
                          nulls_out);
}

// The criterion and all that belongs to it at one theta, levels by class (where the factor stands
// alone) or one by one: for the tests, which compare the two.
nb::tuple small_point(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks, Longs terms,
                      int64_t n, bool reml, Vec theta, bool by_class, int term, Vec direction) {
    SmallModel model = describe(G, pointer, columns, B, A, blocks, terms, n, reml);
    if (by_class) model.classes = level_classes(model, true);
    if (int(theta.shape(0)) != model.k || term < 0 || term >= int(model.terms.size()) ||
        int(direction.shape(0)) != model.terms[size_t(term)].size)
        throw std::invalid_argument("small_point: theta, term or direction");
    const size_t k = size_t(model.k), p = size_t(model.fixed), q = size_t(model.q);
    double *gradient, *hessian, *slopes, *beta, *covariance, *modes, *tail;
    auto gradient_out = owned<double>({k}, gradient);
    auto hessian_out = owned<double>({k, k}, hessian);
    auto slopes_out = owned<double>({size_t(model.slopes)}, slopes);
    auto beta_out = owned<double>({p}, beta);
    auto covariance_out = owned<double>({p, p}, covariance);
    auto modes_out = owned<double>({size_t(model.levels), q}, modes);
    auto tail_out = owned<double>({size_t(model.random)}, tail);
    SmallSystem system(model);
    SmallPoint point;
    std::copy(theta.data(), theta.data() + k, point.theta);
    system.evaluate(point);
    double along = std::nan("");
    if (std::isfinite(point.value)) {
        system.derive(point);
        along = system.curvature_along(point, term, direction.data());
        system.solution(point, beta, covariance, modes, tail);
        std::copy(point.gradient, point.gradient + k, gradient);
        std::copy(point.hessian, point.hessian + k * k, hessian);
        std::copy(point.Xi, point.Xi + model.slopes, slopes);
    }
    return nb::make_tuple(model.classes.count, point.value, system.pwrss, gradient_out, hessian_out,
                          slopes_out, along, beta_out, covariance_out, modes_out, tail_out);
}

// The criterion with the residual variance exp(log_tau) given: value, gradient (k + 1), Hessian model
// and Xi, log_tau the last parameter; with them beta and r^2 at theta.
nb::tuple small_unprofiled(Cube G, Longs pointer, Codes columns, Mat B, Mat A, Longs blocks,
                           Longs terms, int64_t n, Vec theta, double log_tau) {
    SmallModel model = describe(G, pointer, columns, B, A, blocks, terms, n, false);
    if (int(theta.shape(0)) != model.k) throw std::invalid_argument("small_unprofiled: theta");
    const size_t k = size_t(model.k), p = size_t(model.fixed);
    double *gradient, *hessian, *slopes, *beta;
    auto gradient_out = owned<double>({k + 1}, gradient);
    auto hessian_out = owned<double>({k + 1, k + 1}, hessian);
    auto slopes_out = owned<double>({size_t(model.slopes)}, slopes);
    auto beta_out = owned<double>({p}, beta);
    SmallSystem system(model);
    SmallPoint point;
    std::copy(theta.data(), theta.data() + k, point.theta);
    system.evaluate(point);
    if (std::isfinite(point.value)) {
        system.solution(point, beta, nullptr, nullptr, nullptr);
        system.derive_unprofiled(point, std::exp(log_tau), gradient, hessian);
        std::copy(point.Xi, point.Xi + model.slopes, slopes);
    }
    return nb::make_tuple(system.broken, point.value, system.pwrss, gradient_out, hessian_out,
                          slopes_out, beta_out);
}

// Z_l'y for many responses: rows of the working columns (values - shift) / scale (n, q) times rows
// of `responses` (n, m), summed by level -> (m, levels * q). Sums run over the rows in order,
// whatever the number of threads.
Array response_products(Codes codes, int64_t n_levels, Mat values, Vec shift, Vec scale,
                        Mat responses, int threads) {
    const int64_t n = int64_t(values.shape(0)), q = int64_t(values.shape(1));
    const int64_t m = int64_t(responses.shape(1)), width = n_levels * q;
    if (int64_t(responses.shape(0)) != n || int64_t(codes.shape(0)) != n ||
        int64_t(shift.shape(0)) != q || int64_t(scale.shape(0)) != q)
        throw std::invalid_argument("response_products: rows do not agree");
    double *out;
    auto result = owned<double>({size_t(m), size_t(width)}, out);
    const double *z = values.data(), *y = responses.data();
    const int32_t *code = codes.data();
    const double *off = shift.data(), *unit = scale.data();
    nb::gil_scoped_release free;
    const int64_t strips = (m + strip - 1) / strip;
    auto work = [&](int64_t at) {
        const int64_t first = at * strip, count = std::min(strip, m - first);
        if (count == 1) {
            double *to = out + first * width;
            for (int64_t r = 0; r < n; ++r) {
                const double value = y[r * m + first];
                for (int64_t a = 0; a < q; ++a) 
                    to[code[r] * q + a] += (z[r * q + a] - off[a]) / unit[a] * value;
            }
            return;
        }
        std::vector<double> sums(size_t(width * count), 0.0);
        for (int64_t r = 0; r < n; ++r) {
            const double *from = y + r * m + first;
            for (int64_t a = 0; a < q; ++a) {
                const double f = (z[r * q + a] - off[a]) / unit[a];
                double *to = sums.data() + (code[r] * q + a) * count;
                for (int64_t i = 0; i < count; ++i) to[i] += f * from[i];
            }
        }
        for (int64_t i = 0; i < count; ++i)
            for (int64_t j = 0; j < width; ++j) out[(first + i) * width + j] = sums[size_t(j * count + i)];
    };
    for_each(strips, threads, work);
    nb::gil_scoped_acquire held;
    return result;
}

// Takes working columns (n, p) times coefficients (p, m) from the responses (n, m) in place; returns
// what is left of products with the columns (p, m), and the squares (m,), weights folded in.
nb::tuple subtract_fits(Mat values, Vec shift, Vec scale, Mat coefficients, MatOut responses,
                        Vec weights, int threads) {
    const int64_t n = int64_t(values.shape(0)), p = int64_t(values.shape(1));
    const int64_t m = int64_t(responses.shape(1));
    if (int64_t(responses.shape(0)) != n || int64_t(shift.shape(0)) != p ||
        int64_t(scale.shape(0)) != p || int64_t(coefficients.shape(0)) != p ||
        int64_t(coefficients.shape(1)) != m || (weights.shape(0) && int64_t(weights.shape(0)) != n))
        throw std::invalid_argument("subtract_fits: shapes do not agree");
    double *products, *squares;
    auto products_out = owned<double>({size_t(p), size_t(m)}, products);
    auto squares_out = owned<double>({size_t(m)}, squares);
    const double *x = values.data(), *w = weights.shape(0) ? weights.data() : nullptr;
    const double *f = coefficients.data();
    double *y = responses.data();
    {
        nb::gil_scoped_release free;
        const int64_t strips = (m + strip - 1) / strip;
        for_each(strips, threads, [&](int64_t at) {
            const int64_t first = at * strip, count = std::min(strip, m - first);
            std::vector<double> row(static_cast<size_t>(p));
            for (int64_t r = 0; r < n; ++r) {
                double *to = y + r * m + first;
                for (int64_t a = 0; a < p; ++a) {
                    row[size_t(a)] = (x[r * p + a] - shift.data()[a]) / scale.data()[a];
                    const double *from = f + a * m + first;
                    for (int64_t i = 0; i < count; ++i) to[i] -= row[size_t(a)] * from[i];
                }
                const double weight = w ? w[r] : 1.0;
                for (int64_t a = 0; a < p; ++a) {
                    double *sum = products + a * m + first;
                    const double g = row[size_t(a)] * weight;
                    for (int64_t i = 0; i < count; ++i) sum[i] += g * to[i];
                }
                double *sum = squares + first;
                for (int64_t i = 0; i < count; ++i) sum[i] += weight * to[i] * to[i];
            }
        });
    }
    return nb::make_tuple(products_out, squares_out);
}

}  // namespace mixeff
