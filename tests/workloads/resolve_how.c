// Looks names up, once a second for each round, in the ways that it is given: ROUNDS NAME[,WAY..] .., a way being
//   service   port "http" by its name       numeric   AI_NUMERICHOST           v6   IPv6 only
//   present   AI_ADDRCONFIG                 poor      no descriptor is left    served   nscd is there, and knows nothing
// The first look-ups are made a second after it began. Prints what each round came to, and stays until it is killed.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// Accepts, and hangs up.
static void serve(void) {
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/var/run/nscd/socket"};
    mkdir("/var", 0755);
    mkdir("/var/run", 0755);
    mkdir("/var/run/nscd", 0755);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 16)) exit(9);
    if (fork() == 0)
        for (;;) close(accept(listener, NULL, NULL));
    close(listener);
}

static int look_up(char *how) {
    char *way, *name = strtok(how, ",");
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *service = "80";
    int poor = 0;
    while ((way = strtok(NULL, ","))) {
        if (!strcmp(way, "service")) service = "http";
        if (!strcmp(way, "numeric")) hints.ai_flags |= AI_NUMERICHOST;
        if (!strcmp(way, "present")) hints.ai_flags |= AI_ADDRCONFIG;
        if (!strcmp(way, "v6")) hints.ai_family = AF_INET6;
        if (!strcmp(way, "poor")) poor = 1;
    }
    struct rlimit limit, none;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 3;
    if (poor) setrlimit(RLIMIT_NOFILE, &none);
    int error = getaddrinfo(name, service, &hints, &found);
    if (poor) setrlimit(RLIMIT_NOFILE, &limit);
    if (!error) freeaddrinfo(found);
    return error;
}

int main(int argc, char **argv) {
    for (int n = 2; n < argc; n++)
        if (strstr(argv[n], ",served")) serve();
    for (int round = atoi(argv[1]); round > 0; round--) {
        sleep(1);
        for (int n = 2; n < argc; n++) {
            char how[256];
            snprintf(how, sizeof how, "%s", argv[n]);
            int error = look_up(how);
            printf("%s %d\n", argv[n], error);
        }
        fflush(stdout);
    }
    for (;;) pause();
}
