// The criterion of a small model, its gradient and Hessian model (ENGINE sections 2 and 3).
//
// With F_l = (I + G_l Lambda Lambda')^-1 for the eliminated factor, E_l = B_l F_l' and N_l = F_l G_l
// are the products that are left when it is integrated out: Z'V_0^-1 Z. From them come
// z_l = E_l'(-b, 1), H = sum N_l - E_l' Q E_l and the average information.

#include <cstring>
#include <limits>

#include "small.hpp"
#include "small_fit.hpp"

namespace mixeff {

namespace {

constexpr double exact_fit = 1e-12;  // as in linear/criterion.py
constexpr double trusted = 1e7;
constexpr double well_conditioned = 1e4;  // as in factor/solves.py
constexpr double infinite = std::numeric_limits<double>::infinity();

}  // namespace

SmallSystem::SmallSystem(const SmallModel &m) : model(m) {
    const size_t rows = size_t(m.pointer[m.levels]), q = size_t(m.q), J = size_t(m.levels);
    const size_t w = size_t(m.width);
    A.assign(m.A, m.A + w * w);
    if (m.classes.count) {
        classes.emplace(m, A.data());
    } else {
        B.assign(m.B, m.B + rows * q);
        T.resize(J * q * q);
        R.resize(J * q * q);
        C.resize(rows * q);
        E.resize(rows * q);
        N.resize(J * q * q);
        Z.resize(J * q);
    }
    S.resize(w * w);
    L.resize(w * w);
    P.resize(w * w);
    Qs.resize(w * w);
    b.resize(w);
    tail_u.resize(w);
    tail_z.resize(w);
    F.resize(w * max_theta);
    U.resize(w * max_theta);
    D.resize(w * max_theta);
    slot.push_back(0);
    slot.push_back(int64_t(q * q));
    for (const SmallBlock &k : m.blocks) slot.push_back(slot.back() + k.q * k.q);
    H.resize(size_t(slot.back()));
    ZZ.resize(size_t(slot.back()));
    Lambdas.resize(size_t(slot.back()));
    shapes.resize(size_t(slot.back()));
    parameters = m.parameters;
    for (size_t i = 0; i < m.terms.size(); ++i)
        for (int r = 0; r < max_theta; ++r) orders.push_back(r);
    at[0] = std::nan("");
    inverses.resize(size_t(slot.back()));
    sound.resize(m.blocks.size() + 1);
}

void SmallSystem::respond(const double *By, const double *Ay) {
    const int64_t q = model.q, w = model.width;
    std::copy(Ay, Ay + w, A.data() + (w - 1) * w);
    for (int64_t i = 0; i < w; ++i) A[size_t(i * w + w - 1)] = Ay[i];
    if (classes)
        classes->respond(By, A.data());
    else
        for (int64_t l = 0; l < model.levels; ++l)
            std::copy(By + l * q, By + (l + 1) * q, B.data() + (model.pointer[l + 1] - 1) * q);
    broken = derived = false;
    at[0] = std::nan("");
}

void SmallSystem::term_factor(const double *theta, int term, double *Lambda) const {
    const SmallTerm &t = model.terms[size_t(term)];
    const double *next = theta + t.theta;
    const int *row = order(term);
    std::fill(Lambda, Lambda + t.size * t.size, 0.0);
    for (int c = 0; c < t.size; ++c)
        for (int r = c; r < t.size; ++r) Lambda[row[r] * t.size + c] = *next++;
}

void SmallSystem::reorder(int term, const int *order) {
    const SmallTerm &t = model.terms[size_t(term)];
    std::copy(order, order + t.size, orders.begin() + term * max_theta);
    size_t j = size_t(t.theta);
    for (int c = 0; c < t.size; ++c)
        for (int r = c; r < t.size; ++r) parameters[j++].row = t.offset + order[r];
    reordered = false;
    for (size_t i = 0; i < model.terms.size(); ++i)
        for (int r = 0; r < model.terms[i].size; ++r)
            reordered = reordered || orders[i * max_theta + size_t(r)] != r;
    at[0] = std::nan("");
    derived = false;
}

void SmallSystem::block_factors(const double *theta) {
    std::fill(Lambdas.begin(), Lambdas.end(), 0.0);
    if (reordered) std::fill(shapes.begin(), shapes.end(), 0.0);
    double shape[max_theta * max_theta], lower[max_theta * max_theta];
    for (size_t i = 0; i < model.terms.size(); ++i) {
        const SmallTerm &t = model.terms[i];
        const int64_t q = t.block ? model.blocks[size_t(t.block - 1)].q : model.q;
        const int64_t at0 = slot[size_t(t.block)] + t.offset * q + t.offset;
        term_factor(theta, int(i), shape);
        if (reordered) {
            for (int r = 0; r < t.size; ++r)
                std::copy(shape + r * t.size, shape + (r + 1) * t.size, shapes.data() + at0 + r * q);
            bool moved = false;
            for (int r = 0; r < t.size; ++r) moved = moved || order(int(i))[r] != r;
            if (moved) {
                lower_factor(shape, t.size, t.size, t.size, lower);
                std::copy(lower, lower + t.size * t.size, shape);
            }
        }
        for (int r = 0; r < t.size; ++r)
            std::copy(shape + r * t.size, shape + (r + 1) * t.size, Lambdas.data() + at0 + r * q);
    }
    if (!reordered) std::copy(Lambdas.begin(), Lambdas.end(), shapes.begin());
}

bool SmallSystem::invert_if_sound(const double *Lambda, int q, double *inverse) const {
    std::fill(inverse, inverse + q * q, 0.0);
    double size = 0.0, inverse_size = 0.0;
    for (int i = 0; i < q; ++i) {
        if (Lambda[i * q + i] == 0.0) return false;
        inverse[i * q + i] = 1.0;
    }
    for (int j = 0; j < q; ++j) {
        solve_lower<0>(Lambda, inverse + j, q, q);
        double a = 0.0, c = 0.0;
        for (int i = 0; i < q; ++i) {
            a += std::fabs(Lambda[i * q + j]);
            c += std::fabs(inverse[i * q + j]);
        }
        size = std::max(size, a);
        inverse_size = std::max(inverse_size, c);
    }
    return q == 1 || size * inverse_size <= well_conditioned;
}

void SmallSystem::evaluate(SmallPoint &point) {
    std::copy(point.theta, point.theta + model.k, at);
    derived = point.derived = false;
    point.value = infinite;
    block_factors(point.theta);
    std::copy(A.begin(), A.end(), S.begin());
    double logdet = 0.0;
    if (classes)
        logdet = classes->eliminate(shapes.data(), S.data());
    else
        logdet = eliminate_levels();
    if (!std::isfinite(logdet)) return;
    logdet += factor_tail();
    if (!std::isfinite(logdet) || std::isnan(pwrss)) return;
    const double nu = model.nu();
    if (!(pwrss > exact_fit * nu)) {
        double largest = 0.0;
        for (int j = 0; j < model.k; ++j) largest = std::max(largest, std::fabs(at[j]));
        if (largest < trusted) broken = true;
        return;
    }
    point.value = logdet + nu * (1.0 + std::log(2.0 * M_PI * pwrss / nu));
}

// Xi, gradient and Hessian model from H, zz' and the information, at the residual variance given;
// `profiled`: it is the best one, which the Hessian allows for. `slopes`: y'P V_j P y.
void SmallSystem::collect(SmallPoint &point, double sigma2, bool profiled, double *slopes) {
    const double nu = model.nu();
    const int k = model.k;
    double Lambda[max_theta * max_theta];
    for (const SmallTerm &t : model.terms) {
        const int64_t q = t.block ? model.blocks[size_t(t.block - 1)].q : model.q;
        const double *h = H.data() + slot[size_t(t.block)], *zz = ZZ.data() + slot[size_t(t.block)];
        double *Xi = point.Xi + t.slopes;
        const int n = t.size;
        for (int r = 0; r < n; ++r)
            for (int c = 0; c < n; ++c) {
                const int64_t a = (t.offset + r) * q + t.offset + c;
                const int64_t e = (t.offset + c) * q + t.offset + r;
                Xi[r * n + c] = 0.5 * (h[a] + h[e]) - zz[a] / sigma2;
            }
        term_factor(point.theta, int(&t - model.terms.data()), Lambda);
        double positive[max_theta * max_theta];
        positive_part(Xi, n, positive);
        const int last = t.theta + n * (n + 1) / 2;
        for (int j = t.theta; j < last; ++j) {
                const int r = parameters[size_t(j)].row - t.offset;
                const int c = parameters[size_t(j)].column - t.offset;
                double g = 0.0, d = 0.0;
                for (int i = 0; i < n; ++i) {
                    g += Xi[r * n + i] * Lambda[i * n + c];
                    d += zz[(t.offset + r) * q + t.offset + i] * Lambda[i * n + c];
                }
                point.gradient[j] = 2.0 * g;
                slopes[j] = 2.0 * d;
            }
        // 2 [Xi]_+ on the entries of one column
        for (int i = t.theta; i < last; ++i)
            for (int m = t.theta; m < last; ++m) {
                const SmallParameter &a = parameters[size_t(i)];
                const SmallParameter &c = parameters[size_t(m)];
                if (a.column == c.column)
                    second[i * k + m] = 2.0 * positive[(a.row - t.offset) * n + c.row - t.offset];
                else
                    second[i * k + m] = 0.0;
            }
    }
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            const bool same = parameters[size_t(i)].term == parameters[size_t(j)].term;
            point.hessian[i * k + j] =
                0.5 * (information[i * k + j] + information[j * k + i]) / sigma2 -
                (profiled ? slopes[i] * slopes[j] / (nu * sigma2 * sigma2) : 0.0) +
                (same ? second[i * k + j] : 0.0);
        }
}

void SmallSystem::derive(SmallPoint &point) {
    if (point.derived && derived && std::equal(at, at + model.k, point.theta)) return;
    if (!std::equal(at, at + model.k, point.theta)) evaluate(point);
    if (!std::isfinite(point.value)) return;
    solve_tail_modes();
    invert_tail();
    if (classes) {
        classes->differentiate(shapes.data(), parameters.data(), Qs.data(), b.data(), H.data(),
                               ZZ.data(), F.data(), information);
    } else {
        for (size_t i = 0; i <= model.blocks.size(); ++i)
            sound[i] = invert_if_sound(Lambdas.data() + slot[i],
                                       int(i ? model.blocks[i - 1].q : model.q),
                                       inverses.data() + slot[i]);
        differentiate_levels();
        tail_derivatives();
    }
    add_directions();
    double slopes[max_theta];
    collect(point, pwrss / model.nu(), true, slopes);
    derived = point.derived = true;
}

void SmallSystem::derive_unprofiled(SmallPoint &point, double tau, double *gradient,
                                    double *hessian) {
    derive(point);
    if (!std::isfinite(point.value)) return;
    const double nu = model.nu(), ratio = pwrss / tau;
    const int k = model.k, m = k + 1;
    double slopes[max_theta];
    collect(point, tau, false, slopes);
    point.derived = false;  // what it holds is not of the profiled criterion
    point.value += nu * (std::log(tau * nu / pwrss) - 1.0) + ratio;
    for (int i = 0; i < k; ++i) {
        gradient[i] = point.gradient[i];
        for (int j = 0; j < k; ++j) hessian[i * m + j] = point.hessian[i * k + j];
        hessian[i * m + k] = hessian[k * m + i] = slopes[i] / tau;
    }
    gradient[k] = nu - ratio;
    hessian[k * m + k] = ratio;
}

double SmallSystem::curvature_along(SmallPoint &point, int term, const double *v) {
    derive(point);
    const SmallTerm &t = model.terms[size_t(term)];
    const int64_t w = model.width, last = w - 1;
    double *f = U.data(), *d = D.data();
    double total = 0.0, slope = 0.0;  // c'Z'V_0^-1 Z c, y'P V_j P y
    std::fill(f, f + w, 0.0);
    auto along = [&](const double *z) {
        double s = 0.0;
        for (int i = 0; i < t.size; ++i) s += z[t.offset + i] * v[i];
        slope += s * s;
        return s;
    };
    if (classes) {
        double wide[max_theta] = {0.0};
        std::copy(v, v + t.size, wide + t.offset);
        total = classes->along(wide, b.data(), f, slope);
    } else if (t.block == 0) {
        const int64_t q = model.q;
        for (int64_t l = 0; l < model.levels; ++l) {
            const double s = along(Z.data() + l * q), *n = N.data() + l * q * q;
            for (int i = 0; i < t.size; ++i)
                for (int j = 0; j < t.size; ++j)
                    total += s * s * v[i] * v[j] * n[(t.offset + i) * q + t.offset + j];
            for (int64_t row = model.pointer[l]; row < model.pointer[l + 1] - 1; ++row)
                for (int i = 0; i < t.size; ++i)
                    f[model.columns[row]] += E[size_t(row * q + t.offset + i)] * s * v[i];
        }
    } else {
        const SmallBlock &own = model.blocks[size_t(t.block - 1)];
        std::fill(d, d + w, 0.0);
        for (int64_t first = own.first; first < own.last; first += own.q) {
            const double s = along(tail_z.data() + first);
            for (int i = 0; i < t.size; ++i) d[first + t.offset + i] = s * v[i];
        }
        for (int64_t i = 0; i < last; ++i) {
            for (int64_t c = own.first; c < own.last; ++c) f[i] += S[size_t(i * w + c)] * d[c];
            total += d[i] * f[i];
        }
    }
    times_Lambda_transposed(f);
    for (int64_t i = 0; i < last; ++i) {
        for (int64_t r = 0; r < i; ++r) f[i] -= L[size_t(i * w + r)] * f[r];
        f[i] /= L[size_t(i * w + i)];
        total -= f[i] * f[i];
    }
    const double nu = model.nu(), sigma2 = pwrss / nu;
    return total / sigma2 - slope * slope / (nu * sigma2 * sigma2);
}

void SmallSystem::solution(SmallPoint &point, double *beta, double *covariance, double *modes,
                           double *tail_modes) {
    if (!std::equal(at, at + model.k, point.theta)) evaluate(point);
    solve_tail_modes();
    const int64_t w = model.width, q = model.q, p = model.fixed, first = model.random;
    std::copy(b.data() + first, b.data() + first + p, beta);
    if (!covariance) return;
    double *inverse = Qs.data();
    derived = false;
    for (int64_t j = 0; j < p; ++j)
        for (int64_t i = j; i < p; ++i) {
            const double *m = L.data() + (first + i) * w + first;
            double s = i == j ? 1.0 : 0.0;
            for (int64_t k = j; k < i; ++k) s -= m[k] * inverse[k * w + j];
            inverse[i * w + j] = s / m[i];
        }
    for (int64_t i = 0; i < p; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            double s = 0.0;
            for (int64_t k = i; k < p; ++k) s += inverse[k * w + i] * inverse[k * w + j];
            covariance[i * p + j] = covariance[j * p + i] = s;
        }
    std::copy(b.data(), b.data() + first, tail_modes);
    if (classes) return classes->modes(shapes.data(), b.data(), modes);
    // b_l = R (C_y - sum C b)
    for (int64_t l = 0; l < model.levels; ++l) {
        double u[max_theta] = {0.0};
        for (int64_t row = model.pointer[l]; row < model.pointer[l + 1]; ++row)
            for (int64_t j = 0; j < q; ++j)
                u[j] -= C[size_t(row * q + j)] * b[size_t(model.columns[row])];
        const double *r = R.data() + l * q * q;
        for (int64_t i = 0; i < q; ++i) {
            modes[l * q + i] = 0.0;
            for (int64_t j = 0; j < q; ++j) modes[l * q + i] += r[i * q + j] * u[j];
        }
    }
}

}  // namespace mixeff
