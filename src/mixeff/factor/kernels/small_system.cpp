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

// How the rows of a level lie in the tail: anywhere, or one after the other; their number may be
// known at compile time (X and y of a model with one grouping factor).
constexpr int scattered = -1, in_order = 0;

// S[at[i], at[j]] -= C_i C_j' for j <= i
template <int Q, int Rows>
inline void subtract_outer(const double *C, const int32_t *at, int64_t rows, double *S,
                           int64_t width, int64_t size) {
    const int64_t q = Q ? Q : size;
    for (int64_t i = 0; i < rows; ++i) {
        double *row = S + (Rows >= 0 ? i : int64_t(at[i])) * width;
        for (int64_t j = 0; j <= i; ++j) {
            double s = 0.0;
            for (int64_t k = 0; k < q; ++k) s += C[i * q + k] * C[j * q + k];
            row[Rows >= 0 ? j : int64_t(at[j])] -= s;
        }
    }
}

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

// Sum of the logarithms of the pivots, NaN when a level is not positive definite.
template <int QQ, int Rows>
double SmallSystem::eliminate() {
    const int64_t q = QQ ? QQ : model.q, w = model.width;
    double GL[QQ ? QQ * QQ : max_theta * max_theta], Lambda[QQ ? QQ * QQ : max_theta * max_theta];
    double local[Rows > 0 ? Rows * Rows : 1] = {0.0};  // what is subtracted from a short tail
    std::copy(Lambdas.data(), Lambdas.data() + q * q, Lambda);
    LogProduct pivots;
    for (int64_t l = 0; l < model.levels; ++l) {
        double *t = T.data() + l * q * q, *r = R.data() + l * q * q;
        const double *g = model.G + l * q * q;
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) {
                double s = 0.0;
                for (int64_t k = j; k < q; ++k) s += g[i * q + k] * Lambda[k * q + j];
                GL[i * q + j] = s;
            }
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j <= i; ++j) {
                double s = i == j ? 1.0 : 0.0;
                for (int64_t k = i; k < q; ++k) s += Lambda[k * q + i] * GL[k * q + j];
                t[i * q + j] = s;
            }
        if (!cholesky<QQ>(t, q)) return std::nan("");
        for (int64_t i = 0; i < q; ++i) pivots.times(t[i * q + i]);
        invert_in_place<QQ>(t, q);
        for (int64_t i = 0; i < q; ++i)  // R = Lambda T^-T
            for (int64_t j = 0; j < q; ++j) {
                double s = 0.0;
                for (int64_t k = 0; k <= std::min(i, j); ++k) s += Lambda[i * q + k] * t[j * q + k];
                r[i * q + j] = s;
            }
        const int64_t first = model.pointer[l];
        const int64_t rows = Rows > 0 ? Rows : model.pointer[l + 1] - first;
        const double *from = B.data() + first * q;
        double *c = C.data() + first * q;
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < q; ++j) {
                double s = 0.0;
                for (int64_t k = 0; k < q; ++k) s += from[i * q + k] * r[k * q + j];
                c[i * q + j] = s;
            }
        if (Rows > 0)
            subtract_outer<QQ, in_order>(c, nullptr, Rows, local, Rows, q);
        else
            subtract_outer<QQ, Rows>(c, model.columns + first, rows, S.data(), w, q);
    }
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j <= i; ++j) S[size_t(i * w + j)] += local[i * Rows + j];
    return 2.0 * pivots.value();
}

// Scales S by Lambda into L, factors it; the logarithms that enter the criterion, or NaN.
double SmallSystem::factor_tail() {
    const int64_t w = model.width, last = w - 1, random = model.random;
    double *s = S.data(), *m = L.data();
    if (random)
        for (int64_t i = 0; i < w; ++i)
            for (int64_t j = 0; j < i; ++j) s[j * w + i] = s[i * w + j];
    std::copy(s, s + w * w, m);
    for (size_t i = 0; i < model.blocks.size(); ++i) {
        const SmallBlock &k = model.blocks[i];
        const double *Lambda = Lambdas.data() + slot[i + 1];
        for (int64_t at0 = k.first; at0 < k.last; at0 += k.q) {
            // Columns, then rows: entries above the diagonal are carried along but never used.
            for (int64_t row = 0; row < w; ++row)
                for (int64_t c = 0; c < k.q; ++c) {
                    double sum = 0.0;
                    for (int64_t d = c; d < k.q; ++d)
                        sum += m[row * w + at0 + d] * Lambda[d * k.q + c];
                    m[row * w + at0 + c] = sum;
                }
        }
        for (int64_t at0 = k.first; at0 < k.last; at0 += k.q)
            for (int64_t a = 0; a < k.q; ++a) {
                double *target = m + (at0 + a) * w;
                const double own = Lambda[a * k.q + a];
                for (int64_t c = 0; c < w; ++c) target[c] *= own;
                for (int64_t d = a + 1; d < k.q; ++d) {
                    const double f = Lambda[d * k.q + a];
                    const double *source = m + (at0 + d) * w;
                    for (int64_t c = 0; c < w; ++c) target[c] += f * source[c];
                }
            }
    }
    for (int64_t i = 0; i < random; ++i) m[i * w + i] += 1.0;
    LogProduct of_random, of_fixed;
    for (int64_t i = 0; i < w; ++i) {
        double *row = m + i * w;
        for (int64_t j = 0; j < std::min(i, last); ++j) {
            double sum = row[j];
            const double *other = m + j * w;
            for (int64_t k = 0; k < j; ++k) sum -= row[k] * other[k];
            row[j] = sum / other[j];
        }
        double d = row[i];
        for (int64_t k = 0; k < i; ++k) d -= row[k] * row[k];
        if (i == last) {
            pwrss = d;
            break;
        }
        if (!(d > 0.0) || !std::isfinite(d)) {
            // X is dependent: an error that Python words.
            if (i >= random) broken = true;
            return std::nan("");
        }
        row[i] = std::sqrt(d);
        (i < random ? of_random : of_fixed).times(row[i]);
    }
    return 2.0 * (of_random.value() + (model.reml ? of_fixed.value() : 0.0));
}

// Calls body with the columns per level and the rows of a level as constants where that pays.
template <typename Body>
void SmallSystem::with_shape(Body body) {
    with_size(model.q, [&](auto q) {
        constexpr int Q = decltype(q)::value;
        if (model.random) return body(q, Fixed<scattered>{});
        if constexpr (Q == 1 || Q == 2) switch (model.width) {
            case 1: return body(q, Fixed<1>{});
            case 2: return body(q, Fixed<2>{});
            case 3: return body(q, Fixed<3>{});
            case 4: return body(q, Fixed<4>{});
            case 5: return body(q, Fixed<5>{});
            case 6: return body(q, Fixed<6>{});
        }
        body(q, Fixed<in_order>{});
    });
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
        with_shape([&](auto q, auto rows) {
            logdet = eliminate<decltype(q)::value, decltype(rows)::value>();
        });
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

// b: the tail's modes, beta, and -1 where y stands.
void SmallSystem::solve_tail_modes() {
    const int64_t w = model.width, last = w - 1;
    const double *m = L.data();
    std::copy(m + last * w, m + last * w + last, b.data());
    for (int64_t i = last - 1; i >= 0; --i) {
        b[size_t(i)] /= m[i * w + i];
        for (int64_t j = 0; j < i; ++j) b[size_t(j)] -= m[i * w + j] * b[size_t(i)];
    }
    std::copy(b.data(), b.data() + model.random, tail_u.data());
    for (size_t i = 0; i < model.blocks.size(); ++i) {
        const SmallBlock &k = model.blocks[i];
        const double *Lambda = Lambdas.data() + slot[i + 1];
        for (int64_t at0 = k.first; at0 < k.last; at0 += k.q)
            for (int64_t r = k.q - 1; r >= 0; --r) {
                double sum = 0.0;
                for (int64_t c = 0; c <= r; ++c) sum += Lambda[r * k.q + c] * b[size_t(at0 + c)];
                b[size_t(at0 + r)] = sum;
            }
    }
    b[size_t(last)] = -1.0;
}

// P = Lt M^-1 and Qs = Lt M^-1 Lt' over the columns that count (X only for REML).
void SmallSystem::invert_tail() {
    const int64_t w = model.width, size = model.random + (model.reml ? model.fixed : 0);
    const double *m = L.data();
    double *inverse = Qs.data(), *p = P.data();
    for (int64_t j = 0; j < size; ++j)  // L^-1, lower, column by column
        for (int64_t i = j; i < size; ++i) {
            double s = i == j ? 1.0 : 0.0;
            for (int64_t k = j; k < i; ++k) s -= m[i * w + k] * inverse[k * w + j];
            inverse[i * w + j] = s / m[i * w + i];
        }
    for (int64_t i = 0; i < size; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            double s = 0.0;
            for (int64_t k = i; k < size; ++k) s += inverse[k * w + i] * inverse[k * w + j];
            p[i * w + j] = p[j * w + i] = s;
        }
    for (size_t i = 0; i < model.blocks.size(); ++i) {  // rows
        const SmallBlock &k = model.blocks[i];
        const double *Lambda = Lambdas.data() + slot[i + 1];
        for (int64_t at0 = k.first; at0 < k.last; at0 += k.q)
            for (int64_t a = k.q - 1; a >= 0; --a) {
                double *target = p + (at0 + a) * w;
                for (int64_t c = 0; c < size; ++c) target[c] *= Lambda[a * k.q + a];
                for (int64_t d = 0; d < a; ++d)
                    for (int64_t c = 0; c < size; ++c)
                        target[c] += Lambda[a * k.q + d] * p[(at0 + d) * w + c];
            }
    }
    for (int64_t row = 0; row < size; ++row) {  // columns
        const double *from = p + row * w;
        double *to = Qs.data() + row * w;
        std::copy(from, from + size, to);
        for (size_t i = 0; i < model.blocks.size(); ++i) {
            const SmallBlock &k = model.blocks[i];
            const double *Lambda = Lambdas.data() + slot[i + 1];
            for (int64_t at0 = k.first; at0 < k.last; at0 += k.q)
                for (int64_t c = k.q - 1; c >= 0; --c) {
                    double s = 0.0;
                    for (int64_t d = 0; d <= c; ++d) s += Lambda[c * k.q + d] * to[at0 + d];
                    to[at0 + c] = s;
                }
        }
    }
}

// E, N, Z of every level, and what they add to H, zz', F and the information.
template <int QQ, int Rows, int K>
void SmallSystem::differentiate() {
    const int64_t q = QQ ? QQ : model.q, w = model.width;
    constexpr int room = QQ ? QQ * QQ : max_theta * max_theta;
    double Lambda[room], inverse[room], X[room], GR[room], h[room], zz[room];
    std::copy(shapes.data(), shapes.data() + q * q, Lambda);
    std::copy(inverses.data(), inverses.data() + q * q, inverse);
    std::fill(h, h + q * q, 0.0);
    std::fill(zz, zz + q * q, 0.0);
    int rows_of[max_theta], columns_of[max_theta], index[max_theta], found = 0;
    for (int j = 0; j < model.k; ++j)
        if (model.terms[size_t(parameters[size_t(j)].term)].block == 0) {
            rows_of[found] = parameters[size_t(j)].row;
            columns_of[found] = parameters[size_t(j)].column;
            index[found++] = j;
        }
    const int k0 = K ? K : found;
    double c[(QQ ? QQ : max_theta) * max_theta], Nc[QQ ? QQ : max_theta];
    double sums[K ? K * K : max_theta * max_theta];
    double local[Rows > 0 && K ? Rows * K : 1] = {0.0};  // F of a short tail
    std::fill(sums, sums + k0 * k0, 0.0);
    const int64_t drop = 1 + (model.reml ? 0 : model.fixed);
    for (int64_t l = 0; l < model.levels; ++l) {
        const int64_t first = model.pointer[l];
        const int64_t rows = Rows > 0 ? Rows : model.pointer[l + 1] - first;
        const int32_t *col = model.columns + first;
        const double *from = B.data() + first * q, *own = C.data() + first * q;
        double *e = E.data() + first * q, *n = N.data() + l * q * q, *z = Z.data() + l * q;
        product<QQ>(model.G + l * q * q, R.data() + l * q * q, GR, q);
        if (sound[0]) {
            product<QQ>(T.data() + l * q * q, inverse, X, q);
            product<QQ>(GR, X, n, q);
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < q; ++j) {
                    double s = 0.0;
                    for (int64_t k = j; k < q; ++k) s += own[i * q + k] * X[k * q + j];
                    e[i * q + j] = s;
                }
        } else {
            product_transposed<QQ>(GR, GR, n, q);
            for (int64_t i = 0; i < q * q; ++i) n[i] = model.G[l * q * q + i] - n[i];
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < q; ++j) {
                    double s = from[i * q + j];
                    for (int64_t k = 0; k < q; ++k) s -= own[i * q + k] * GR[j * q + k];
                    e[i * q + j] = s;
                }
        }
        for (int64_t j = 0; j < q; ++j) z[j] = 0.0;
        for (int64_t i = 0; i < rows; ++i) {
            const double f = b[size_t(Rows >= 0 ? i : int64_t(col[i]))];
            for (int64_t j = 0; j < q; ++j) z[j] -= f * e[i * q + j];
        }
        for (int64_t i = 0; i < q * q; ++i) h[i] += n[i];
        const int64_t counted = rows - drop;
        for (int64_t i = 0; i < counted; ++i) {
            const double *row = Qs.data() + (Rows >= 0 ? i : int64_t(col[i])) * w;
            double qe[QQ ? QQ : max_theta] = {0.0};
            for (int64_t m = 0; m < counted; ++m) {
                const double f = row[Rows >= 0 ? m : int64_t(col[m])];
                for (int64_t j = 0; j < q; ++j) qe[j] += f * e[m * q + j];
            }
            for (int64_t a = 0; a < q; ++a)
                for (int64_t j = 0; j < q; ++j) h[a * q + j] -= e[i * q + a] * qe[j];
        }
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) zz[i * q + j] += z[i] * z[j];
        // Directions dSigma_j z = e_r (Lambda'z)_c + Lambda_c z_r, a column for each parameter.
        double u[QQ ? QQ : max_theta];
        for (int64_t j = 0; j < q; ++j) {
            u[j] = 0.0;
            for (int64_t i = 0; i < q; ++i) u[j] += Lambda[i * q + j] * z[i];
        }
        for (int j = 0; j < k0; ++j) {
            double *to = c + j * q;
            for (int64_t i = 0; i < q; ++i) to[i] = Lambda[i * q + columns_of[j]] * z[rows_of[j]];
            to[rows_of[j]] += u[columns_of[j]];
        }
        for (int j = 0; j < k0; ++j) {
            for (int64_t i = 0; i < q; ++i) {
                Nc[i] = 0.0;
                for (int64_t k = 0; k < q; ++k) Nc[i] += n[i * q + k] * c[j * q + k];
            }
            for (int i = 0; i <= j; ++i) {
                double s = 0.0;
                for (int64_t k = 0; k < q; ++k) s += c[i * q + k] * Nc[k];
                sums[j * k0 + i] += s;
            }
        }
        for (int64_t i = 0; i < rows - 1; ++i) {
            double *to = F.data() + (Rows >= 0 ? i : int64_t(col[i])) * model.k;
            for (int j = 0; j < k0; ++j) {
                double s = 0.0;
                for (int64_t k = 0; k < q; ++k) s += e[i * q + k] * c[j * q + k];
                if (Rows > 0 && K)
                    local[i * k0 + j] += s;
                else
                    to[index[j]] += s;
            }
        }
    }
    if (Rows > 0 && K)
        for (int i = 0; i < Rows - 1; ++i)
            for (int j = 0; j < k0; ++j) F[size_t(i * model.k + index[j])] = local[i * k0 + j];
    std::copy(h, h + q * q, H.data());
    std::copy(zz, zz + q * q, ZZ.data());
    for (int j = 0; j < k0; ++j)
        for (int i = 0; i <= j; ++i) {
            information[index[j] * model.k + index[i]] = sums[j * k0 + i];
            information[index[i] * model.k + index[j]] = sums[j * k0 + i];
        }
}

// H and zz' of the tail's blocks, from S_0 (symmetric) and the inverse.
void SmallSystem::tail_derivatives() {
    const int64_t w = model.width, last = w - 1;
    const int64_t size = model.random + (model.reml ? model.fixed : 0);
    const double *s = S.data();
    for (size_t i = 0; i < model.blocks.size(); ++i) {
        const SmallBlock &k = model.blocks[i];
        const int64_t q = k.q;
        double *h = H.data() + slot[i + 1], *zz = ZZ.data() + slot[i + 1];
        double sum[max_theta * max_theta];
        const double *inverse = inverses.data() + slot[i + 1];
        std::fill(zz, zz + q * q, 0.0);
        std::fill(sum, sum + q * q, 0.0);
        for (int64_t first = k.first; first < k.last; first += q) {
            double z[max_theta];
            for (int64_t a = 0; a < q; ++a) {
                const double *row = s + (first + a) * w;
                z[a] = 0.0;
                if (sound[i + 1])
                    for (int64_t c = a; c < q; ++c) z[a] += inverse[c * q + a] * tail_u[size_t(first + c)];
                else
                    for (int64_t c = 0; c <= last; ++c) z[a] -= row[c] * b[size_t(c)];
                tail_z[size_t(first + a)] = z[a];
                for (int64_t d = 0; d < q; ++d) {
                    double t = 0.0;
                    if (sound[i + 1]) {
                        for (int64_t c = 0; c < size; ++c) t += row[c] * P[size_t(c * w + first + d)];
                    } else {
                        t = row[first + d];
                        for (int64_t c = 0; c < size; ++c)
                            for (int64_t e = 0; e < size; ++e)
                                t -= row[c] * Qs[size_t(c * w + e)] * s[(first + d) * w + e];
                    }
                    sum[a * q + d] += t;
                }
            }
            for (int64_t a = 0; a < q; ++a)
                for (int64_t d = 0; d < q; ++d) zz[a * q + d] += z[a] * z[d];
        }
        if (sound[i + 1])
            product<0>(sum, inverse, h, q);
        else
            std::copy(sum, sum + q * q, h);
    }
}

void SmallSystem::times_Lambda_transposed(double *x) const {
    for (size_t i = 0; i < model.blocks.size(); ++i) {
        const SmallBlock &k = model.blocks[i];
        const double *Lambda = Lambdas.data() + slot[i + 1];
        for (int64_t first = k.first; first < k.last; first += k.q)
            for (int64_t c = 0; c < k.q; ++c) {
                double s = 0.0;
                for (int64_t r = c; r < k.q; ++r) s += Lambda[r * k.q + c] * x[first + r];
                x[first + c] = s;
            }
    }
}

// The tail's part of C'Z'P Z C, with F = sum E_l c_l of the eliminated factor's directions.
void SmallSystem::add_directions() {
    const int64_t w = model.width, last = w - 1;
    const int k = model.k;
    const double *s = S.data(), *m = L.data();
    for (int j = 0; j < k; ++j) {
        double *u = U.data() + j * w;
        for (int64_t i = 0; i < last; ++i) u[i] = F[size_t(i * k + j)];
    }
    for (int j = 0; j < k && model.random; ++j) {
        const SmallParameter &pj = parameters[size_t(j)];
        const int block = model.terms[size_t(pj.term)].block;
        double *d = D.data() + j * w, *u = U.data() + j * w;
        std::fill(d, d + w, 0.0);
        if (block == 0) continue;
        const SmallBlock &own = model.blocks[size_t(block - 1)];
        const double *Lambda = shapes.data() + slot[size_t(block)];
        for (int64_t first = own.first; first < own.last; first += own.q) {
            const double *z = tail_z.data() + first;
            double sum = 0.0;
            for (int64_t i = 0; i < own.q; ++i) sum += Lambda[i * own.q + pj.column] * z[i];
            for (int64_t i = 0; i < own.q; ++i)
                d[first + i] = Lambda[i * own.q + pj.column] * z[pj.row];
            d[first + pj.row] += sum;
        }
        for (int64_t i = 0; i < last; ++i)
            for (int64_t c = own.first; c < own.last; ++c) u[i] += s[i * w + c] * d[c];
    }
    for (int j = 0; j < k && model.random; ++j)
        for (int i = 0; i < k; ++i) {
            // c_i'(F_j + S c_j) + c_j'F_i
            double sum = 0.0;
            for (int64_t r = 0; r < model.random; ++r)
                sum += D[size_t(i * w + r)] * U[size_t(j * w + r)] +
                       D[size_t(j * w + r)] * F[size_t(r * k + i)];
            information[i * k + j] += sum;
        }
    for (int j = 0; j < k; ++j) {
        double *u = U.data() + j * w;
        times_Lambda_transposed(u);
        for (int64_t i = 0; i < last; ++i) {
            double sum = u[i];
            for (int64_t r = 0; r < i; ++r) sum -= m[i * w + r] * u[r];
            u[i] = sum / m[i * w + i];
        }
        for (int i = 0; i <= j; ++i) {
            const double *v = U.data() + i * w;
            double sum = 0.0;
            for (int64_t r = 0; r < last; ++r) sum += u[r] * v[r];
            information[j * k + i] -= sum;
            if (i != j) information[i * k + j] -= sum;
        }
    }
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

// The eliminated factor's part of the derivatives, level by level.
void SmallSystem::differentiate_levels() {
    std::fill(information, information + model.k * model.k, 0.0);
    std::fill(F.begin(), F.begin() + model.width * model.k, 0.0);
    int64_t of_first = 0;  // parameters of the eliminated factor
    for (const SmallTerm &t : model.terms)
        if (t.block == 0) of_first += t.size * (t.size + 1) / 2;
    with_shape([&](auto q, auto rows) {
        constexpr int Q = decltype(q)::value, K = Q * (Q + 1) / 2;
        if (of_first == K)
            differentiate<Q, decltype(rows)::value, K>();
        else
            differentiate<Q, decltype(rows)::value, 0>();
    });
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
