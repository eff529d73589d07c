// Laplace's criterion with one grouping factor: blocks of levels shared out over threads.

#include <nanobind/stl/string.h>

#include <stdexcept>

#include "../../factor/kernels/arrays.hpp"
#include "one_factor_nodes.hpp"

namespace mixeff::rows {

void LevelSums::resize(const OneFactor &f, int q) {
    const size_t m = f.parameters(), p = f.p;
    Xi.assign(q * q, 0.0);
    gradient.assign(m, 0.0);
    hessian.assign(m * m, 0.0);
    integral_gradient.assign(f.n_nodes ? m : 0, 0.0);
    if (!f.model) return;
    pK.assign(q * q * q * q, 0.0);
    pX.assign(q * q * p, 0.0);
    XX.assign(p * p, 0.0);
}

void LevelSums::add(const LevelSums &other) {
    const auto plus = [](std::vector<double> &a, const std::vector<double> &b) {
        for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    };
    value += other.value;
    integral += other.integral;
    plus(integral_gradient, other.integral_gradient);
    plus(Xi, other.Xi);
    plus(gradient, other.gradient);
    plus(hessian, other.hessian);
    plus(pK, other.pK);
    plus(pX, other.pX);
    plus(XX, other.XX);
}

void BlockRows::reserve(int64_t rows, const OneFactor &f) {
    room = rows;
    fixed.resize(rows);
    eta.resize(rows);
    values.assign(rows * parts, 0.0);
    if (f.expected) expected.assign(rows * parts, 0.0);
    if (f.fisher) fisher.assign(rows * level_parts[1], 0.0);
}

namespace {

constexpr int64_t block_rows = 256;  // levels are taken together up to so many rows
constexpr int64_t most_chunks = 64;  // sums are added up chunk by chunk, on any number of threads
constexpr int corrections = 8;

// Levels in blocks, blocks in chunks: of the rows alone, never of the threads.
struct Plan {
    std::vector<int64_t> blocks, chunks;
    int64_t widest = 0;

    explicit Plan(const OneFactor &f) {
        blocks.push_back(0);
        for (int64_t l = 0; l < f.levels; ++l) {
            const int64_t rows = f.pointer[l + 1] - f.pointer[blocks.back()];
            if (rows > block_rows && l > blocks.back()) blocks.push_back(l);
        }
        if (f.levels) blocks.push_back(f.levels);
        for (size_t b = 0; b + 1 < blocks.size(); ++b)
            widest = std::max(widest, f.pointer[blocks[b + 1]] - f.pointer[blocks[b]]);
        const int64_t count = int64_t(blocks.size()) - 1, parts = std::min(count, most_chunks);
        for (int64_t c = 0; c <= parts; ++c) chunks.push_back(parts ? count * c / parts : 0);
    }
};

void fixed_predictor(const OneFactor &f, BlockRows &rows) {
    for (int64_t i = 0; i < rows.count; ++i) {
        const double *x = f.X + (rows.first + i) * f.p;
        double s = f.offset[rows.first + i];
        for (int c = 0; c < f.p; ++c) s += x[c] * f.beta[c];
        rows.fixed[i] = s;
    }
}

template <int Q>
Search take_block(const OneFactor &f, int64_t first, int64_t last, BlockRows &rows,
                  Modes<Q> &modes, Level<Q> &level, Nodes<Q> &nodes, std::vector<double> &left,
                  LevelSums &sums) {
    rows.first = f.pointer[first];
    rows.count = f.pointer[last] - rows.first;
    fixed_predictor(f, rows);
    const Search state = modes.find(first, last);
    if (state != Search::found) return state;
    // What is left of the modes: seen when all terms of the rows are there, and put right.
    left.assign(last - first, 1.0);
    for (int turn = 0; turn < corrections; ++turn) {
        modes.evaluate(first, last, 3, f.expected);
        bool all = true;
        for (int64_t l = first; l < last; ++l) {
            double step[Q], &before = left[l - first];
            if (before < 0.0) continue;
            const double length = level.sum(l, step);
            if (!(length >= 0.0)) return Search::endless;
            if (length <= converged || (length <= stalled && length >= 0.1 * before)) {
                if (!level.add(sums)) return Search::endless;
                if (f.n_nodes) nodes.add(level, sums);
                before = -1.0;
                continue;
            }
            all = false;
            before = length;
            for (int a = 0; a < Q; ++a) f.u[l * Q + a] += step[a];
        }
        if (all) return Search::found;
    }
    return Search::endless;
}

template <int Q>
Search run_levels(const OneFactor &f, int threads, LevelSums &total) {
    const Plan plan(f);
    const int64_t chunks = int64_t(plan.chunks.size()) - 1;
    std::vector<LevelSums> each(chunks);
    std::vector<Search> states(chunks, Search::found);
    share(chunks, threads, 1, [&](int64_t c) {
        BlockRows rows;
        rows.reserve(plan.widest, f);
        Modes<Q> modes(f, rows);
        Level<Q> level(f, rows, modes.Lambda);
        Nodes<Q> nodes(f, rows);
        std::vector<double> left;
        each[c].resize(f, Q);
        for (int64_t b = plan.chunks[c]; b < plan.chunks[c + 1]; ++b) {
            states[c] = take_block<Q>(f, plan.blocks[b], plan.blocks[b + 1], rows, modes, level,
                                      nodes, left, each[c]);
            if (states[c] != Search::found) return;
        }
    });
    total.resize(f, Q);
    for (int64_t c = 0; c < chunks; ++c) {
        if (states[c] != Search::found) return states[c];
        total.add(each[c]);
    }
    return Search::found;
}

}  // namespace

Search run_all(const OneFactor &f, int q, int threads, LevelSums &total) {
    switch (q) {
        case 1:
            return run_levels<1>(f, threads, total);
        case 2:
            return run_levels<2>(f, threads, total);
        case 3:
            return run_levels<3>(f, threads, total);
        case 4:
            return run_levels<4>(f, threads, total);
        case 5:
            return run_levels<5>(f, threads, total);
        default:
            return run_levels<6>(f, threads, total);
    }
}

void entry_slopes(const OneFactor &f, int q, LevelSums &sums) {
    for (int j = 0; j < f.entries; ++j) {
        double s = 0.0;
        for (int a = 0; a < q; ++a)
            s += sums.Xi[f.entry_row[j] * q + a] * f.Lambda[a * q + f.entry_column[j]];
        sums.gradient[j] = 2.0 * s;
    }
}

void mirror_square(std::vector<double> &square, size_t size) {
    for (size_t i = 0; i < size; ++i)
        for (size_t j = 0; j < i; ++j) square[i * size + j] = square[j * size + i];
}

namespace {

void put(const std::vector<double> &values, double *to, size_t room) {
    if (room && values.size() != room) throw std::invalid_argument("an output of another size");
    if (room) std::memcpy(to, values.data(), room * sizeof(double));
}

nb::tuple one_factor(const std::string &family, const std::string &link, Vec y, Vec weights,
                     Vec offset, Mat X, Mat Z, Longs pointer, int64_t top, bool dispersed,
                     bool expected, Mat Lambda, Vec beta, double dispersion, Codes entry_row,
                     Codes entry_column, MatOut u, MatOut scores, CubeOut inverse, MatOut Xi,
                     VecOut gradient, MatOut hessian, VecOut pK, VecOut pX, VecOut XX, bool fisher, Mat nodes,
                     Vec log_weights, VecOut integral_gradient, int threads) {
    const Pass run = pass_of(family, link);
    const size_t n = y.size(), q = Z.shape(1), J = pointer.size() - 1;
    if (!run || q < 1 || q > 6) throw std::invalid_argument("no compiled criterion for this model");
    if (offset.size() != n || X.shape(0) != n || Z.shape(0) != n || Lambda.shape(0) != q ||
        Lambda.shape(1) != q || beta.size() != X.shape(1) || u.shape(0) != J || u.shape(1) != q ||
        scores.shape(0) != J || scores.shape(1) != q || (weights.size() && weights.size() != n) ||
        pointer.data()[J] != int64_t(n) || entry_row.size() != entry_column.size() ||
        (inverse.size() && inverse.size() != J * q * q) ||
        nodes.size() != q * log_weights.size())
        throw std::invalid_argument("arrays of shapes that do not fit");
    LevelSums sums;
    Search state;
    OneFactor f{run, {}, y.data(), weights.size() ? weights.data() : nullptr, offset.data(),
                X.data(), Z.data(), pointer.data(), int64_t(J), int(X.shape(1)), dispersed,
                expected, Lambda.data(), beta.data(), entry_row.data(), entry_column.data(),
                int(entry_row.size()), XX.size() > 0 || pK.size() > 0, fisher, u.data(), scores.data(),
                inverse.size() ? inverse.data() : nullptr, nodes.data(), log_weights.data(),
                int64_t(log_weights.size())};
    {
        nb::gil_scoped_release free;
        const bool shaped = family == "negative_binomial" && top < int64_t(n);
        const Tables tables(shaped ? top : -1, dispersion, true);
        f.set = Setting{dispersion, std::log(dispersion), std::log1p(dispersion), false,
                        shaped ? tables.rising.data() : nullptr,
                        shaped ? tables.beyond_log.data() : nullptr,
                        shaped ? tables.beyond_both.data() : nullptr};
        state = run_all(f, int(q), threads, sums);
        entry_slopes(f, int(q), sums);
        mirror_square(sums.hessian, f.parameters());
        mirror_square(sums.XX, f.model ? f.p : 0);
    }
    put(sums.Xi, Xi.data(), Xi.size());
    put(sums.gradient, gradient.data(), gradient.size());
    put(sums.hessian, hessian.data(), hessian.size());
    put(sums.integral_gradient, integral_gradient.data(), integral_gradient.size());
    put(sums.pK, pK.data(), pK.size());
    put(sums.pX, pX.data(), pX.size());
    put(sums.XX, XX.data(), XX.size());
    return nb::make_tuple(static_cast<int>(state), sums.value, sums.integral);
}

}  // namespace

void bind_one_factor(nb::module_ &m) {
    using a = nb::arg;
    m.def("one_factor", &one_factor, a(), a(), a().noconvert(), a().noconvert(), a().noconvert(),
          a().noconvert(), a().noconvert(), a().noconvert(), a(), a(), a(), a().noconvert(),
          a().noconvert(), a(), a().noconvert(), a().noconvert(), a().noconvert(),
          a().noconvert(), a().noconvert(), a().noconvert(), a().noconvert(), a().noconvert(),
          a().noconvert(), a().noconvert(), a().noconvert(), a(), a().noconvert(),
          a().noconvert(), a().noconvert(), a());
}

}  // namespace mixeff::rows
