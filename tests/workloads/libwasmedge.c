/*
 * A stand-in for WasmEdge's library: linking it takes a few milliseconds, as that of the real one does, and it
 * exports what tells a result from a success.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct result {
    uint32_t code;
};

bool WasmEdge_ResultOK(struct result result) {
    return (result.code & 0xffffff) <= 1;
}

__attribute__((constructor)) static void link_slowly(void) {
    struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, 0);
}
