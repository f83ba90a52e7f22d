// Connects where it is told, and says how each attempt went: "ok NANOSECONDS", "errno N", "given-up".
// Usage: dialer ADDRESS PORT MILLISECONDS [from:PORT] [say:TEXT|send:BYTES|wait:MILLISECONDS|read:MILLISECONDS]...
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Several connections may be from one port, as long as they are to different places.
static int binds(int fd, int port) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return bind(fd, (struct sockaddr *)&own, sizeof own);
}

static int dial(const char *address, int port, int patience, int from, int *out) {
    struct sockaddr_storage to = {0};
    socklen_t length;
    if (strchr(address, ':')) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&to;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        inet_pton(AF_INET6, address, &six->sin6_addr);
        length = sizeof *six;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)&to;
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        inet_pton(AF_INET, address, &four->sin_addr);
        length = sizeof *four;
    }
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || (from && binds(fd, from) < 0)) return errno;
    int result = connect(fd, (struct sockaddr *)&to, length);
    if (result < 0 && errno != EINPROGRESS) return errno;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (poll(&wait, 1, patience) == 0) {
        close(fd);
        return -1;
    }
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    *out = fd;
    return error;
}

int main(int count, char **words) {
    int fd = -1;
    long long began = now();
    int from = count > 4 && !strncmp(words[4], "from:", 5) ? atoi(words[4] + 5) : 0;
    int error = dial(words[1], atoi(words[2]), atoi(words[3]), from, &fd);
    if (error == 0) printf("ok %lld\n", now() - began);
    else if (error > 0) printf("errno %d\n", error);
    else printf("given-up\n");
    fflush(stdout);
    for (int n = 4; n < count && error == 0; n++) {
        char byte[1024] = {0};
        int number = strchr(words[n], ':') ? atoi(strchr(words[n], ':') + 1) : 0;
        if (!strncmp(words[n], "say:", 4)) {
            if (dprintf(fd, "%s\n", words[n] + 4) < 0) return 1;
        } else if (!strncmp(words[n], "send:", 5)) {
            if (write(fd, byte, number) != number) return 1;
        } else if (!strncmp(words[n], "wait:", 5)) {
            poll(0, 0, number);
        } else if (!strncmp(words[n], "read:", 5)) {
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            if (poll(&wait, 1, number) > 0 && read(fd, byte, sizeof byte) < 0) printf("read errno %d\n", errno);
        }
    }
    return 0;
}
