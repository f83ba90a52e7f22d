// Connects to a port of this machine on which nobody listens, as often as it can, until there is a file.
// Usage: dials FILE
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (count > 1 && access(words[1], F_OK)) {
        for (int n = 0; n < 64; n++) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            connect(fd, (struct sockaddr *)&to, sizeof to);
            close(fd);
        }
    }
    return 0;
}
