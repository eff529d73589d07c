// Split a range over threads; each part must write only what is its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace mixeff {

// work(first, last) on parts of 0 .. count-1 of about equal load; cumulative[i] is the load before i.
template <typename Work>
void split(const int64_t *cumulative, int64_t count, int threads, Work work) {
    const int64_t total = count ? cumulative[count] : 0;
    if (threads <= 1 || total < 20000) {
        work(int64_t(0), count);
        return;
    }
    std::vector<std::thread> team;
    int64_t first = 0;
    for (int t = 1; t <= threads; ++t) {
        int64_t last = first;
        const int64_t goal = total / threads * t;
        while (last < count && (t == threads || cumulative[last] < goal)) ++last;
        if (t == threads)
            work(first, last);
        else
            team.emplace_back(work, first, last);
        first = last;
    }
    for (auto &member : team) member.join();
}

// work(i) for i in 0 .. count-1 in runs handed out as threads get free.
template <typename Work>
void share(int64_t count, int threads, int64_t run, Work work) {
    if (threads <= 1 || count <= run) {
        for (int64_t i = 0; i < count; ++i) work(i);
        return;
    }
    std::atomic<int64_t> next(0);
    auto member = [&] {
        for (int64_t from = next.fetch_add(run); from < count; from = next.fetch_add(run))
            for (int64_t i = from; i < std::min(from + run, count); ++i) work(i);
    };
    std::vector<std::thread> team;
    for (int t = 1; t < threads; ++t) team.emplace_back(member);
    member();
    for (auto &one : team) one.join();
}

}  // namespace mixeff
