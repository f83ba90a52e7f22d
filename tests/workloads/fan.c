// Has many connections at once, by several processes; on each it says who it is, and hangs up when the other end does.
// Usage: fan ADDRESS PORT PROCESSES CONNECTIONS_OF_EACH WHO
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int hold(const struct sockaddr_in *to, int process, int count, const char *who) {
    int *fds = calloc(count, sizeof *fds);
    for (int n = 0; n < count; n++) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s %d\n", who, process * count + n);
        fds[n] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fds[n], (const struct sockaddr *)to, sizeof *to) != 0) return 1;
        if (write(fds[n], line, length) != length) return 1;
    }
    for (int n = 0; n < count; n++) {
        char byte;
        if (read(fds[n], &byte, 1) != 0) return 1;
        close(fds[n]);
    }
    return 0;
}

int main(int argc, char **words) {
    if (argc != 6) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &to.sin_addr);
    int processes = atoi(words[3]);
    for (int n = 0; n < processes; n++) {
        if (fork() == 0) _exit(hold(&to, n, atoi(words[4]), words[5]));
    }
    int failed = 0, status;
    while (wait(&status) > 0) failed |= status;
    return failed != 0;
}
