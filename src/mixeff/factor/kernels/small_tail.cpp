// The dense tail of a small model: its factor, its inverse and its part of the derivatives.

#include "small.hpp"
#include "small_fit.hpp"

namespace mixeff {

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

}  // namespace mixeff
