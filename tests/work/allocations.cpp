// Preloaded: counts the allocations made while counting is on, and those whose caller lies in the
// compiled extension. glibc only; see test_allocations.py.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

extern "C" void *__libc_malloc(size_t);
extern "C" void *__libc_calloc(size_t, size_t);
extern "C" void *__libc_realloc(void *, size_t);
extern "C" void *__libc_memalign(size_t, size_t);

namespace {

std::atomic<bool> counting{false};
std::atomic<uint64_t> large{0}, calls{0}, own{0}, own_bytes{0}, total_bytes{0};
uintptr_t from = 0, to = 0;
size_t threshold = 0;

inline void note(size_t bytes, void *caller) {
    if (!counting.load(std::memory_order_relaxed)) return;
    calls++;
    total_bytes += bytes;
    if (bytes >= threshold) large++;
    const auto at = reinterpret_cast<uintptr_t>(caller);
    if (at >= from && at < to) {
        own++;
        own_bytes += bytes;
    }
}

}  // namespace

#define CALLER __builtin_return_address(0)

extern "C" {

void *malloc(size_t n) {
    note(n, CALLER);
    return __libc_malloc(n);
}
void *calloc(size_t k, size_t n) {
    note(k * n, CALLER);
    return __libc_calloc(k, n);
}
void *realloc(void *p, size_t n) {
    note(n, CALLER);
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t a, size_t n) {
    note(n, CALLER);
    return __libc_memalign(a, n);
}
int posix_memalign(void **out, size_t a, size_t n) {
    note(n, CALLER);
    *out = __libc_memalign(a, n);
    return *out ? 0 : 12;
}

// The address range of the extension, and the size from which an allocation is called large.
void counter_watch(uintptr_t first, uintptr_t last, size_t size) {
    from = first;
    to = last;
    threshold = size;
}
void counter_start() {
    calls = large = own = own_bytes = total_bytes = 0;
    counting = true;
}
void counter_stop(uint64_t *out) {
    counting = false;
    out[0] = calls;
    out[1] = large;
    out[2] = own;
    out[3] = own_bytes;
    out[4] = total_bytes;
}

}  // extern "C"

// operator new would otherwise be seen as called from libstdc++.
void *operator new(size_t n) {
    note(n, CALLER);
    if (void *p = __libc_malloc(n)) return p;
    throw std::bad_alloc();
}
void *operator new[](size_t n) {
    note(n, CALLER);
    if (void *p = __libc_malloc(n)) return p;
    throw std::bad_alloc();
}
void *operator new(size_t n, const std::nothrow_t &) noexcept {
    note(n, CALLER);
    return __libc_malloc(n);
}
void operator delete(void *p) noexcept { free(p); }
void operator delete[](void *p) noexcept { free(p); }
void operator delete(void *p, size_t) noexcept { free(p); }
void operator delete[](void *p, size_t) noexcept { free(p); }
