// Does what its arguments say, one after the other, so that a test knows every byte and every call.
//
//   write:N[xM]  N bytes, M times (1), by write; likewise writev, pwritev2, sendfile, splice, tee, vmsplice, uring
//   print:N[xM]  the same by the C library, which keeps what is no whole block until the program ends
//   broken:N[xM] the same by write, each of which has to fail with EPIPE
//   fd:N         what follows is done to this descriptor (1 at first)
//   open:PATH:N  opens a path for writing, as descriptor N
//   close:N      dup:FROM:TO
//   child:N      writes N bytes in a child, and waits for its end
//   deaf         ignores SIGPIPE
//   mark:PATH    makes a file           wait:PATH    waits until there is one
//   sleep:MS     exit:CODE
//
// What goes wrong is said on standard error, and the exit code is then 99.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char bytes[1 << 20];
static int fd = 1;

static void fail(const char *what) {
    fprintf(stderr, "writer: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void must(int holds, const char *what) {
    if (!holds) fail(what);
}

static void nap(long ms) {
    usleep(ms * 1000);
}

// Bytes in a file, and in a pipe: what sendfile and splice, and tee, take from.
static int file_of(size_t count) {
    int file = memfd_create("bytes", 0);
    must(file >= 0, "memfd_create");
    must(write(file, bytes, count) == (ssize_t)count, "write to a file");
    must(lseek(file, 0, SEEK_SET) == 0, "lseek");
    return file;
}

static int pipe_of(size_t count) {
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    must(write(ends[1], bytes, count) == (ssize_t)count, "write to a pipe of my own");
    close(ends[1]);
    return ends[0];
}

static ssize_t by_uring(size_t count) {
    struct io_uring_params params = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &params);
    must(ring >= 0, "io_uring_setup");
    size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    size_t done_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    int share = PROT_READ | PROT_WRITE;
    char *queue = mmap(0, size, share, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char *done = mmap(0, done_size, share, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *entries =
        mmap(0, params.sq_entries * sizeof *entries, share, MAP_SHARED, ring, IORING_OFF_SQES);
    must(queue != MAP_FAILED && done != MAP_FAILED && entries != MAP_FAILED, "mmap");
    entries[0] = (struct io_uring_sqe){
        .opcode = IORING_OP_WRITE, .fd = fd, .addr = (unsigned long)bytes, .len = count, .off = -1};
    ((unsigned *)(queue + params.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "io_uring_enter");
    int result = ((struct io_uring_cqe *)(done + params.cq_off.cqes))->res;
    close(ring);
    if (result < 0) errno = -result;
    return result;
}

static ssize_t by_two_parts(size_t count, int positioned) {
    struct iovec parts[2] = {{bytes, count / 2}, {bytes, count - count / 2}};
    return positioned ? pwritev2(fd, parts, 2, -1, 0) : writev(fd, parts, 2);
}

static ssize_t by_vmsplice(size_t count) {
    struct iovec part = {bytes, count};
    return vmsplice(fd, &part, 1, 0);
}

// One call of the named kind; -2: there is no such kind.
static ssize_t say(const char *call, size_t count) {
    int from = -1;
    ssize_t done = -2;
    if (!strcmp(call, "write")) done = write(fd, bytes, count);
    else if (!strcmp(call, "writev")) done = by_two_parts(count, 0);
    else if (!strcmp(call, "pwritev2")) done = by_two_parts(count, 1);
    else if (!strcmp(call, "vmsplice")) done = by_vmsplice(count);
    else if (!strcmp(call, "uring")) done = by_uring(count);
    else if (!strcmp(call, "sendfile")) done = sendfile(fd, from = file_of(count), NULL, count);
    else if (!strcmp(call, "splice")) done = splice(from = file_of(count), NULL, fd, NULL, count, 0);
    else if (!strcmp(call, "tee")) done = tee(from = pipe_of(count), fd, count, 0);
    int error = errno;
    if (from >= 0) close(from);
    errno = error;
    return done;
}

// N[xM] of one call; calls that may stop half-way go on.
static int repeat(const char *call, const char *amount) {
    size_t count = strtoul(amount, NULL, 10);
    const char *times = strchr(amount, 'x');
    must(count <= sizeof bytes, "too many bytes at once");
    for (long n = times ? atol(times + 1) : 1; n > 0; n--) {
        for (size_t left = count; left > 0;) {
            ssize_t done = say(call, left);
            if (done == -2) return 0;
            must(done > 0, call);
            left -= done;
        }
    }
    return 1;
}

static void print(const char *amount) {
    size_t count = strtoul(amount, NULL, 10);
    const char *times = strchr(amount, 'x');
    for (long n = times ? atol(times + 1) : 1; n > 0; n--)
        must(fwrite(bytes, 1, count, stdout) == count, "fwrite");
}

static void broken(const char *amount) {
    size_t count = strtoul(amount, NULL, 10);
    const char *times = strchr(amount, 'x');
    for (long n = times ? atol(times + 1) : 1; n > 0; n--)
        must(write(fd, bytes, count) == -1 && errno == EPIPE, "a write that was to fail with EPIPE");
}

static void child(const char *amount) {
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        repeat("write", amount);
        _exit(0);
    }
    int status;
    must(waitpid(pid, &status, 0) == pid && status == 0, "child");
}

static void open_as(const char *path, int as) {
    int opened = open(path, O_WRONLY | O_CREAT, 0644);
    must(opened >= 0, path);
    if (opened != as) {
        must(dup2(opened, as) == as, "dup2");
        close(opened);
    }
}

static int obey(const char *word, char *rest) {
    char *more = strchr(rest, ':');
    if (more) *more++ = 0;
    if (!strcmp(word, "broken")) broken(rest);
    else if (!strcmp(word, "print")) print(rest);
    else if (!strcmp(word, "fd")) fd = atoi(rest);
    else if (!strcmp(word, "close")) close(atoi(rest));
    else if (!strcmp(word, "child")) child(rest);
    else if (!strcmp(word, "deaf")) signal(SIGPIPE, SIG_IGN);
    else if (!strcmp(word, "sleep")) nap(atol(rest));
    else if (!strcmp(word, "exit")) exit(atoi(rest));
    else if (!strcmp(word, "mark")) close(open(rest, O_WRONLY | O_CREAT, 0644));
    else if (!strcmp(word, "wait")) while (access(rest, F_OK)) nap(5);
    else if (!strcmp(word, "open") && more) open_as(rest, atoi(more));
    else if (!strcmp(word, "dup") && more) must(dup2(atoi(rest), atoi(more)) >= 0, "dup2");
    else return repeat(word, rest);
    return 1;
}

int main(int argc, char **argv) {
    memset(bytes, 'x', sizeof bytes);
    for (int n = 1; n < argc; n++) {
        char *rest = strchr(argv[n], ':');
        if (rest) *rest++ = 0;
        errno = EINVAL;
        must(obey(argv[n], rest ? rest : argv[n] + strlen(argv[n])), argv[n]);
    }
    return 0;
}
