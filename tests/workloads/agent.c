// Connects to all that it is told, round after round, as agents of clusters do that look for a server; what it
// reaches it leaves again. Usage: agent ROUNDS PAUSE_MS PATIENCE_MS [ADDRESS PORT]...
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *dial(const char *address, int port, int patience) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) return "no-socket";
    const char *said = "failed";
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int error = 0;
        socklen_t size = sizeof error;
        if (poll(&wait, 1, patience) == 0) said = "given-up";
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) said = "ok";
    }
    close(fd);
    return said;
}

int main(int count, char **words) {
    if (count < 4) return 2;
    int rounds = atoi(words[1]), pause = atoi(words[2]), patience = atoi(words[3]);
    for (int round = 0; round < rounds; round++) {
        for (int n = 4; n + 1 < count; n += 2) {
            printf("%s:%s %s\n", words[n], words[n + 1], dial(words[n], atoi(words[n + 1]), patience));
            fflush(stdout);
        }
        usleep(pause * 1000);
    }
    return 0;
}
