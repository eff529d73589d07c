// The rows of a square with all levels that meet them, so many levels at a time as stay in cache.

#pragma once

#include <algorithm>
#include <cstdint>

#include "parallel.hpp"

namespace mixeff {

// Numbers of the levels' rows that are used together: 400 kB, with their columns 600 kB.
constexpr int64_t used_together = 50000;

// body(r, begin, end) for the entries begin..end - 1 of row r in an index by columns. Every row
// meets its levels in order, whatever the blocks and the threads.
template <class Body>
void share_in_cache(const int64_t *ptr, int64_t n_levels, int64_t q, const int64_t *meets,
                    const int32_t *meets_level, int64_t rows, int threads, const Body &body) {
    for (int64_t first = 0, last; first < n_levels; first = last) {
        for (last = first + 1;
             last < n_levels && (ptr[last + 1] - ptr[first]) * q <= used_together;)
            ++last;
        share(rows, threads, 16, [&](int64_t r) {
            const int32_t *from = meets_level + meets[r], *to = meets_level + meets[r + 1];
            const int32_t *begin = std::lower_bound(from, to, first);
            const int32_t *end = std::lower_bound(begin, to, last);
            body(r, begin - meets_level, end - meets_level);
        });
    }
}

}  // namespace mixeff
