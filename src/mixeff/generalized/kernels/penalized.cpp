#include "penalized.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace mixeff::rows {

void Penalized::add_group(Codes codes, Longs pointer, Longs order, Mat Z, CubeOut gram,
                          CubeOut dense, int64_t position) {
    const int64_t first = random();
    groups.push_back({codes, pointer, order, Z, gram, dense, position, first});
    const GroupArrays &g = groups.back();
    const size_t q = size_t(g.columns()), J = size_t(g.levels());
    if (int64_t(codes.size()) != n() || int64_t(order.size()) != n() ||
        int64_t(Z.shape(0)) != n() || gram.shape(0) != J || gram.shape(1) != q ||
        gram.shape(2) != q || dense.shape(0) != J || dense.shape(1) != X.shape(1) + 1 ||
        dense.shape(2) != q)
        throw std::invalid_argument("a grouping factor's arrays do not fit");
}

void Penalized::add_pair(int64_t first, int64_t second, Longs indptr, Codes indices, Longs start,
                         Longs order, CubeOut values) {
    const size_t count = indices.size();
    if (indptr.size() != size_t(groups.at(first).levels()) + 1 || start.size() != count + 1 ||
        int64_t(order.size()) != n() || values.shape(0) != count ||
        int64_t(values.shape(1)) != groups[first].columns() ||
        int64_t(values.shape(2)) != groups.at(second).columns())
        throw std::invalid_argument("the arrays of a pair do not fit");
    pairs.push_back({first, second, indptr, indices, start, order, values});
}

void Penalized::add_stage(int64_t group, int64_t start, CubeOut G, Longs pointer, Codes columns,
                          MatOut B, int64_t skip, Longs meets, Codes meets_row, Codes meets_level,
                          LongMat dense, MatOut rows) {
    const GroupArrays &g = groups.at(group);
    if (int64_t(pointer.size()) != g.levels() + 1 || int64_t(G.shape(0)) != g.levels() ||
        int64_t(G.shape(1)) != g.columns() || B.shape(0) != columns.size() ||
        int64_t(B.shape(1)) != g.columns() || rows.shape(0) != B.shape(0) ||
        rows.shape(1) != B.shape(1) || int64_t(dense.shape(0)) != g.levels() ||
        dense.shape(1) != X.shape(1) + 1)
        throw std::invalid_argument("the arrays of a stage do not fit");
    StageArrays stage;
    stage.group = group;
    stage.start = start;
    stage.G = G;
    stage.pointer = pointer;
    stage.columns = columns;
    stage.B = B;
    stage.skip = skip;
    stage.meets = meets;
    stage.meets_row = meets_row;
    stage.meets_level = meets_level;
    stage.dense = dense;
    stage.rows = rows;
    stages.push_back(stage);
}

void Penalized::add_place(int64_t stage, int64_t pair, bool flip, LongMat rows) {
    const CubeOut &values = pairs.at(pair).values;
    if (rows.shape(0) != values.shape(0) || rows.shape(1) != values.shape(flip ? 2 : 1))
        throw std::invalid_argument("the places of a pair do not fit");
    stages.at(stage).places.push_back({pair, flip, rows});
}

void Penalized::add_link(int64_t stage, int64_t to, int64_t offset, Codes ancestor, Codes place) {
    stages.at(to);
    stages.at(stage).links.push_back({to, offset, ancestor, place});
}

void Penalized::set_tail(std::vector<int64_t> members, Longs first, int64_t column, MatOut dense,
                         MatOut panel) {
    if (first.size() != members.size() + 1 || dense.shape(0) != size_t(p()) + 1)
        throw std::invalid_argument("the tail's arrays do not fit");
    nothing = Vec(nullptr, {0});
    tail_groups = members;
    starts = first;
    tail = column;
    fixed = dense;
    room = panel;
    width = tail + starts.data()[members.size()] + p() + 1;
    vectors.assign(size_t(3 * width), 0.0);
    const size_t w = size_t(width);
    t = MatOut(vectors.data(), {w, 1});
    gathered = MatOut(vectors.data() + w, {w, 1});
    b = MatOut(vectors.data() + 2 * w, {w, 1});
    of_tail = MatOut(vectors.data() + tail, {w - 1 - size_t(tail), 1});
}

void Penalized::set_store(std::vector<CubeOut> G, std::vector<MatOut> B, std::vector<CubeOut> T,
                          std::vector<CubeOut> R, MatOut square, MatOut factor, VecOut sums) {
    const size_t size = size_t(width - tail), count = stages.size();
    if (G.size() != count || B.size() != count || T.size() != count || R.size() != count ||
        square.shape(0) != size || square.shape(1) != size || factor.shape(0) != size ||
        factor.shape(1) != size || sums.size() != 3)
        throw std::invalid_argument("a store of another system");
    for (size_t s = 0; s < count; ++s) {
        StageArrays &stage = stages[s];
        if (G[s].size() != stage.G.size() || B[s].size() != stage.B.size() ||
            T[s].size() != stage.G.size() || R[s].size() != stage.G.size())
            throw std::invalid_argument("a store of another system");
        stage.own_G = G[s];
        stage.own_B = B[s];
        stage.T = T[s];
        stage.R = R[s];
    }
    S = square;
    L = factor;
    scalars = sums;
}

void Penalized::check(const Lambdas &Lambda) const {
    bool fits = Lambda.size() == groups.size() && scalars.size() == 3;
    for (size_t i = 0; fits && i < groups.size(); ++i)
        fits = int64_t(Lambda[i].shape(0)) == groups[i].columns() &&
               int64_t(Lambda[i].shape(1)) == groups[i].columns();
    if (!fits) throw std::invalid_argument("one (q, q) Lambda per grouping factor, and a store");
}

void Penalized::fill(const Vec &weight) {
    for (GroupArrays &g : groups)
        weighted_levels(g.codes, g.pointer, g.order, g.Z, X, weight, nothing, g.gram, g.dense,
                        threads);
    for (PairArrays &pair : pairs)
        weighted_pairs(pair.start, pair.order, groups[pair.first].Z, groups[pair.second].Z, weight,
                       pair.values, threads);
    weighted_fixed(X, weight, nothing, fixed, threads);
}

void Penalized::refresh() {
    for (StageArrays &stage : stages) {
        const GroupArrays &g = groups[stage.group];
        const int64_t q = g.columns();
        if (stage.G.data() != g.gram.data())
            std::copy_n(g.gram.data(), g.gram.size(), stage.G.data());
        double *B = stage.B.data();
        for (const PlaceArrays &place : stage.places) {
            const CubeOut &values = pairs[place.pair].values;
            const int64_t count = int64_t(values.shape(0)), m = int64_t(place.rows.shape(1));
            const int64_t *row = place.rows.data();
            const double *v = values.data();
            if (q == 1 && m == 1) {
                for (int64_t e = 0; e < count; ++e) B[row[e]] = v[e];
                continue;
            }
            for (int64_t e = 0; e < count; ++e, v += m * q)
                for (int64_t c = 0; c < m; ++c)
                    for (int64_t k = 0; k < q; ++k)
                        B[row[e * m + c] * q + k] = place.flip ? v[k * m + c] : v[c * q + k];
        }
        if (B == g.dense.data()) continue;  // alone: the rows are the products as they stand
        const int64_t rows = int64_t(stage.dense.size());
        for (int64_t r = 0; r < rows; ++r)
            std::copy_n(g.dense.data() + r * q, q, B + stage.dense.data()[r] * q);
    }
}

void Penalized::fill_tail() {
    const int64_t size = width - tail, k = int64_t(tail_groups.size()), d = p() + 1;
    const int64_t *at = starts.data(), first = at[k];
    double *to = S.data();
    std::fill(to, to + size * size, 0.0);
    for (int64_t a = 0; a < d; ++a)
        std::copy_n(fixed.data() + a * d, d, to + (first + a) * size + first);
    std::vector<int64_t> place(groups.size(), -1);
    for (int64_t a = 0; a < k; ++a) {
        place[tail_groups[a]] = a;
        const GroupArrays &g = groups[tail_groups[a]];
        const int64_t q = g.columns();
        for (int64_t l = 0; l < g.levels(); ++l)
            for (int64_t c = 0; c < q; ++c) {
                double *row = to + (at[a] + l * q + c) * size;
                for (int64_t x = 0; x < d; ++x) row[first + x] = g.dense.data()[(l * d + x) * q + c];
                std::copy_n(g.gram.data() + (l * q + c) * q, q, row + at[a] + l * q);
            }
    }
    for (const PairArrays &pair : pairs) {
        const int64_t a = place[pair.first], c = place[pair.second];
        if (a < 0 || c < 0) continue;
        const int64_t q = groups[pair.first].columns(), m = groups[pair.second].columns();
        const double *v = pair.values.data();
        for (int64_t l = 0; l < groups[pair.first].levels(); ++l)
            for (int64_t e = pair.indptr.data()[l]; e < pair.indptr.data()[l + 1]; ++e) {
                const int64_t row = at[a] + l * q, column = at[c] + pair.indices.data()[e] * m;
                for (int64_t i = 0; i < q; ++i)
                    for (int64_t j = 0; j < m; ++j) {
                        const double value = v[(e * q + i) * m + j];
                        if (a < c)
                            to[(row + i) * size + column + j] = value;
                        else
                            to[(column + j) * size + row + i] = value;
                    }
            }
    }
}

Definite Penalized::factorize(const Vec &weight, const Lambdas &Lambda, double &logdet) {
    fill(weight);
    refresh();
    fill_tail();
    for (size_t s = 1; s < stages.size(); ++s) {
        StageArrays &stage = stages[s];
        std::copy_n(stage.G.data(), stage.G.size(), stage.own_G.data());
        std::copy_n(stage.B.data(), stage.B.size(), stage.own_B.data());
    }
    logdet = 0.0;
    for (StageArrays &stage : stages) {
        logdet += eliminate(Cube(stage.own_G), stage.pointer, Mat(stage.own_B), Lambda[stage.group],
                            stage.T, stage.R, stage.rows);
        if (!std::isfinite(logdet)) return Definite::no;
        const Mat C(stage.rows);
        for (const LinkArrays &link : stage.links)
            scatter_stage(stage.pointer, link.offset, link.ancestor, link.place, C,
                          stages[link.stage].own_G, stages[link.stage].own_B);
        scatter_tail(stage.pointer, stage.skip, stage.columns, tail, C, S, room, stage.meets,
                     stage.meets_row, stage.meets_level, threads);
    }
    Mats inner;
    for (int64_t i : tail_groups) inner.push_back(Lambda[i]);
    const int64_t bad = factor_tail(S, L, starts, inner, scalars, threads);
    if (bad) return bad > starts.data()[tail_groups.size()] ? Definite::without_fixed : Definite::no;
    return Definite::yes;
}

void Penalized::scale_tail(const Lambdas &Lambda, const double *from, double *out,
                           bool transpose) const {
    for (size_t a = 0; a < tail_groups.size(); ++a) {
        const Mat &own = Lambda[tail_groups[a]];
        const int64_t q = int64_t(own.shape(0)), end = starts.data()[a + 1];
        for (int64_t at = starts.data()[a]; at < end; at += q)
            for (int64_t i = 0; i < q; ++i) {
                double s = 0.0;
                for (int64_t j = 0; j < q; ++j)
                    s += own.data()[transpose ? j * q + i : i * q + j] * from[at + j];
                out[at + i] = s;
            }
    }
}

void Penalized::solve(const Lambdas &Lambda, double *by_groups, double *fixed_part, bool with_X) {
    double *x = t.data(), *sums = gathered.data(), *scaled = b.data();
    const int64_t X_at = width - 1 - p();
    std::fill(sums, sums + width, 0.0);
    std::fill(scaled, scaled + width, 0.0);
    for (const GroupArrays &g : groups)
        std::copy_n(by_groups + g.first, g.size(), x + g.position);
    if (with_X)
        std::copy_n(fixed_part, p(), x + X_at);
    else
        std::fill(x + X_at, x + width, 0.0);
    x[width - 1] = 0.0;
    for (StageArrays &stage : stages)
        forward(Cube(stage.T), Cube(stage.R), Lambda[stage.group], stage.pointer, stage.columns,
                Mat(stage.own_B), stage.start, t, gathered);
    std::vector<double> inner(sums + tail, sums + width - 1);
    scale_tail(Lambda, sums + tail, inner.data(), true);
    for (int64_t i = 0; i < width - 1 - tail; ++i) x[tail + i] -= inner[i];
    solve_tail(Mat(L), of_tail, false);
    // Without X the system is that of the random effects alone.
    std::fill(x + (with_X ? width - 1 : X_at), x + width, 0.0);
    solve_tail(Mat(L), of_tail, true);
    std::copy_n(x + tail, width - 1 - tail, scaled + tail);
    scale_tail(Lambda, x + tail, scaled + tail, false);
    for (size_t s = stages.size(); s-- > 0;) {
        StageArrays &stage = stages[s];
        backward(Cube(stage.T), Cube(stage.R), Lambda[stage.group], stage.pointer, stage.columns,
                 Mat(stage.own_B), stage.start, t, b);
    }
    for (const GroupArrays &g : groups)
        std::copy_n(x + g.position, g.size(), by_groups + g.first);
    if (with_X) std::copy_n(x + X_at, p(), fixed_part);
}

}  // namespace mixeff::rows
