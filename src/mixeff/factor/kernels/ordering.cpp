// A fill-reducing order of the tail's levels: approximate minimum degree on the quotient graph
// (Amestoy, Davis and Duff 1996), which needs no pattern of the Schur complement: the levels
// already eliminated are its first elements.

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels.hpp"

namespace mixeff {

namespace {

using List = std::vector<int32_t>;

// Levels looked at before any work is done. Where two steps from a level lead to so much of all
// columns, no small set of levels separates the others, and any order fills the matrix.
constexpr int64_t sampled = 8;
constexpr double far = 0.75;
// Levels in so many times more cliques than the average are passed by: they can be eliminated last.
constexpr double popular = 4.0;

class MinimumDegree {
   public:
    MinimumDegree(const Longs &pointer, const Codes &nodes, const Codes &weights, int64_t border,
                  double limit)
        : count(int64_t(weights.shape(0))),
          border(border),
          limit(limit),
          weight(weights.data(), weights.data() + count),
          elements_of(count),
          members(pointer.shape(0) - 1 + count),
          element_size(members.size(), 0),
          dead(members.size(), 0),
          seen(members.size(), -1),
          outside(members.size(), 0),
          mark(count, -1),
          absorbed(count),
          next(count, -1),
          previous(count, -1),
          degree(count, 0) {
        fresh = int64_t(pointer.shape(0)) - 1;
        for (int64_t e = 0; e < fresh; ++e)
            for (int64_t i = pointer.data()[e]; i < pointer.data()[e + 1]; ++i) {
                const int32_t v = nodes.data()[i];
                members[e].push_back(v);
                elements_of[v].push_back(int32_t(e));
                element_size[e] += weight[v];
            }
        for (int32_t w : weight) left += w;
        total = left;
        head.assign(total + 1, -1);
    }

    // False where the work would exceed the limit.
    bool run() {
        if (fills_completely()) return false;
        for (int64_t v = 0; v < count; ++v) {
            degree[v] = neighbours(v);
            insert(int32_t(v));
        }
        while (left > 0)
            if (!eliminate(pop())) return false;
        return true;
    }

    // The levels in their order, those found indistinguishable beside each other.
    void write(int32_t *out) const {
        List stack;
        for (int32_t p : pivots) {
            stack.push_back(p);
            while (!stack.empty()) {
                const int32_t v = stack.back();
                stack.pop_back();
                *out++ = v;
                stack.insert(stack.end(), absorbed[v].begin(), absorbed[v].end());
            }
        }
    }

    double flops = 0.0;    // sum over columns of the square of their entries
    double entries = 0.0;  // of the factor

   private:
    int64_t count, border;
    double limit;
    List weight;  // columns; 0 once eliminated or absorbed
    std::vector<List> elements_of, members;
    std::vector<int64_t> element_size;
    std::vector<char> dead;
    std::vector<int64_t> seen, outside, mark;
    std::vector<List> absorbed;
    List next, previous, head;
    std::vector<int64_t> degree;
    List pivots;
    int64_t left = 0, total = 0, tag = 0, fresh = 0, smallest = 0;

    int64_t neighbours(int64_t v) {
        ++tag;
        mark[v] = tag;
        int64_t found = 0;
        for (int32_t e : elements_of[v])
            for (int32_t u : members[e])
                if (mark[u] != tag) {
                    mark[u] = tag;
                    found += weight[u];
                }
        return found;
    }

    bool fills_completely() {
        double cliques = 0.0;
        for (const List &own : elements_of) cliques += double(own.size());
        const double most = popular * cliques / double(std::max<int64_t>(count, 1));
        const int64_t step = std::max<int64_t>(1, count / sampled);
        double reached = 0.0, taken = 0.0;
        for (int64_t v = 0; v < count; v += step, ++taken) reached += double(two_steps(v, most));
        return std::isfinite(limit) && reached > far * double(total) * taken;
    }

    // Columns of the levels that share a clique with a neighbour of v.
    int64_t two_steps(int64_t v, double most) {
        List queue{int32_t(v)};
        ++tag;
        mark[v] = tag;
        int64_t found = 0;
        size_t from = 0, end = 1;
        for (int step = 0; step < 2; ++step, end = queue.size())
            for (; from < end; ++from) {
                if (double(elements_of[queue[from]].size()) > most) continue;
                for (int32_t e : elements_of[queue[from]]) {
                    if (seen[e] == tag) continue;
                    seen[e] = tag;
                    for (int32_t u : members[e])
                        if (mark[u] != tag) {
                            mark[u] = tag;
                            found += weight[u];
                            queue.push_back(u);
                        }
                }
            }
        return found;
    }

    void insert(int32_t v) {
        const int64_t d = degree[v];
        previous[v] = -1;
        next[v] = head[d];
        if (head[d] >= 0) previous[head[d]] = v;
        head[d] = v;
        smallest = std::min(smallest, d);
    }

    void remove(int32_t v) {
        if (previous[v] >= 0)
            next[previous[v]] = next[v];
        else
            head[degree[v]] = next[v];
        if (next[v] >= 0) previous[next[v]] = previous[v];
    }

    int32_t pop() {
        while (head[smallest] < 0) ++smallest;
        const int32_t v = head[smallest];
        remove(v);
        return v;
    }

    bool eliminate(int32_t p) {
        const int32_t E = int32_t(fresh++);
        int64_t own = weight[p], size = 0;
        List around = gather(p, size);
        left -= own;
        count_outside(around);
        List kept;
        for (int32_t v : around) {
            remove(v);
            if (prune(v)) {
                kept.push_back(v);
                continue;
            }
            // Nothing but the new element touches v: it goes together with the pivot.
            absorbed[p].push_back(v);
            own += weight[v];
            left -= weight[v];
            size -= weight[v];
            weight[v] = 0;
        }
        for (int32_t v : kept) {
            degree[v] = std::min(left, degree[v] + size) - weight[v];
            elements_of[v].push_back(E);
        }
        merge_alike(kept);
        for (int32_t v : kept) insert(v);
        members[E] = std::move(kept);
        element_size[E] = size;
        pivots.push_back(p);
        return account(double(own), double(size));
    }

    // The uneliminated neighbours of p; the elements between become one.
    List gather(int32_t p, int64_t &size) {
        List around;
        ++tag;
        weight[p] = 0;
        for (int32_t e : elements_of[p]) {
            if (dead[e]) continue;
            for (int32_t v : members[e])
                if (weight[v] > 0 && mark[v] != tag) {
                    mark[v] = tag;
                    around.push_back(v);
                    size += weight[v];
                }
            dead[e] = 1;
            List().swap(members[e]);
        }
        List().swap(elements_of[p]);
        return around;
    }

    // For every element beside the new one: its columns that are not in the new one.
    void count_outside(const List &around) {
        for (int32_t v : around)
            for (int32_t e : elements_of[v]) {
                if (dead[e]) continue;
                if (seen[e] != tag) {
                    seen[e] = tag;
                    outside[e] = element_size[e];
                }
                outside[e] -= weight[v];
            }
    }

    // Drops what the new element contains; false if nothing is left. Leaves the outer part of the
    // degree in `degree`.
    bool prune(int32_t v) {
        List &own = elements_of[v];
        int64_t sum = 0;
        size_t kept = 0;
        for (int32_t e : own) {
            if (dead[e]) continue;
            if (outside[e] == 0) {
                dead[e] = 1;
                List().swap(members[e]);
                continue;
            }
            sum += outside[e];
            own[kept++] = e;
        }
        own.resize(kept);
        degree[v] = sum;
        return kept > 0;
    }

    // Levels in the same elements are one from here on (their lists are ascending).
    void merge_alike(List &kept) {
        std::vector<std::pair<uint64_t, int32_t>> keys;
        for (int32_t v : kept) {
            uint64_t key = elements_of[v].size();
            for (int32_t e : elements_of[v]) key = key * 1000003u + uint64_t(e);
            keys.emplace_back(key, v);
        }
        std::sort(keys.begin(), keys.end());
        for (size_t i = 0; i < keys.size(); ++i) {
            const int32_t v = keys[i].second;
            if (!weight[v]) continue;
            for (size_t j = i + 1; j < keys.size() && keys[j].first == keys[i].first; ++j) {
                const int32_t u = keys[j].second;
                if (!weight[u] || elements_of[u] != elements_of[v]) continue;
                weight[v] += weight[u];
                degree[v] -= weight[u];
                weight[u] = 0;
                absorbed[v].push_back(u);
                List().swap(elements_of[u]);
            }
        }
        kept.erase(std::remove_if(kept.begin(), kept.end(), [&](int32_t v) { return !weight[v]; }),
                   kept.end());
    }

    // Work so far, and what the clique just made will cost at least.
    bool account(double own, double size) {
        const double height = own + size + double(border);
        for (double k = 0; k < own; ++k) flops += (height - k) * (height - k);
        entries += own * height - own * (own - 1) / 2;
        return flops + size * size * size / 3 <= limit;
    }
};

}  // namespace

nb::tuple sparse_order(Longs pointer, Codes nodes, Codes weights, int64_t border, double limit) {
    MinimumDegree found(pointer, nodes, weights, border, limit);
    const bool done = found.run();
    int32_t *order;
    auto out = owned<int32_t>({done ? weights.shape(0) : 0}, order);
    if (done) found.write(order);
    return nb::make_tuple(out, found.flops, found.entries);
}

}  // namespace mixeff
