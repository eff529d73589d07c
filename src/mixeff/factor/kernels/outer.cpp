// Sums of outer products of sparse columns into a dense square.

#include <stdexcept>

#include "cache_blocks.hpp"
#include "kernels.hpp"

namespace mixeff {

// The lower triangle of `out` (T, T) loses a_i b_j' + b_i a_j' for all entries i > j of every level,
// the diagonal a_i b_i'. The columns of a level ascend; `order` sorts the entries by column and
// then by level, those of column c stand at meets[c] .. meets[c + 1] with their level in `level`.
void subtract_outer(Longs pointer, Longs columns, Mat a, Mat b, Longs meets, Longs order,
                    Codes level, MatOut out, int threads) {
    const int64_t levels = int64_t(pointer.shape(0)) - 1, q = int64_t(a.shape(1));
    const int64_t size = int64_t(out.shape(0)), entries = int64_t(columns.shape(0));
    const int64_t *ptr = pointer.data(), *column = columns.data(), *place = order.data();
    if (int64_t(out.shape(1)) != size || int64_t(meets.shape(0)) != size + 1 ||
        int64_t(a.shape(0)) != entries || int64_t(b.shape(0)) != entries ||
        int64_t(b.shape(1)) != q || int64_t(order.shape(0)) != entries ||
        int64_t(level.shape(0)) != entries || levels < 0 || ptr[levels] != entries)
        throw std::invalid_argument("subtract_outer: shapes do not agree");
    for (int64_t l = 0; l < levels; ++l)
        for (int64_t e = ptr[l]; e < ptr[l + 1]; ++e)
            if (column[e] >= size || column[e] < (e > ptr[l] ? column[e - 1] + 1 : 0))
                throw std::invalid_argument("subtract_outer: columns of a level do not ascend");
    const double *A = a.data(), *B = b.data();
    share_in_cache(ptr, levels, 3 * q, meets.data(), level.data(), size, threads,
                   [&](int64_t r, int64_t begin, int64_t end) {
        double *row = out.data() + r * size;
        for (int64_t i = begin; i < end; ++i) {
            const int64_t e = place[i], first = ptr[level.data()[i]];
            if (q == 1) {
                const double x = A[e], y = B[e];
                for (int64_t f = first; f < e; ++f) row[column[f]] -= x * B[f] + y * A[f];
                row[r] -= x * y;
                continue;
            }
            for (int64_t f = first; f < e; ++f)
                row[column[f]] -= dot(A + e * q, B + f * q, q) + dot(B + e * q, A + f * q, q);
            row[r] -= dot(A + e * q, B + e * q, q);
        }
    });
}

}  // namespace mixeff
