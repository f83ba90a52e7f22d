// Waits for a device until it is killed. `read DEVICE N`: N readers, each one block after the other, past the page cache.
// `sync FILE`: writes a block and waits until it is on the device, 20 times a second at most.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS 256

static void fail(const char *what) {
    perror(what);
    exit(99);
}

static void read_blocks(const char *device) {
    int fd = open(device, O_RDONLY | O_DIRECT);
    void *block = aligned_alloc(BLOCK, BLOCK);
    if (fd < 0 || !block)
        fail(device);
    for (unsigned at = 0;; at = (at + 1) % BLOCKS)
        if (pread(fd, block, BLOCK, (off_t)at * BLOCK) != BLOCK)
            fail("pread");
}

static void sync_blocks(const char *file) {
    int fd = open(file, O_RDWR | O_CREAT, 0600);
    char block[BLOCK];
    if (fd < 0)
        fail(file);
    for (unsigned at = 0;; at++) {
        memset(block, (int)at, BLOCK);
        if (pwrite(fd, block, BLOCK, (off_t)(at % BLOCKS) * BLOCK) != BLOCK || fdatasync(fd) != 0)
            fail("fdatasync");
        usleep(50000);
    }
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "sync") == 0)
        sync_blocks(argv[2]);
    if (argc != 4 || strcmp(argv[1], "read") != 0)
        return 98;
    for (int n = 1; n < atoi(argv[3]); n++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            read_blocks(argv[2]);
        }
    read_blocks(argv[2]);
}
