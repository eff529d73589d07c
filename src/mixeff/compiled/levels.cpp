// Codes of grouping factors: counting where the range is small, hashing where it is not.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "columns.hpp"

namespace mixeff {

namespace {

// Distinct 64-bit keys in order of first appearance, by open addressing.
class Index {
  public:
    Index() : mask_(1023), slots_(1024, -1) {}

    int32_t place(uint64_t key) {
        uint64_t at = mix(key) & mask_;
        while (slots_[at] >= 0) {
            if (keys_[size_t(slots_[at])] == key) return slots_[at];
            at = (at + 1) & mask_;
        }
        const int32_t code = int32_t(keys_.size());
        slots_[at] = code;
        keys_.push_back(key);
        if (keys_.size() * 2 > slots_.size()) grow();
        return code;
    }
    const std::vector<uint64_t> &keys() const { return keys_; }

  private:
    static uint64_t mix(uint64_t h) {
        h ^= h >> 32;
        h *= 0x9E3779B97F4A7C15ull;
        h ^= h >> 29;
        h *= 0xBF58476D1CE4E5B9ull;
        return h ^ (h >> 32);
    }
    void grow() {
        mask_ = slots_.size() * 4 - 1;
        slots_.assign(mask_ + 1, -1);
        for (size_t code = 0; code < keys_.size(); ++code) {
            uint64_t at = mix(keys_[code]) & mask_;
            while (slots_[at] >= 0) at = (at + 1) & mask_;
            slots_[at] = int32_t(code);
        }
    }

    uint64_t mask_;
    std::vector<int32_t> slots_;
    std::vector<uint64_t> keys_;
};

// Codes in the order of the sorted keys; `keys` becomes sorted.
template <typename T>
void sort_keys(std::vector<T> &keys, int32_t *codes, int64_t n) {
    std::vector<int32_t> order(keys.size()), rank(keys.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = int32_t(i);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return keys[a] < keys[b]; });
    std::vector<T> sorted(keys.size());
    for (size_t i = 0; i < order.size(); ++i) {
        sorted[i] = keys[order[i]];
        rank[order[i]] = int32_t(i);
    }
    for (int64_t i = 0; i < n; ++i)
        if (codes[i] >= 0) codes[i] = rank[codes[i]];
    keys.swap(sorted);
}

template <typename T>
nb::ndarray<nb::numpy, T> copied(const std::vector<T> &values) {
    T *data;
    auto out = owned<T>({values.size()}, data);
    std::copy(values.begin(), values.end(), data);
    return out;
}

// Turns `used` into the code of every used key, -1 for the others; returns the used keys.
std::vector<int64_t> number_used(std::vector<int32_t> &used) {
    std::vector<int64_t> keys;
    for (size_t i = 0; i < used.size(); ++i) {
        if (used[i]) {
            used[i] = int32_t(keys.size());
            keys.push_back(int64_t(i));
        } else {
            used[i] = -1;
        }
    }
    return keys;
}

}  // namespace

nb::tuple used_levels(Codes codes, int64_t n_levels) {
    bool *used;
    auto out = owned<bool>({size_t(n_levels)}, used);
    const int64_t n = int64_t(codes.shape(0));
    const int32_t *c = codes.data();
    int64_t missing = 0, count = 0;
    {
        nb::gil_scoped_release free;
        for (int64_t i = 0; i < n; ++i) {
            if (c[i] >= 0 && c[i] < n_levels)
                used[c[i]] = true;
            else
                ++missing;
        }
        for (int64_t l = 0; l < n_levels; ++l) count += used[l];
    }
    return nb::make_tuple(out, count, missing);
}

nb::object place_integers(Vec values, double low, int64_t size) {
    const int64_t n = int64_t(values.shape(0));
    const double *v = values.data();
    int32_t *codes;
    auto out = owned<int32_t>({size_t(n)}, codes);
    std::vector<int64_t> keys;
    bool whole = true;
    {
        nb::gil_scoped_release free;
        std::vector<int32_t> used(size_t(size), 0);
        for (int64_t i = 0; i < n; ++i) {
            const double off = v[i] - low;
            if (std::isnan(off)) {
                codes[i] = -1;
                continue;
            }
            const bool inside = off >= 0.0 && off < double(size) && low + off == v[i];
            const int64_t key = inside ? int64_t(off) : 0;
            if (!inside || double(key) != off) {
                whole = false;
                break;
            }
            codes[i] = int32_t(key);
            used[key] = 1;
        }
        if (whole) {
            keys = number_used(used);
            for (int64_t i = 0; i < n; ++i)
                if (codes[i] >= 0) codes[i] = used[codes[i]];
        }
    }
    if (!whole) return nb::none();
    return nb::make_tuple(out, copied(keys));
}

nb::tuple index_numbers(Vec values) {
    const int64_t n = int64_t(values.shape(0));
    const double *v = values.data();
    int32_t *codes;
    auto out = owned<int32_t>({size_t(n)}, codes);
    std::vector<double> distinct;
    {
        nb::gil_scoped_release free;
        Index index;
        for (int64_t i = 0; i < n; ++i) {
            if (std::isnan(v[i])) {
                codes[i] = -1;
                continue;
            }
            const double value = v[i] == 0.0 ? 0.0 : v[i];  // -0 is 0
            uint64_t key;
            std::memcpy(&key, &value, sizeof key);
            codes[i] = index.place(key);
        }
        distinct.resize(index.keys().size());
        if (!distinct.empty())
            std::memcpy(distinct.data(), index.keys().data(), distinct.size() * sizeof(double));
        sort_keys(distinct, codes, n);
    }
    return nb::make_tuple(out, copied(distinct));
}

nb::tuple combine_codes(Codes left, int64_t n_left, Codes right, int64_t n_right) {
    const int64_t n = int64_t(left.shape(0));
    const int32_t *a = left.data(), *b = right.data();
    int32_t *codes;
    auto out = owned<int32_t>({size_t(n)}, codes);
    std::vector<int64_t> keys;
    {
        nb::gil_scoped_release free;
        const bool small = double(n_left) * double(n_right) <= 4.0 * double(n) + 1000.0;
        std::vector<int32_t> used(small ? size_t(n_left * n_right) : 0, 0);
        Index index;
        for (int64_t i = 0; i < n; ++i) {
            if (a[i] < 0 || b[i] < 0) {
                codes[i] = -1;
                continue;
            }
            const int64_t key = int64_t(a[i]) * n_right + b[i];
            if (small) {
                used[key] = 1;
                codes[i] = int32_t(key);
            } else {
                codes[i] = index.place(uint64_t(key));
            }
        }
        if (small) {
            keys = number_used(used);
            for (int64_t i = 0; i < n; ++i)
                if (codes[i] >= 0) codes[i] = used[codes[i]];
        } else {
            keys.assign(index.keys().begin(), index.keys().end());
            sort_keys(keys, codes, n);
        }
    }
    return nb::make_tuple(out, copied(keys));
}

}  // namespace mixeff
