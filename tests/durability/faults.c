/* Counts the calls that change files under one folder, and strikes at the n-th.

   Preloaded into the process under test (LD_PRELOAD), so that SQLite, Arrow and Python are all
   counted, whichever way they write. faults_arm() is called after fork, before the command runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { KILL = 1, TEAR = 2, SYNC_EIO = 3, QUOTA = 4 };
enum { CHANGE, WRITE, SYNC };

static char marker[256];
static long strike_at;
static int action;
static atomic_long seen;
static atomic_long resyncs;
static dev_t failed_device;
static ino_t failed_inode;
static atomic_int over_quota; /* no file gets another byte until one is deleted */
static atomic_int aside; /* the file set aside that was written last */

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void faults_arm(const char *folder, long n, int what) {
    snprintf(marker, sizeof marker, "%s", folder);
    atomic_store(&seen, 0);
    atomic_store(&aside, -1);
    atomic_store(&resyncs, 0);
    atomic_store(&over_quota, 0);
    failed_inode = 0;
    strike_at = n;
    action = what;
}

/* Calls counted so far; with SYNC_EIO only syncs count. */
long faults_seen(void) { return atomic_load(&seen); }

/* Syncs of the very file whose sync was made to fail, afterwards. */
long faults_resyncs(void) { return atomic_load(&resyncs); }

static int mine_path(const char *path) {
    return marker[0] && path && strstr(path, marker) != NULL;
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    if (!marker[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, size - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return mine_path(path);
}

static int mine_fd(int fd) {
    char path[512];
    atomic_store(&aside, -1);
    return path_of(fd, path, sizeof path);
}

/* Nobody sees a file set aside, so the many writes that make it count as one. */
static int mine_write(int fd) {
    char path[512];
    if (!path_of(fd, path, sizeof path)) return 0;
    size_t length = strlen(path);
    int hidden = length > 4 && !strcmp(path + length - 4, ".tmp");
    return atomic_exchange(&aside, hidden ? fd : -1) != fd || !hidden;
}

/* Whether this call is the one to fail; a kill does not return. */
static int strikes(int mine, int kind) {
    if (!mine || (action == SYNC_EIO && kind != SYNC)) return 0;
    long now = atomic_fetch_add(&seen, 1) + 1;
    if (now != strike_at) return 0;
    if (action == QUOTA) { atomic_store(&over_quota, 1); return 0; }
    if (action == KILL || (action == TEAR && kind != WRITE)) kill(getpid(), SIGKILL);
    return 1;
}

/* A sync that is to fail, or a later one of the same file, which should not come. */
static int sync_fails(int fd) {
    struct stat file;
    if (!mine_fd(fd) || fstat(fd, &file)) return 0;
    if (failed_inode && file.st_ino == failed_inode && file.st_dev == failed_device)
        atomic_fetch_add(&resyncs, 1);
    if (!strikes(1, SYNC)) return 0;
    if (S_ISREG(file.st_mode)) { failed_inode = file.st_ino; failed_device = file.st_dev; }
    errno = EIO;
    return 1;
}

/* Whether a call for more room is refused. */
static int is_over_quota(int fd) {
    if (!atomic_load(&over_quota) || !mine_fd(fd)) return 0;
    errno = EDQUOT;
    return 1;
}

static void die_torn(void) { kill(getpid(), SIGKILL); }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (strikes(mine_write(fd), WRITE) && action == TEAR) { real(fd, data, size / 2); die_torn(); }
    return is_over_quota(fd) ? -1 : real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    if (strikes(mine_fd(fd), WRITE) && action == TEAR) { real(fd, data, size / 2, at); die_torn(); }
    return is_over_quota(fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    if (strikes(mine_fd(fd), WRITE) && action == TEAR) { real(fd, data, size / 2, at); die_torn(); }
    return is_over_quota(fd) ? -1 : real(fd, data, size, at);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    if (sync_fails(fd)) return -1;
    return real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    if (sync_fails(fd)) return -1;
    return real(fd);
}

int ftruncate(int fd, off_t size) {
    REAL(int, "ftruncate", int, off_t);
    strikes(mine_fd(fd), CHANGE);
    return real(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    strikes(mine_fd(fd), CHANGE);
    return real(fd, size);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    strikes(mine_path(to), CHANGE);
    return real(from, to);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    struct stat file;
    strikes(mine_path(path), CHANGE);
    if (mine_path(path) && !stat(path, &file) && file.st_size) atomic_store(&over_quota, 0);
    /* The number of a file that is gone may be given to another. */
    if (failed_inode && !stat(path, &file) && file.st_ino == failed_inode) failed_inode = 0;
    return real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    strikes(mine_path(path), CHANGE);
    return real(path, mode);
}

int posix_fallocate(int fd, off_t at, off_t size) {
    REAL(int, "posix_fallocate", int, off_t, off_t);
    strikes(mine_fd(fd), CHANGE);
    return is_over_quota(fd) ? EDQUOT : real(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    strikes(mine_fd(fd), CHANGE);
    return is_over_quota(fd) ? EDQUOT : real(fd, at, size);
}
