// exp and log1p without branches or calls, so that a loop over rows becomes vector code on every
// machine, with the same digits everywhere.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace mixeff::rows {

// exp(x) within 1 ulp; x is held inside [-708, 709], where the result is a normal number.
inline double exp_safe(double x) {
    x = x > 709.0 ? 709.0 : x;
    x = x < -708.0 ? -708.0 : x;
    // Adding 1.5 * 2^52 rounds to the nearest integer, which then stands in the lowest bits.
    const double magic = 6755399441055744.0;
    const double shifted = x * 1.4426950408889634074 + magic;
    const double n = shifted - magic;
    const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    double s = 1.0 / 6227020800.0;
    s = s * r + 1.0 / 479001600.0;
    s = s * r + 1.0 / 39916800.0;
    s = s * r + 1.0 / 3628800.0;
    s = s * r + 1.0 / 362880.0;
    s = s * r + 1.0 / 40320.0;
    s = s * r + 1.0 / 5040.0;
    s = s * r + 1.0 / 720.0;
    s = s * r + 1.0 / 120.0;
    s = s * r + 1.0 / 24.0;
    s = s * r + 1.0 / 6.0;
    s = s * r + 0.5;
    const double value = 1.0 + (r + r * r * s);
    uint64_t bits, power;
    std::memcpy(&bits, &value, 8);
    std::memcpy(&power, &shifted, 8);
    bits += power << 52;
    double out;
    std::memcpy(&out, &bits, 8);
    return out;
}

// log(1 + e) for 0 <= e <= 1: 2 artanh of e / (2 + e), after halving 1 + e where it is large.
inline double log1p_unit(double e) {
    const bool upper = e > 0.41421356237309505;
    const double top = upper ? e - 1.0 : e;
    const double s = top / (upper ? e + 3.0 : e + 2.0);
    const double z = s * s;
    double t = 1.0 / 21.0;
    t = t * z + 1.0 / 19.0;
    t = t * z + 1.0 / 17.0;
    t = t * z + 1.0 / 15.0;
    t = t * z + 1.0 / 13.0;
    t = t * z + 1.0 / 11.0;
    t = t * z + 1.0 / 9.0;
    t = t * z + 1.0 / 7.0;
    t = t * z + 0.2;
    t = t * z + 1.0 / 3.0;
    const double core = 2.0 * (s + s * z * t);
    return upper ? core + 0.69314718055994530942 : core;
}

}  // namespace mixeff::rows
