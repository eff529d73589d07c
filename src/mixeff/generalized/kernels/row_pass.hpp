// One pass over the rows: parts of every row into the caller's arrays, their sums returned.
#pragma once

#include <string>
#include <vector>

#include "../../factor/kernels/parallel.hpp"
#include "families.hpp"

namespace mixeff::rows {

struct Rows {
    const double *y, *eta, *w;  // w is null for weights of one
    int64_t n;
    double *out[parts];  // null where a part is not wanted
    int threads;
};

struct Sums {
    double loglik, loglik_r, loglik_rr;
};

// Few enough rows for the parts to stay in the first-level cache. Sums run over blocks and then
// over their sums in order, so that no result depends on the number of threads.
constexpr int64_t block = 256;
constexpr int lanes = 8;

inline double sum_block(const double *values, int64_t rows) {
    double side[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= rows; i += lanes)
        for (int j = 0; j < lanes; ++j) side[j] += values[i + j];
    for (int j = 0; i < rows; ++i, ++j) side[j] += values[i];
    return ((side[0] + side[4]) + (side[1] + side[5])) + ((side[2] + side[6]) + (side[3] + side[7]));
}

// Loops without calls run on four rows at a time where the processor can. AVX2 alone (no fused
// multiply-add) changes no digit: every lane does what a scalar would.
#if defined(__GNUC__) && defined(__x86_64__)
#define MIXEFF_INLINE inline __attribute__((always_inline))
#define MIXEFF_WIDE __attribute__((target("avx2")))
inline bool wide_processor() { return __builtin_cpu_supports("avx2"); }
#else
#define MIXEFF_INLINE inline
#define MIXEFF_WIDE
inline bool wide_processor() { return false; }
#endif

template <class Family, int Level, bool Weighted>
MIXEFF_INLINE void block_body(const Rows &rows, const Setting &set, int64_t first, Sums &sums) {
    constexpr int count = level_parts[Level];
    // By part, so that the loop over rows stores side by side.
    double local[parts][block];
    const int64_t size = std::min(block, rows.n - first);
    const double *y = rows.y + first, *eta = rows.eta + first;
    const double *w = Weighted ? rows.w + first : nullptr;
    for (int64_t i = 0; i < size; ++i) {
        double row[parts] = {};
        Family::template terms<Level>(y[i], eta[i], Weighted ? w[i] : 1.0, set, row);
        for (int j = 0; j < count; ++j) local[j][i] = row[j];
    }
    for (int j = 0; j < count; ++j)
        if (rows.out[j]) std::memcpy(rows.out[j] + first, local[j], size * sizeof(double));
    sums.loglik = sum_block(local[loglik], size);
    sums.loglik_r = Level >= 2 ? sum_block(local[loglik_r], size) : 0.0;
    sums.loglik_rr = Level >= 3 ? sum_block(local[loglik_rr], size) : 0.0;
}

template <class Family, int Level, bool Weighted>
void block_plain(const Rows &rows, const Setting &set, int64_t first, Sums &sums) {
    block_body<Family, Level, Weighted>(rows, set, first, sums);
}

template <class Family, int Level, bool Weighted>
MIXEFF_WIDE void block_wide(const Rows &rows, const Setting &set, int64_t first, Sums &sums) {
    block_body<Family, Level, Weighted>(rows, set, first, sums);
}

template <class Family, int Level, bool Weighted>
void pass_block(const Rows &rows, const Setting &set, int64_t first, Sums &sums) {
    if constexpr (Family::without_calls) {
        static const bool wide = wide_processor();
        if (wide) return block_wide<Family, Level, Weighted>(rows, set, first, sums);
    }
    block_plain<Family, Level, Weighted>(rows, set, first, sums);
}

template <class Family, int Level>
Sums pass(const Rows &rows, const Setting &set) {
    const int64_t blocks = (rows.n + block - 1) / block;
    Sums only{0.0, 0.0, 0.0};
    std::vector<Sums> many(blocks > 1 ? blocks : 0);
    Sums *each = blocks > 1 ? many.data() : &only;
    const auto one = [&](int64_t b) {
        if (rows.w)
            pass_block<Family, Level, true>(rows, set, b * block, each[b]);
        else
            pass_block<Family, Level, false>(rows, set, b * block, each[b]);
    };
    share(blocks, rows.threads, 16, one);
    Sums total{0.0, 0.0, 0.0};
    for (int64_t b = 0; b < blocks; ++b) {
        total.loglik += each[b].loglik;
        total.loglik_r += each[b].loglik_r;
        total.loglik_rr += each[b].loglik_rr;
    }
    return total;
}

template <class Family>
Sums pass_at(int level, const Rows &rows, const Setting &set) {
    switch (level) {
        case 0:
            return pass<Family, 0>(rows, set);
        case 1:
            return pass<Family, 1>(rows, set);
        case 2:
            return pass<Family, 2>(rows, set);
        default:
            return pass<Family, 3>(rows, set);
    }
}

using Pass = Sums (*)(int level, const Rows &, const Setting &);

// The pass of a pair by names, null if it is not compiled.
Pass binomial_pass(const char *link);
Pass poisson_pass(const char *link);
Pass gamma_pass(const char *link);
Pass inverse_gaussian_pass(const char *link);
Pass gaussian_pass(const char *link);
Pass negative_binomial_pass(const char *link);
Pass negative_binomial1_pass(const char *link);

// Any of them, by the kernel's name of the family.
Pass pass_of(const std::string &family, const std::string &link);

// Functions of the count at one shape, for 0, 1, ... top (none where top is negative).
struct Tables {
    std::vector<double> rising, beyond_log, beyond_both;

    Tables(int64_t top, double shape, bool slopes);
};

struct Named {
    const char *name;
    Pass pass;
};

template <size_t Count>
Pass find(const Named (&list)[Count], const char *name) {
    for (const Named &item : list)
        if (!std::strcmp(item.name, name)) return item.pass;
    return nullptr;
}

}  // namespace mixeff::rows
