// A server of HTTP/1.1 with a thread for each connection, and who asks it.
// serve PORT NAMESERVER: /lookup/NAME asks for it and waits 1.5 s; /print/BYTES writes so many to standard output;
//   /handed/NAME has another thread answer, and looks up meanwhile; /plain; /quit.
// ask PORT PATH [HEADER]...: prints the status. mute ADDRESS: takes what is sent to port 53 there, and says nothing.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *nameserver;

static struct sockaddr_in address(const char *ip, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &to.sin_addr);
    return to;
}

static void look_up(const char *name) {
    unsigned char query[300] = {0x12, 0x34, 1, 0, 0, 1};
    int at = 12;
    char labels[200];
    snprintf(labels, sizeof labels, "%s", name);
    query[0] = rand();
    char *rest;
    for (char *label = strtok_r(labels, ".", &rest); label; label = strtok_r(NULL, ".", &rest)) {
        query[at++] = strlen(label);
        memcpy(query + at, label, strlen(label));
        at += strlen(label);
    }
    at++;
    query[at + 1] = 1;
    query[at + 3] = 1;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = address(nameserver, 53);
    struct timeval patience = {.tv_sec = 1, .tv_usec = 500000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sendto(fd, query, at + 4, 0, (struct sockaddr *)&to, sizeof to);
    char answer[512];
    (void)!recv(fd, answer, sizeof answer, 0);
    close(fd);
}

static void answer(int fd) {
    const char *said = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    (void)!write(fd, said, strlen(said));
}

static void *answer_later(void *fd) {
    sleep(2);
    answer((int)(long)fd);
    return NULL;
}

static void *serve(void *socket) {
    int fd = (int)(long)socket;
    char head[8192];
    ssize_t len;
    while ((len = read(fd, head, sizeof head - 1)) > 0) {
        head[len] = 0;
        char what[16] = "", of[200] = "";
        sscanf(head, "GET /%15[^/ ?]/%199[^ ?]", what, of);
        if (!strcmp(what, "handed")) {
            pthread_t other;
            pthread_create(&other, NULL, answer_later, socket);
            look_up(of);
            pthread_join(other, NULL);
            continue;
        }
        if (!strcmp(what, "lookup")) look_up(of);
        if (!strcmp(what, "print")) {
            size_t bytes = strtoul(of, NULL, 10);
            char *text = malloc(bytes);
            memset(text, 'x', bytes);
            (void)!write(1, text, bytes);
            free(text);
        }
        answer(fd);
        if (!strcmp(what, "quit")) _exit(0);
    }
    close(fd);
    return NULL;
}

int main(int count, char **words) {
    if (count > 2 && !strcmp(words[1], "mute")) {
        struct sockaddr_in own = address(words[2], 53);
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fd, (struct sockaddr *)&own, sizeof own)) return 1;
        puts("mute");
        fflush(stdout);
        pause();
    }
    struct sockaddr_in own = address("127.0.0.1", atoi(words[2]));
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (!strcmp(words[1], "ask")) {
        if (connect(fd, (struct sockaddr *)&own, sizeof own)) return 1;
        char head[4096];
        int len = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: lab\r\n", words[3]);
        for (int n = 4; n < count; n++) len += snprintf(head + len, sizeof head - len, "%s\r\n", words[n]);
        len += snprintf(head + len, sizeof head - len, "\r\n");
        (void)!write(fd, head, len);
        char said[64] = "";
        (void)!read(fd, said, sizeof said - 1);
        printf("%.12s\n", said);
        return 0;
    }
    nameserver = words[3];
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) || listen(fd, 64)) return 1;
    for (;;) {
        pthread_t thread;
        long client = accept(fd, NULL, NULL);
        if (client >= 0 && !pthread_create(&thread, NULL, serve, (void *)client)) pthread_detach(thread);
    }
}
