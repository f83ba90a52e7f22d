// Uses up what there is of something, or asks for more than there is. What goes otherwise than it should ends it with 99.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/quota.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TIMES 1000
#define MOST (32L << 20)
#define LIMIT_KIB 512
// A user that nobody else is.
#define NOBODY_ELSE 54321
#define KEY_OF_PROCESS (-2)

static void fail(const char *what) {
    fprintf(stderr, "filler: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void expect(int error, const char *what) {
    if (errno != error)
        fail(what);
}

// Writes until there is no room, and then so many times more.
static void fill(const char *path, int error) {
    static char block[65536];
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0)
        fail(path);
    ssize_t written;
    long all = 0;
    while ((written = write(fd, block, sizeof block)) > 0)
        // Never the machine's own file system.
        if ((all += written) > MOST)
            fail("it is larger than it should be");
    expect(error, path);
    for (int n = 1; n < TIMES; n++)
        if (write(fd, block, sizeof block) >= 0)
            fail("it was full");
    // It stays open: whoever looks finds it.
}

static void files(const char *folder) {
    char path[256];
    for (int n = 0; n < 1000; n++) {
        snprintf(path, sizeof path, "%s/file-%d", folder, n);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0)
            break;
        close(fd);
    }
    expect(ENOSPC, folder);
}

// More than there is: a program may ask to find out.
static void allocate(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0)
        fail(path);
    if (fallocate(fd, 0, 0, 1L << 40) == 0)
        fail("there is room for all of it");
    expect(ENOSPC, path);
    if (write(fd, "x", 1) != 1)
        fail("there is room for a byte");
}

static void device(const char *path) {
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        fail(path);
    if (write(fd, "x", 1) >= 0)
        fail("it is full");
    expect(ENOSPC, path);
}

static void directory(const char *path) {
    if (mkdir(path, 0755) == 0)
        fail("it is read-only");
    expect(EROFS, path);
}

// The limit of a user namespace of its own: nobody else's.
static void watches(const char *folder) {
    if (unshare(CLONE_NEWUSER) != 0)
        fail("unshare");
    int limit = open("/proc/sys/user/max_inotify_watches", O_WRONLY);
    if (limit < 0 || write(limit, "0", 1) != 1)
        fail("max_inotify_watches");
    int fd = inotify_init1(IN_CLOEXEC);
    if (inotify_add_watch(fd, folder, IN_CREATE) >= 0)
        fail("no watch is allowed");
    expect(ENOSPC, "inotify_add_watch");
}

static void keys(void) {
    if (setuid(NOBODY_ELSE) != 0)
        fail("setuid");
    char name[32];
    long key;
    for (int n = 0;; n++) {
        snprintf(name, sizeof name, "filler-%d", n);
        key = syscall(SYS_add_key, "user", name, "x", 1, KEY_OF_PROCESS);
        if (key < 0)
            break;
    }
    expect(EDQUOT, "add_key");
}

// Limits the bytes of user 0 in a file system.
static void quota(const char *mount) {
    int fd = open(mount, O_RDONLY);
    struct if_dqblk limits = {.dqb_bhardlimit = LIMIT_KIB, .dqb_valid = QIF_BLIMITS};
    if (fd < 0 || syscall(SYS_quotactl_fd, fd, QCMD(Q_SETQUOTA, USRQUOTA), 0, &limits) != 0)
        fail("quotactl_fd");
}

static void until(const char *path) {
    while (access(path, F_OK) != 0)
        usleep(10000);
}

int main(int count, char **words) {
    for (int n = 1; n < count; n++) {
        const char *path = strchr(words[n], ':');
        path = path ? path + 1 : "";
        switch (words[n][0]) {
        case 'b': fill(path, ENOSPC); break;   // bytes:FILE
        case 'q': fill(path, EDQUOT); break;   // quota:FILE
        case 'l': quota(path); break;          // limit:MOUNT
        case 'f': files(path); break;          // files:FOLDER
        case 'a': allocate(path); break;       // allocate:FILE
        case 'd': device(path); break;         // device:FILE
        case 'r': directory(path); break;      // read-only:FOLDER
        case 'i': watches(path); break;        // inotify:FOLDER
        case 'k': keys(); break;               // keys
        case 'w': until(path); break;          // wait:FILE
        default: errno = EINVAL; fail(words[n]);
        }
    }
    return 0;
}
