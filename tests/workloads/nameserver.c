// A name server that does what the first label of a name says: `silent`, `slow`, `servfail`, `refused`, `garbage`
// (something else first). Any other name has one address of each kind. Prints what it was asked: bytes, type, name.
#include <arpa/inet.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char four[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 9, 9, 9};
static const unsigned char six[] = {0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 30, 0, 16,
                                    0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int family = strchr(argv[1], ':') ? AF_INET6 : AF_INET;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    struct sockaddr_in6 own6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(argv[2]))};
    inet_pton(family, argv[1], family == AF_INET ? (void *)&own.sin_addr : (void *)&own6.sin6_addr);
    int fd = socket(family, SOCK_DGRAM, 0);
    int bound = family == AF_INET ? bind(fd, (void *)&own, sizeof own) : bind(fd, (void *)&own6, sizeof own6);
    if (bound) return perror("bind"), 1;
    setlinebuf(stdout);
    printf("ready\n");
    for (;;) {
        unsigned char message[1500];
        struct sockaddr_storage from;
        socklen_t from_len = sizeof from;
        ssize_t len = recvfrom(fd, message, 512, 0, (void *)&from, &from_len);
        if (len < 17) continue;
        char name[256] = "";
        ssize_t at = 12, to = 0;
        while (at < len && message[at] && at + message[at] + 1 < len && to + message[at] + 2 < 256) {
            memcpy(name + to, message + at + 1, message[at]);
            to += message[at];
            name[to++] = '.';
            at += message[at] + 1;
        }
        ssize_t end = at + 5;
        if (end > len) continue;
        int type = message[at + 1] << 8 | message[at + 2];
        printf("%zd %d %s\n", len, type, name);
        int is = 0;
#define IS(word) (strncmp(name, word ".", sizeof word) == 0)
        if (IS("silent")) continue;
        if (IS("slow") && type == 1) usleep(300 * 1000);
        if (IS("garbage")) sendto(fd, "\1\2\3", 3, 0, (void *)&from, from_len);
        if (IS("servfail")) is = 2;
        if (IS("refused")) is = 5;
        const unsigned char *answer = type == 1 ? four : type == 28 ? six : NULL;
        size_t answer_len = type == 1 ? sizeof four : sizeof six;
        if (is) answer = NULL;
        message[2] = 0x81;
        message[3] = 0x80 | is;
        memset(message + 6, 0, 6);
        if (answer) {
            message[7] = 1;
            memcpy(message + end, answer, answer_len);
            end += answer_len;
        }
        sendto(fd, message, end, 0, (void *)&from, from_len);
    }
}
