/* Called from Python under callgrind: counts only what lies between start and stop. */
#include <valgrind/callgrind.h>

void instructions_start(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}
void instructions_stop(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}
