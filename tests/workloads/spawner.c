/*
 * Starts processes at a rate: `spawner PROGRAM COUNT PER_SECOND`. Prints how many were started in how many
 * milliseconds.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    char *arguments[] = {argv[1], NULL};
    long count = atol(argv[2]), rate = atol(argv[3]), started = 0, ended = 0;
    long long begin = now();
    while (started < count) {
        long long early = begin + started * 1000000000LL / rate - now();
        if (early > 0) {
            struct timespec pause = {.tv_sec = early / 1000000000LL, .tv_nsec = early % 1000000000LL};
            nanosleep(&pause, NULL);
        }
        pid_t child = vfork();
        if (child == 0) {
            execve(argv[1], arguments, NULL);
            _exit(127);
        }
        if (child < 0)
            return 1;
        started++;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ended++;
    }
    while (ended < started && waitpid(-1, NULL, 0) > 0)
        ended++;
    printf("%ld %lld\n", ended, (now() - begin) / 1000000);
    return 0;
}
