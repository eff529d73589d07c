// The pattern of the sparse factor: elimination tree, panels of columns of (nearly) equal pattern.

#include <algorithm>
#include <numeric>

#include "kernels.hpp"
#include "sparse.hpp"

namespace mixeff {

namespace {

using List = std::vector<int32_t>;

// The levels of the tail in elimination order with the cliques their matrix is made of.
struct Cliques {
    int64_t count, cliques;
    const int64_t *pointer;
    const int32_t *nodes;
    List order, at;  // level at each place, place of each level
    std::vector<List> of;

    Cliques(const Longs &p, const Codes &n, const Codes &o)
        : count(int64_t(o.shape(0))),
          cliques(int64_t(p.shape(0)) - 1),
          pointer(p.data()),
          nodes(n.data()),
          order(o.data(), o.data() + count),
          at(count),
          of(count) {
        for (int64_t e = 0; e < cliques; ++e)
            for (int64_t i = pointer[e]; i < pointer[e + 1]; ++i)
                of[nodes[i]].push_back(int32_t(e));
        number();
    }

    void number() {
        for (int64_t k = 0; k < count; ++k) at[order[k]] = int32_t(k);
    }

    // Elimination tree (Liu 1990); of a clique only the path through its levels matters.
    List tree() const {
        List parent(count, -1), ancestor(count, -1), last(cliques, -1);
        for (int64_t k = 0; k < count; ++k)
            for (int32_t e : of[order[k]]) {
                for (int32_t i = last[e]; i >= 0 && i < k;) {
                    const int32_t up = ancestor[i];
                    ancestor[i] = int32_t(k);
                    if (up < 0) parent[i] = int32_t(k);
                    i = up;
                }
                last[e] = int32_t(k);
            }
        return parent;
    }

    // Children before their parents and subtrees together; the tree in the new numbers.
    List postorder() {
        List parent = tree(), child(count, -1), sibling(count, -1), place(count), stack, list;
        for (int64_t k = count - 1; k >= 0; --k)
            if (parent[k] >= 0) {
                sibling[k] = child[parent[k]];
                child[parent[k]] = int32_t(k);
            }
        for (int64_t root = 0; root < count; ++root) {
            if (parent[root] >= 0) continue;
            stack.push_back(int32_t(root));
            while (!stack.empty()) {
                const int32_t k = stack.back();
                if (child[k] >= 0) {
                    stack.push_back(child[k]);
                    child[k] = sibling[child[k]];
                    continue;
                }
                stack.pop_back();
                place[k] = int32_t(list.size());
                list.push_back(k);
            }
        }
        List new_order(count), new_parent(count, -1);
        for (int64_t k = 0; k < count; ++k) {
            new_order[k] = order[list[k]];
            if (parent[list[k]] >= 0) new_parent[k] = place[parent[list[k]]];
        }
        order = new_order;
        number();
        return new_parent;
    }
};

// Levels first .. last - 1 and the levels below them.
struct Panel {
    int64_t first, last;
    List below;
    double needed;  // entries that are not padding
};

class Panelling {
   public:
    Panelling(const Cliques &c, const List &parent, const Codes &weights)
        : c(c), parent(parent), ends(c.count + 1, 0) {
        for (int64_t k = 0; k < c.count; ++k) ends[k + 1] = ends[k] + weights.data()[c.order[k]];
        build();
    }

    std::vector<Panel> panels;

   private:
    const Cliques &c;
    const List &parent;
    std::vector<int64_t> ends;

    double columns(int64_t first, int64_t last) const { return double(ends[last] - ends[first]); }
    double columns(const List &levels) const {
        double sum = 0;
        for (int32_t v : levels) sum += columns(v, v + 1);
        return sum;
    }

    void build() {
        std::vector<List> starting(c.count), children(c.count);
        for (int64_t e = 0; e < c.cliques; ++e) {
            int32_t lowest = int32_t(c.count);
            for (int64_t i = c.pointer[e]; i < c.pointer[e + 1]; ++i)
                lowest = std::min(lowest, c.at[c.nodes[i]]);
            if (lowest < c.count) starting[lowest].push_back(int32_t(e));
        }
        List mark(c.count, -1);
        // Patterns of finished levels that their parents still need.
        std::vector<List> waiting(c.count);
        for (int64_t k = 0; k < c.count; ++k) {
            List own;
            auto add = [&](int32_t v) {
                if (v > k && mark[v] != k) {
                    mark[v] = int32_t(k);
                    own.push_back(v);
                }
            };
            for (int32_t e : starting[k])
                for (int64_t i = c.pointer[e]; i < c.pointer[e + 1]; ++i) add(c.at[c.nodes[i]]);
            for (int32_t child : children[k])
                for (int32_t v : waiting[child]) add(v);
            const bool same =
                k > 0 && parent[k - 1] == k && waiting[k - 1].size() == own.size() + 1;
            for (int32_t child : children[k]) List().swap(waiting[child]);
            if (parent[k] >= 0) children[parent[k]].push_back(int32_t(k));
            waiting[k] = own;
            const double width = columns(k, k + 1), needed = width * (width / 2 + columns(own));
            if (same) {
                panels.back().last = k + 1;
                panels.back().below = own;
                panels.back().needed += needed;
                continue;
            }
            if (!panels.empty()) widen();
            panels.push_back({k, k + 1, own, needed});
        }
        if (!panels.empty()) widen();
        for (Panel &p : panels) std::sort(p.below.begin(), p.below.end());
    }

    // Take the panel before into the last one while that pads few entries (Ashcraft and Grimes
    // 1989): small panels cost more in calls than padding does in multiplications.
    void widen() {
        while (panels.size() > 1) {
            Panel &child = panels[panels.size() - 2], &last = panels.back();
            const int32_t up = parent[child.last - 1];
            if (up < last.first || up >= last.last) return;
            const double width = columns(child.first, last.last);
            const double all = width * (width / 2 + columns(last.below));
            const double padding = 1.0 - (child.needed + last.needed) / std::max(all, 1.0);
            if (!(width <= 4 || (width <= 16 && padding < 0.6) || (width <= 64 && padding < 0.2) ||
                  padding < 0.05))
                return;
            child.last = last.last;
            child.below = std::move(last.below);
            child.needed += last.needed;
            panels.pop_back();
        }
    }
};

template <typename T>
nb::ndarray<nb::numpy, T> array_of(const std::vector<T> &values) {
    T *data;
    auto out = owned<T>({values.size()}, data);
    std::copy(values.begin(), values.end(), data);
    return out;
}

}  // namespace

nb::tuple sparse_pattern(Longs pointer, Codes nodes, Codes order, Codes weights, Codes factors,
                         int64_t border) {
    Cliques cliques(pointer, nodes, order);
    const List parent = cliques.postorder();
    std::vector<Panel> panels = Panelling(cliques, parent, weights).panels;
    // From levels to columns.
    const int64_t levels = cliques.count;
    std::vector<int64_t> column(levels + 1, 0);
    for (int64_t k = 0; k < levels; ++k)
        column[k + 1] = column[k] + weights.data()[cliques.order[k]];
    const int64_t random = column[levels], total = random + border;
    std::vector<int64_t> first, rows_at{0}, start{0};
    List rows, kind(total, -1), panel_of(total, 0);
    for (int64_t k = 0; k < levels; ++k)
        std::fill(kind.begin() + column[k], kind.begin() + column[k + 1],
                  factors.data()[cliques.order[k]]);
    for (const Panel &p : panels) {
        for (int64_t k = column[p.first]; k < column[p.last]; ++k)
            panel_of[k] = int32_t(first.size());
        first.push_back(column[p.first]);
        for (int32_t v : p.below)
            for (int64_t k = column[v]; k < column[v + 1]; ++k) rows.push_back(int32_t(k));
        for (int64_t k = random; k < total; ++k) rows.push_back(int32_t(k));
        rows_at.push_back(int64_t(rows.size()));
    }
    for (int64_t k = random; k < total; ++k) panel_of[k] = int32_t(first.size());
    first.push_back(random);
    first.push_back(total);
    rows_at.push_back(int64_t(rows.size()));
    const int64_t count = int64_t(first.size()) - 1;
    for (int64_t s = 0; s < count; ++s) {
        const int64_t width = first[s + 1] - first[s];
        start.push_back(start[s] + width * (width + rows_at[s + 1] - rows_at[s]));
    }
    // Who contributes to whom, and where the rows stand there.
    std::vector<int64_t> push_at{0}, updates, pull_at(count + 1, 0);
    List relative;
    for (int64_t s = 0; s < count; ++s) {
        const int64_t n = rows_at[s + 1] - rows_at[s];
        const int32_t *own = rows.data() + rows_at[s];
        for (int64_t i = 0; i < n;) {
            const int64_t to = panel_of[own[i]], width = first[to + 1] - first[to];
            int64_t end = i, walk = 0;
            while (end < n && panel_of[own[end]] == to) ++end;
            for (int64_t v : {s, to, i, end, int64_t(relative.size())}) updates.push_back(v);
            for (int64_t j = i; j < n; ++j) {
                if (j < end) {
                    relative.push_back(int32_t(own[j] - first[to]));
                    continue;
                }
                while (rows[rows_at[to] + walk] != own[j]) ++walk;
                relative.push_back(int32_t(width + walk));
            }
            ++pull_at[to + 1];
            i = end;
        }
        push_at.push_back(int64_t(updates.size()) / 5);
    }
    std::partial_sum(pull_at.begin(), pull_at.end(), pull_at.begin());
    std::vector<int64_t> pull(updates.size() / 5), next(pull_at.begin(), pull_at.end() - 1);
    for (size_t u = 0; u < pull.size(); ++u) pull[next[updates[5 * u + 1]]++] = int64_t(u);
    return nb::make_tuple(array_of(cliques.order), array_of(first), array_of(rows_at),
                          array_of(rows), array_of(start), array_of(push_at), array_of(updates),
                          array_of(pull_at), array_of(pull), array_of(relative), array_of(kind));
}

}  // namespace mixeff
