// Level classes: finding them, their moments, and what an evaluation takes from them.

#include "small_classes.hpp"

#include <algorithm>
#include <limits>

#include "small.hpp"
#include "small_fit.hpp"

namespace mixeff {

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
// Two sums of the same squares in another order; entries relative to the diagonal.
constexpr double same = 16.0 * eps;
// A column that the ones before it explain to this part of its square is rounding.
constexpr double nothing_left = 64.0 * eps;

// Place of the pair i <= j.
inline int64_t pair_of(int64_t i, int64_t j) { return j * (j + 1) / 2 + i; }
inline int64_t pair_of_any(int64_t i, int64_t j) { return i < j ? pair_of(i, j) : pair_of(j, i); }

// Multiplications per evaluation with its derivatives, and once for the moments.
struct Work {
    double level, cell, once;
    explicit Work(const SmallModel &m) {
        const double q = double(m.q), w = double(m.width), k = double(m.k);
        const double pairs = 0.5 * w * (w + 1.0), packed = 0.5 * q * (q + 1.0);
        level = 3.0 * q * q * q + w * q * (w + 3.0 * q) + k * q * (q + w + 0.5 * k);
        cell = 10.0 * q * q * q + 2.5 * pairs * packed + 2.0 * w * q * q * q + 2.0 * k * k;
        once = pairs * q * q;
    }
};

// Classes found so far, by a hash of their G to few digits: equal blocks may differ in the last.
class Table {
public:
    Table(const SmallModel &m, int64_t most) : model(m), size(2) {
        while (size < 2 * most + 2) size *= 2;
        slots.assign(size_t(size), -1);
        double largest = 0.0;
        for (int64_t i = 0; i < m.levels * m.q * m.q; ++i)
            largest = std::max(largest, std::fabs(m.G[i]));
        unit = std::ldexp(1.0, 24) / (largest > 0.0 ? largest : 1.0);
    }

    // The class of a level: `next` when it is new.
    int32_t find(int64_t level, int32_t next) {
        const double *g = model.G + level * model.q * model.q;
        uint64_t key = 0;
        for (int64_t i = 0; i < model.q; ++i)
            for (int64_t j = 0; j <= i; ++j) {
                key = (key ^ uint64_t(std::llround(g[i * model.q + j] * unit))) * 0x9e3779b97f4a7c15u;
                key ^= key >> 29;
            }
        for (uint64_t at = key;; ++at) {
            int32_t &slot = slots[size_t(at & uint64_t(size - 1))];
            if (slot < 0) {
                slot = next;
                first.push_back(level);
                return next;
            }
            if (equal(g, model.G + first[size_t(slot)] * model.q * model.q)) return slot;
        }
    }

    std::vector<int64_t> first;  // level of each class

private:
    bool equal(const double *a, const double *b) const {
        const int64_t q = model.q;
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j <= i; ++j) {
                const double change = a[i * q + j] - b[i * q + j];
                if (change == 0.0) continue;
                const double square = b[i * q + i] * b[j * q + j];
                if (!(change * change <= same * same * square)) return false;
            }
        return true;
    }

    const SmallModel &model;
    int64_t size;
    double unit;
    std::vector<int32_t> slots;
};

// Lower U with G = U U', columns of zeros where G is singular.
void root_of(const double *G, int64_t q, double *U) {
    std::fill(U, U + q * q, 0.0);
    for (int64_t j = 0; j < q; ++j) {
        double d = G[j * q + j];
        for (int64_t k = 0; k < j; ++k) d -= U[j * q + k] * U[j * q + k];
        if (!(d > nothing_left * G[j * q + j])) continue;
        U[j * q + j] = std::sqrt(d);
        for (int64_t i = j + 1; i < q; ++i) {
            double s = G[i * q + j];
            for (int64_t k = 0; k < j; ++k) s -= U[i * q + k] * U[j * q + k];
            U[i * q + j] = s / U[j * q + j];
        }
    }
}

// out = M X M' for packed symmetric X
template <int QQ>
inline void sandwich(const double *M, const double *X, double *out, int64_t size) {
    const int64_t q = QQ ? QQ : size;
    constexpr int room = QQ ? QQ * QQ : max_theta * max_theta;
    double MX[room];
    for (int64_t r = 0; r < q; ++r)
        for (int64_t c = 0; c < q; ++c) {
            double s = 0.0;
            for (int64_t k = 0; k < q; ++k) s += M[r * q + k] * X[pair_of_any(k, c)];
            MX[r * q + c] = s;
        }
    for (int64_t r = 0; r < q; ++r)
        for (int64_t c = 0; c <= r; ++c) {
            double s = 0.0;
            for (int64_t k = 0; k < q; ++k) s += MX[r * q + k] * M[c * q + k];
            out[r * q + c] = out[c * q + r] = s;
        }
}

}  // namespace

LevelClasses level_classes(const SmallModel &m, bool always) {
    LevelClasses found;
    if (m.random || !m.levels) return found;
    const Work work(m);
    // Six evaluations, as most fits take.
    double most = double(m.levels) * (work.level - work.once / 6.0) / work.cell;
    if (always) most = double(m.levels);
    if (!(most >= 1.0)) return found;
    const int64_t limit = std::min(m.levels, int64_t(most));
    Table table(m, limit);
    std::vector<int32_t> of_level(static_cast<size_t>(m.levels));
    int64_t count = 0;
    for (int64_t l = 0; l < m.levels; ++l) {
        of_level[size_t(l)] = table.find(l, int32_t(count));
        if (of_level[size_t(l)] == count && ++count > limit) return found;
    }
    found.count = count;
    found.sizes.assign(size_t(count), 0.0);
    for (const int32_t c : of_level) found.sizes[size_t(c)] += 1.0;
    found.of_level = std::move(of_level);
    found.roots.resize(size_t(count * m.q * m.q));
    for (int64_t c = 0; c < count; ++c)
        root_of(m.G + table.first[size_t(c)] * m.q * m.q, m.q, found.roots.data() + c * m.q * m.q);
    return found;
}

ClassMoments::ClassMoments(const SmallModel &m, double *A)
    : model(m), q(m.q), packed(m.q * (m.q + 1) / 2), width(m.width),
      pairs(m.width * (m.width + 1) / 2) {
    const int64_t count = m.classes.count;
    W.resize(size_t(width * m.levels * q));
    moments.resize(size_t(count * pairs * packed));
    Phi.resize(size_t(count * q * q));
    G.resize(size_t(width * q * q));
    for (int64_t i = 0; i < width; ++i) {
        explain(m.B + i * q, width * q, i);
        moments_of(i, A);
    }
}

void ClassMoments::respond(const double *By, double *A) {
    explain(By, q, width - 1);
    moments_of(width - 1, A);
}

// Row i of W: U w = b for every level, b `step` numbers apart.
void ClassMoments::explain(const double *from, int64_t step, int64_t i) {
    double *w = W.data() + i * model.levels * q;
    for (int64_t l = 0; l < model.levels; ++l, w += q, from += step) {
        const double *U = model.classes.roots.data() + model.classes.of_level[size_t(l)] * q * q;
        for (int64_t a = 0; a < q; ++a) {
            double s = from[a];
            for (int64_t k = 0; k < a; ++k) s -= U[a * q + k] * w[k];
            w[a] = U[a * q + a] > 0.0 ? s / U[a * q + a] : 0.0;
        }
    }
}

void ClassMoments::moments_of(int64_t i, double *A) {
    with_size(q, [&](auto size) { moments_of_<decltype(size)::value>(i, A); });
}

// Moments of row i with itself and those before it; takes them from A.
template <int QQ>
void ClassMoments::moments_of_(int64_t i, double *A) {
    const int64_t q = QQ ? QQ : this->q, packed = QQ ? QQ * (QQ + 1) / 2 : this->packed;
    const int64_t J = model.levels;
    const int32_t *of_level = model.classes.of_level.data();
    double own[QQ ? QQ * (QQ + 1) / 2 : max_theta * max_theta];
    for (int64_t j = 0; j <= i; ++j) {
        const double *x = W.data() + i * J * q, *y = W.data() + j * J * q;
        const int64_t place = pair_of(j, i) * packed;
        for (int64_t c = 0; c < model.classes.count; ++c)
            std::fill_n(moments.data() + c * pairs * packed + place, packed, 0.0);
        double total = 0.0;
        for (int64_t l = 0; l < J;) {  // levels of one class that follow each other
            const int32_t c = of_level[l];
            std::fill(own, own + packed, 0.0);
            for (; l < J && of_level[l] == c; ++l, x += q, y += q)
                for (int64_t a = 0, at = 0; a < q; ++a)
                    for (int64_t b = 0; b <= a; ++b, ++at)
                        own[at] += a == b ? x[a] * y[a] : 0.5 * (x[a] * y[b] + x[b] * y[a]);
            double *to = moments.data() + c * pairs * packed + place;
            for (int64_t at = 0; at < packed; ++at) to[at] += own[at];
            for (int64_t a = 0; a < q; ++a) total += own[pair_of(a, a)];
        }
        A[i * width + j] -= total;
        if (i != j) A[j * width + i] -= total;
    }
}

double ClassMoments::eliminate(const double *Lambda, double *S) {
    return with_size(q, [&](auto size) { return eliminate_<decltype(size)::value>(Lambda, S); });
}

template <int QQ>
double ClassMoments::eliminate_(const double *Lambda, double *S) {
    const int64_t q = QQ ? QQ : this->q, packed = QQ ? QQ * (QQ + 1) / 2 : this->packed;
    constexpr int room = QQ ? QQ * QQ : max_theta * max_theta;
    double root[room], T[room], phi[room];
    double logs = 0.0;
    for (int64_t c = 0; c < model.classes.count; ++c) {
        const double *U = model.classes.roots.data() + c * q * q;
        for (int64_t a = 0; a < q; ++a)  // U'Lambda
            for (int64_t j = 0; j < q; ++j) {
                double s = 0.0;
                for (int64_t i = a; i < q; ++i) s += U[i * q + a] * Lambda[i * q + j];
                root[a * q + j] = s;
            }
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b <= a; ++b) {
                double s = a == b ? 1.0 : 0.0;
                for (int64_t j = 0; j < q; ++j) s += root[a * q + j] * root[b * q + j];
                T[a * q + b] = s;
            }
        if (!cholesky<QQ>(T, q)) return std::nan("");
        LogProduct pivots;
        for (int64_t a = 0; a < q; ++a) pivots.times(T[a * q + a]);
        logs += model.classes.sizes[size_t(c)] * pivots.value();
        invert_in_place<QQ>(T, q);
        double *full = Phi.data() + c * q * q;
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b <= a; ++b) {
                double s = 0.0;
                for (int64_t i = a; i < q; ++i) s += T[i * q + a] * T[i * q + b];
                full[a * q + b] = full[b * q + a] = s;
                phi[pair_of(b, a)] = a == b ? s : 2.0 * s;
            }
        const double *at = moments.data() + c * pairs * packed;
        for (int64_t i = 0; i < width; ++i)
            for (int64_t j = 0; j <= i; ++j, at += packed) {
                double s = 0.0;
                for (int64_t a = 0; a < packed; ++a) s += phi[a] * at[a];
                S[i * width + j] += s;
            }
    }
    return 2.0 * logs;
}

void ClassMoments::differentiate(const double *Lambda, const SmallParameter *parameters,
                                 const double *Q, const double *b, double *H, double *ZZ,
                                 double *F, double *information) {
    with_size(q, [&](auto size) {
        differentiate_<decltype(size)::value>(Lambda, parameters, Q, b, H, ZZ, F, information);
    });
}

template <int QQ>
void ClassMoments::differentiate_(const double *Lambda, const SmallParameter *parameters,
                                  const double *Q, const double *b, double *H, double *ZZ,
                                  double *F, double *information) {
    const int64_t q = QQ ? QQ : this->q, packed = QQ ? QQ * (QQ + 1) / 2 : this->packed;
    const int64_t w = width, counted = model.reml ? model.fixed : 0;
    constexpr int room = QQ ? QQ * QQ : max_theta * max_theta;
    double Psi[room], N[room], zz[room], X[room], x[room], NL[room], LNL[room], ZL[room], LZL[room];
    const int k = model.k;
    std::fill(H, H + q * q, 0.0);
    std::fill(ZZ, ZZ + q * q, 0.0);
    std::fill(information, information + k * k, 0.0);
    std::fill(G.begin(), G.end(), 0.0);
    for (int64_t c = 0; c < model.classes.count; ++c) {
        const double *U = model.classes.roots.data() + c * q * q;
        const double *m = moments.data() + c * pairs * packed;
        product<QQ>(U, Phi.data() + c * q * q, Psi, q);
        product_transposed<QQ>(Psi, U, N, q);
        std::fill(zz, zz + q * q, 0.0);
        for (int64_t i = 0; i < w; ++i) {  // sum E_i z', symmetric part
            std::fill(x, x + packed, 0.0);
            for (int64_t j = 0; j < w; ++j) {
                const double *at = m + pair_of_any(i, j) * packed;
                for (int64_t a = 0; a < packed; ++a) x[a] -= b[j] * at[a];
            }
            sandwich<QQ>(Psi, x, X, q);
            double *sum = G.data() + i * q * q;
            for (int64_t a = 0; a < q * q; ++a) {
                sum[a] += X[a];
                zz[a] -= b[i] * X[a];
            }
        }
        const double size = model.classes.sizes[size_t(c)];
        for (int64_t a = 0; a < q * q; ++a) {
            H[a] += size * N[a];
            ZZ[a] += zz[a];
        }
        if (counted) {
            std::fill(x, x + packed, 0.0);
            for (int64_t i = 0; i < counted; ++i)
                for (int64_t j = 0; j <= i; ++j) {
                    const double f = (i == j ? 1.0 : 2.0) * Q[i * w + j];
                    const double *at = m + pair_of(j, i) * packed;
                    for (int64_t a = 0; a < packed; ++a) x[a] += f * at[a];
                }
            sandwich<QQ>(Psi, x, X, q);
            for (int64_t a = 0; a < q * q; ++a) H[a] -= X[a];
        }
        // sum z'D_i N D_j z = tr D_i N D_j zz', D_j = e_r Lambda_c' + Lambda_c e_r'
        product<QQ>(N, Lambda, NL, q);
        product<QQ>(zz, Lambda, ZL, q);
        transposed_product<QQ>(Lambda, NL, LNL, q);
        transposed_product<QQ>(Lambda, ZL, LZL, q);
        for (int j = 0; j < k; ++j) {
            const int s = parameters[j].row, d = parameters[j].column;
            for (int i = 0; i <= j; ++i) {
                const int r = parameters[i].row, e = parameters[i].column;
                information[j * k + i] += NL[s * q + e] * ZL[r * q + d] +
                                          LNL[e * q + d] * zz[s * q + r] +
                                          N[r * q + s] * LZL[d * q + e] +
                                          NL[r * q + d] * ZL[s * q + e];
            }
        }
    }
    for (int j = 0; j < k; ++j)
        for (int i = 0; i < j; ++i) information[i * k + j] = information[j * k + i];
    for (int64_t i = 0; i < w - 1; ++i)
        for (int j = 0; j < k; ++j) {
            const double *row = G.data() + (i * q + parameters[j].row) * q;
            double s = 0.0;
            for (int64_t a = 0; a < q; ++a) s += row[a] * Lambda[a * q + parameters[j].column];
            F[i * k + j] = 2.0 * s;
        }
}

double ClassMoments::along(const double *v, const double *b, double *f, double &slope) const {
    double total = 0.0, u[max_theta], x[max_theta], packed_x[max_theta * max_theta];
    slope = 0.0;
    for (int64_t c = 0; c < model.classes.count; ++c) {
        const double *U = model.classes.roots.data() + c * q * q, *phi = Phi.data() + c * q * q;
        for (int64_t a = 0; a < q; ++a) {
            u[a] = 0.0;
            for (int64_t i = a; i < q; ++i) u[a] += U[i * q + a] * v[i];
        }
        double bend = 0.0, square = 0.0;  // v'Nv, sum (z'v)^2
        for (int64_t a = 0; a < q; ++a) {
            x[a] = 0.0;
            for (int64_t i = 0; i < q; ++i) x[a] += phi[a * q + i] * u[i];
            bend += x[a] * u[a];
        }
        for (int64_t a = 0; a < q; ++a)
            for (int64_t i = 0; i <= a; ++i)
                packed_x[pair_of(i, a)] = (i == a ? 1.0 : 2.0) * x[a] * x[i];
        for (int64_t i = 0; i < width; ++i) {
            double sum = 0.0;
            for (int64_t j = 0; j < width; ++j) {
                const double *at = moments.data() + (c * pairs + pair_of_any(i, j)) * packed;
                double s = 0.0;
                for (int64_t a = 0; a < packed; ++a) s += packed_x[a] * at[a];
                sum -= b[j] * s;
            }
            f[i] += sum;
            square -= b[i] * sum;
        }
        slope += square;
        total += square * bend;
    }
    return total;
}

// b_l = Sigma U Phi (w_y - sum w_i b_i)
void ClassMoments::modes(const double *Lambda, const double *b, double *modes) const {
    double Sigma[max_theta * max_theta], SigmaU[max_theta * max_theta], v[max_theta];
    product_transposed<0>(Lambda, Lambda, Sigma, q);
    std::vector<double> to(size_t(model.classes.count * q * q));
    for (int64_t c = 0; c < model.classes.count; ++c) {
        product<0>(Sigma, model.classes.roots.data() + c * q * q, SigmaU, q);
        product<0>(SigmaU, Phi.data() + c * q * q, to.data() + c * q * q, q);
    }
    for (int64_t l = 0; l < model.levels; ++l) {
        const double *M = to.data() + model.classes.of_level[size_t(l)] * q * q;
        for (int64_t a = 0; a < q; ++a) {
            v[a] = 0.0;
            for (int64_t i = 0; i < width; ++i) v[a] -= b[i] * W[size_t((i * model.levels + l) * q + a)];
        }
        for (int64_t r = 0; r < q; ++r) {
            modes[l * q + r] = 0.0;
            for (int64_t a = 0; a < q; ++a) modes[l * q + r] += M[r * q + a] * v[a];
        }
    }
}

}  // namespace mixeff
