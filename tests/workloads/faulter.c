// Does one wrong thing, or one that only looks like it. What goes otherwise than it should ends it with 99.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define MIB (1UL << 20)
#define GIB (1UL << 30)
#define TIMES 2000

// Read again each time, so that no compiler knows what becomes of it. At the second nothing is mapped: it is far from
// the program, its heap and its stack.
static int *volatile null_member = (int *)0x10;
static int *volatile nowhere = (int *)0x10000000000;
static volatile int zero = 0;

static void fail(const char *what) {
    fprintf(stderr, "faulter: %s: %s\n", what, strerror(errno));
    exit(99);
}

// Something wrong, each of which raises one signal.

static void null_pointer(void) { *(volatile int *)null_member = 1; }
static void wild_address(void) { *(volatile int *)nowhere = 1; }
static void illegal_instruction(void) { __asm__ volatile("ud2"); }

static void division_by_zero(void) {
    volatile int result = 1000 / zero;
    (void)result;
}

__attribute__((noinline)) static int recursion(int depth) {
    volatile char frame[PAGE];
    frame[0] = (char)depth;
    if (zero) return depth;
    return recursion(depth + 1) + frame[0];
}

static void stack_overflow(void) { recursion(0); }

// The file has one page, and two are mapped.
static void beyond_the_file(void) {
    int file = memfd_create("short", 0);
    if (file < 0 || ftruncate(file, PAGE)) fail("memfd");
    volatile char *bytes = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED) fail("mmap");
    bytes[PAGE] = 1;
}

static void in_a_child(void) {
    pid_t child = fork();
    if (child == 0) null_pointer();
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) fail("child");
}

// The same signals, many times, and each is recovered from.

static sigjmp_buf before;

static void recover(int signal) { siglongjmp(before, signal); }

static void take_signals(void) {
    static void (*const wrong[])(void) = {null_pointer,        wild_address,     beyond_the_file,
                                          illegal_instruction, division_by_zero, abort};
    static const int raised[] = {SIGSEGV, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    for (int n = 0; n < 6; n++) signal(raised[n], recover);
    // Volatile: it has to be what it was after the jump.
    for (volatile int n = 0; n < TIMES; n++) {
        // Each kind, and then the quick ones.
        int which = n < 60 ? n % 6 : n % 2;
        int taken = sigsetjmp(before, 1);
        if (taken == 0) wrong[which]();
        if (taken != raised[which]) fail("a signal of another kind");
    }
}

// Crash reporters say what they have to say, and let the signal come again.
static void report(int number) {
    puts("reported");
    fflush(stdout);
    signal(number, SIG_DFL);
}

static void reported(void) {
    signal(SIGSEGV, report);
    wild_address();
}

static void *in_thread(void *nothing) {
    recursion(0);
    return nothing;
}

static void thread_overflow(void) {
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, in_thread, NULL))) fail("thread");
    pthread_join(thread, NULL);
}

// Memory.

static void use(size_t bytes) {
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    for (size_t at = 0; at < bytes; at += PAGE) memory[at] = 1;
}

static void use_all(void) {
    for (;;) use(MIB);
}

static void child_uses_all(void) {
    pid_t child = fork();
    if (child == 0) use_all();
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) fail("child");
}

static int is_reserved(size_t bytes) {
    void *space = mmap(0, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED && errno != ENOMEM) fail("mmap");
    return space != MAP_FAILED;
}

static void limit_addresses(void) {
    struct rlimit limit = {GIB, GIB};
    if (setrlimit(RLIMIT_AS, &limit)) fail("setrlimit");
}

static void refused(void) {
    limit_addresses();
    if (is_reserved(10 * GIB)) fail("it was granted");
}

static void granted(void) {
    if (!is_reserved(10 * GIB)) fail("it was refused");
}

// A program that is told that there is no more, and goes on with what it has.
static void made_do(void) {
    limit_addresses();
    if (is_reserved(2 * GIB)) fail("it was granted");
    use(MIB);
}

// What ends it.

static void leave(int signal) { _exit(signal == SIGTERM ? 0 : 99); }

static void wait_for(void (*action)(int)) {
    if (signal(SIGTERM, action) == SIG_ERR) fail("signal");
    puts("waiting");
    fflush(stdout);
    for (;;) pause();
}

// Takes it and goes on: what it has to do first takes longer than anybody waits.
static void take_time(int signal) { (void)signal; }

static void slow(void) { wait_for(take_time); }
static void deaf(void) { wait_for(SIG_DFL); }
static void obedient(void) { wait_for(leave); }

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*does)(void);
    } all[] = {
        {"null", null_pointer},     {"wild", wild_address},       {"stack", stack_overflow},
        {"ill", illegal_instruction}, {"fpe", division_by_zero},  {"bus", beyond_the_file},
        {"abort", abort},           {"child", in_a_child},        {"handled", take_signals},
        {"hog", use_all},           {"hog-child", child_uses_all}, {"refused", refused},
        {"granted", granted},       {"made-do", made_do},         {"deaf", deaf},
        {"obedient", obedient},     {"slow", slow},             {"reported", reported},       {"thread", thread_overflow},
    };
    if (argc == 3 && !strcmp(argv[1], "use")) {
        use(strtoul(argv[2], 0, 10) * MIB);
        return 0;
    }
    for (size_t n = 0; argc == 2 && n < sizeof all / sizeof *all; n++)
        if (!strcmp(argv[1], all[n].name)) {
            all[n].does();
            return 0;
        }
    errno = EINVAL;
    fail("arguments");
}
