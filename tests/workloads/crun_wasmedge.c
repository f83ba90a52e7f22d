/*
 * A stand-in for crun with its WasmEdge handler, for machines that cannot get WasmEdge: the calls that the kernel
 * sees of such a start, in their order, in a real container. It is called `crun` and takes `[--root DIR] run
 * --bundle DIR ID`. The engine is whatever `libwasmedge.so.0` the dynamic linker finds.
 *
 * With WASMER it is one with a wasmer handler instead, of that version: before 1.9 that kept what a module wrote and wrote
 * it itself when the module was done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#ifdef WASMER
#define ENGINE "wasmer"
#define LIBRARY "libwasmer.so"
#define VERSION WASMER
#define CAPTURES (strverscmp(WASMER, "1.9") < 0)
#else
#define ENGINE "wasmedge"
#define LIBRARY "libwasmedge.so.0"
#define CAPTURES false
#endif
#define MODULE "/app.wasm"
#define RESERVED 0x300000000UL
#define MEMORY_AT 0x100000000UL
#define WASM_PAGE 65536

static void fail(const char *what) {
    dprintf(2, "%s: %s\n", what, strerror(errno));
    _exit(1);
}

static void must(int done, const char *what) {
    if (done < 0)
        fail(what);
}

/* crun runs from a copy that the container cannot reach: it executes itself once more, by descriptor. */
static void execute_again(char **argv) {
    const char *name = (const char *)getauxval(AT_EXECFN);
    if (name && strncmp(name, "/dev/fd/", 8) == 0)
        return;
    int self = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    must(self, "open of itself");
    syscall(SYS_execveat, self, "", argv, environ, AT_EMPTY_PATH);
    fail("execveat");
}

/* The value of "cgroupsPath", which is all that is needed of config.json. */
static void read_config(char *group, size_t size) {
    static char text[1 << 16];
    int file = open("config.json", O_RDONLY | O_CLOEXEC);
    must(file, "config.json");
    ssize_t length = read(file, text, sizeof text - 1);
    must((int)length, "read of config.json");
    close(file);
    char *at = strstr(text, "\"cgroupsPath\"");
    char *begin = at ? strchr(strchr(at, ':'), '"') : NULL;
    char *end = begin ? strchr(begin + 1, '"') : NULL;
    if (!end || (size_t)(end - begin) > size) {
        errno = EINVAL;
        fail("cgroupsPath");
    }
    memcpy(group, begin + 1, (size_t)(end - begin) - 1);
    group[end - begin - 1] = 0;
}

/* Makes the group with its parent in one hierarchy, and leaves the path of its folder. */
static void make_group(const char *group, char *folder) {
    int is_v1 = access("/sys/fs/cgroup/pids", F_OK) == 0;
    snprintf(folder, PATH_MAX, "/sys/fs/cgroup%s%s", is_v1 ? "/pids" : "", group);
    char *last = strrchr(folder, '/');
    *last = 0;
    mkdir(folder, 0755);
    *last = '/';
    must(mkdir(folder, 0755), folder);
}

static void join_group(const char *folder, pid_t pid) {
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    must(file, path);
    must(dprintf(file, "%d", pid), path);
    close(file);
}

static void enter_root(void) {
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
    must(mount("rootfs", "rootfs", NULL, MS_BIND | MS_REC, NULL), "rootfs");
    must(chdir("rootfs"), "rootfs");
    must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
    must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k"), "dev");
    must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "old root");
    must(chdir("/"), "/");
}

static void give_up_rights(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    must((int)setsid(), "setsid");
    must(sethostname("stage", 5), "sethostname");
    must((int)syscall(SYS_capset, &header, none), "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

#define OUT_OF_BOUNDS 0x408
/* How a program gives up: its exit status would be lost by the handler. */
#define UNREACHABLE 0x40a
#define UNALIGNED_ATOMIC 0x410
#define ADDRESS 0x7fff0000UL

static sigjmp_buf trapped;

static void take_trap(int signal) {
    siglongjmp(trapped, signal);
}

/* A module that was compiled ahead of time loads from beyond its memory: the access itself finds that out. */
static uint32_t load_compiled(volatile char *memory) {
    struct sigaction taken = {.sa_handler = take_trap, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &taken, NULL);
    if (sigsetjmp(trapped, 1))
        return OUT_OF_BOUNDS;
    return (uint32_t)memory[ADDRESS];
}

/* What the engine does with a module that prints one line, and as its file says then traps, works for a while (or prints
 * after it), or asks for a file: and ends with an error if it may not have it, or with a question mark goes on without. */
static void run_module(void *library) {
    char mode[16] = "";
    char text[] = "hello from wasm\n";
    struct iovec line = {.iov_base = text, .iov_len = sizeof text - 1};
    struct termios terminal;
    ioctl(1, TCGETS, &terminal);
    int preopened = open("/", O_RDONLY | O_DIRECTORY);
    must(preopened, "preopened folder");
    int module = open(MODULE, O_RDONLY);
    must(module, MODULE);
    if (mmap(NULL, 144, PROT_READ, MAP_SHARED, module, 0) == MAP_FAILED)
        fail("module");
    char *memory =
        mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        fail("linear memory");
    if (mmap(memory + MEMORY_AT, WASM_PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        fail("first page");
    must((int)pread(module, mode, sizeof mode - 1, 0), MODULE);
    bool is_late = CAPTURES || strncmp(mode, "late", 4) == 0;
    if (!is_late)
        must((int)writev(1, &line, 1), "output");
    uint32_t code = 0;
    if (strncmp(mode, "interpreted", 11) == 0)
        code = OUT_OF_BOUNDS;
    else if (strncmp(mode, "compiled", 8) == 0)
        code = load_compiled(memory + MEMORY_AT);
    else if (strncmp(mode, "atomic", 6) == 0)
        code = UNALIGNED_ATOMIC;
    else if (strncmp(mode, "works", 5) == 0 || strncmp(mode, "late", 4) == 0)
        sleep(6);
    else if (strncmp(mode, "asks", 4) == 0)
        code = openat(preopened, "data/secret", O_RDONLY) < 0 && mode[4] != '?' ? UNREACHABLE : 0;
    if (is_late)
        must((int)writev(1, &line, 1), "output");
    munmap(memory, RESERVED);
    bool (*succeeded)(uint32_t) = (bool (*)(uint32_t))dlsym(library, "WasmEdge_ResultOK");
    _exit(succeeded && succeeded(code) ? 0 : 1);
}

static void contain(int ready, void *library) {
    char byte;
    prctl(PR_SET_DUMPABLE, 0);
    must((int)read(ready, &byte, 1), "the other end");
    enter_root();
    struct stat module;
    must(stat(MODULE, &module), MODULE);
    access(MODULE, X_OK);
    give_up_rights();
    syscall(SYS_close_range, 3, ~0U, 0);
    prctl(PR_SET_NAME, ENGINE);
    run_module(library);
}

int main(int argc, char **argv) {
    const char *bundle = NULL;
    char group[PATH_MAX / 2], folder[PATH_MAX];
    execute_again(argv);
#ifdef VERSION
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("crun version " VERSION "\nspec: 1.0.0\n+SYSTEMD +CAP +SECCOMP +EBPF +WASM:wasmer +YAJL");
        return 0;
    }
#endif
    for (int n = 1; n + 1 < argc; n++)
        if (strcmp(argv[n], "--bundle") == 0)
            bundle = argv[n + 1];
    if (!bundle) {
        dprintf(2, "usage: crun run --bundle DIR ID\n");
        return 1;
    }
    must(chdir(bundle), bundle);
    read_config(group, sizeof group);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    /* Before the clone: the container inherits the engine and opens no library. */
    void *library = dlopen(LIBRARY, RTLD_NOW);
    if (!library) {
        dprintf(2, "could not load `" LIBRARY "`: %s\n", dlerror());
        return 1;
    }
    make_group(group, folder);
    int ends[2], status;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    int flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD;
    pid_t init = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    must(init, "clone");
    if (init == 0)
        contain(ends[1], library);
    join_group(folder, init);
    must((int)write(ends[0], "", 1), "the other end");
    must(waitpid(init, &status, 0), "waitpid");
    rmdir(folder);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
