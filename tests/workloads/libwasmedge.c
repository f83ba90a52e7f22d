/* A stand-in for WasmEdge's library: linking it takes a few milliseconds, as that of the real one does. */
#include <time.h>

__attribute__((constructor)) static void link_slowly(void) {
    struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, 0);
}
