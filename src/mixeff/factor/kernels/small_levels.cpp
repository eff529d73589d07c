// The eliminated factor of a small model, level by level: F_l, E_l and N_l of small_system.cpp.

#include "small.hpp"
#include "small_fit.hpp"

namespace mixeff {

namespace {

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

double SmallSystem::eliminate_levels() {
    double logdet = 0.0;
    with_shape([&](auto q, auto rows) {
        logdet = eliminate<decltype(q)::value, decltype(rows)::value>();
    });
    return logdet;
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

}  // namespace mixeff
