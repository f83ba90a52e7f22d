// Looks up a name by c-ares, as curl and Node.js do, and prints how many addresses there are.
#include <ares.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

static int failed;

static void found(void *name, int status, int timeouts, struct ares_addrinfo *result) {
    (void)timeouts;
    int count = 0;
    for (struct ares_addrinfo_node *one = result ? result->nodes : NULL; one; one = one->ai_next) count++;
    printf("%s: %d addresses, %s\n", (char *)name, count, ares_strerror(status));
    failed = status != ARES_SUCCESS;
    if (result) ares_freeaddrinfo(result);
}

int main(int argc, char **argv) {
    ares_channel channel;
    if (argc < 2 || ares_library_init(ARES_LIB_INIT_ALL) || ares_init(&channel)) return 2;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC};
    ares_getaddrinfo(channel, argv[1], NULL, &hints, found, argv[1]);
    for (;;) {
        fd_set readers, writers;
        FD_ZERO(&readers);
        FD_ZERO(&writers);
        int count = ares_fds(channel, &readers, &writers);
        if (count == 0) break;
        struct timeval limit, *wait = ares_timeout(channel, NULL, &limit);
        select(count, &readers, &writers, NULL, wait);
        ares_process(channel, &readers, &writers);
    }
    ares_destroy(channel);
    return failed;
}
