// Stands between a process and the files of one folder (LD_PRELOAD). It writes every change and every sync of them into
// a journal, with its bytes and in order, so that a test can make the disk that a power cut at any moment would leave;
// and it lets writes and syncs fail as a full or broken disk does.
//
// DISK_FOLDER   the folder, as an absolute path without links
// DISK_JOURNAL  where the journal goes; see tests/it/support/disk.rs for its form
// DISK_CONTROL  a file of five 32-bit numbers, read at every operation: the errno of a write, that of a write or
//               truncation that makes a file longer, that of a sync, that of opening for writing; 0: none. The fifth
//               counts the syncs that failed
// DISK_ONLY     if it is set, only the file of this name fails

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE = 2, SYNC = 3, LOST = 4, CREATE = 5, RENAME = 6, UNLINK = 7, SYNC_FOLDER = 8 };
enum { ON_WRITE, ON_GROWTH, ON_SYNC, ON_OPEN, FAILED, NUMBERS };

struct record {
    uint32_t kind;
    uint32_t name;    // length of the name that follows
    uint64_t offset;  // of the write; the new length of a truncation
    uint64_t bytes;   // length of what follows the name: the bytes, or the new name
};

static char folder[PATH_MAX];
static size_t folder_length;
static const char *only;
static int journal = -1;
static volatile int32_t *control;
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_FOLDER");
    if (path == NULL) return;
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    const char *to = getenv("DISK_JOURNAL");
    if (to != NULL) journal = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    only = getenv("DISK_ONLY");
    const char *from = getenv("DISK_CONTROL");
    if (from == NULL) return;
    int fd = syscall(SYS_openat, AT_FDCWD, from, O_RDWR | O_CLOEXEC);
    void *at = mmap(NULL, NUMBERS * sizeof(int32_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) control = at;
}

static int failing(int what, const char *name) {
    return control == NULL || (only != NULL && strcmp(only, name) != 0) ? 0 : control[what];
}

// The name of a file in the folder ("" for the folder itself); NULL for every other file. SQLite's shared memory is no
// durable file.
static const char *inside(const char *path) {
    if (folder_length == 0 || strncmp(path, folder, folder_length) != 0) return NULL;
    const char *name = path + folder_length;
    if (*name == '\0') return name;
    if (*name != '/') return NULL;
    size_t length = strlen(++name);
    return length > 4 && strcmp(name + length - 4, "-shm") == 0 ? NULL : name;
}

static const char *inside_at(int at, const char *path, char *whole) {
    if (folder_length == 0) return NULL;
    if (path[0] == '/' || at != AT_FDCWD) {
        snprintf(whole, PATH_MAX, "%s", path);
    } else {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL) return NULL;
        snprintf(whole, PATH_MAX, "%.2000s/%.2000s", here, path);
    }
    return inside(whole);
}

static const char *name_of(int fd, char *path) {
    if (folder_length == 0) return NULL;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = '\0';
    return inside(path);
}

static void note(uint32_t kind, const char *name, uint64_t offset, const void *bytes, uint64_t length) {
    if (journal < 0) return;
    int kept = errno;
    struct record head = {kind, strlen(name), offset, length};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)name, head.name}, {(void *)bytes, length}};
    if (syscall(SYS_writev, journal, parts, 3) != (long)(sizeof head + head.name + length)) abort();
    errno = kept;
}

static int refuse(int error) {
    errno = error;
    return -1;
}

// The error that a change of `fd` up to `end` gets, or 0.
static int error_of(int fd, const char *name, off_t end) {
    struct stat now;
    if (failing(ON_WRITE, name)) return failing(ON_WRITE, name);
    return failing(ON_GROWTH, name) && fstat(fd, &now) == 0 && end > now.st_size ? failing(ON_GROWTH, name) : 0;
}

static ssize_t change(int fd, const void *bytes, size_t length, off_t at, ssize_t (*real)(int, const void *, size_t, off_t)) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (name == NULL) return real(fd, bytes, length, at);
    pthread_mutex_lock(&one);
    if (at < 0) {
        struct stat now;
        int flags = fcntl(fd, F_GETFL);
        at = flags & O_APPEND ? (fstat(fd, &now) == 0 ? now.st_size : 0) : lseek(fd, 0, SEEK_CUR);
        int error = error_of(fd, name, at + length);
        ssize_t done = error ? refuse(error) : real(fd, bytes, length, -1);
        if (done > 0) note(WRITE, name, at, bytes, done);
        pthread_mutex_unlock(&one);
        return done;
    }
    int error = error_of(fd, name, at + length);
    ssize_t done = error ? refuse(error) : real(fd, bytes, length, at);
    if (done > 0) note(WRITE, name, at, bytes, done);
    pthread_mutex_unlock(&one);
    return done;
}

static ssize_t plain(int fd, const void *bytes, size_t length, off_t at) {
    (void)at;
    return syscall(SYS_write, fd, bytes, length);
}

static ssize_t positioned(int fd, const void *bytes, size_t length, off_t at) {
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t write(int fd, const void *bytes, size_t length) { return change(fd, bytes, length, -1, plain); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return change(fd, bytes, length, at, positioned); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return change(fd, bytes, length, at, positioned); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (name_of(fd, path) == NULL) return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) return write(fd, parts[i].iov_base, parts[i].iov_len);
    }
    return 0;
}

static int truncated(int fd, off_t length) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (name == NULL) return syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&one);
    int error = error_of(fd, name, length);
    int done = error ? refuse(error) : (int)syscall(SYS_ftruncate, fd, length);
    if (done == 0) note(TRUNCATE, name, length, NULL, 0);
    pthread_mutex_unlock(&one);
    return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off_t length) { return truncated(fd, length); }

static int synced(int fd, long number) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (name == NULL) return syscall(number, fd);
    pthread_mutex_lock(&one);
    int error = failing(ON_SYNC, name);
    int done = error ? refuse(error) : (int)syscall(number, fd);
    if (error) control[FAILED]++;
    // After a sync that failed the pages count as clean: a later one does not write them.
    note(done != 0 ? LOST : *name == '\0' ? SYNC_FOLDER : SYNC, name, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int opened(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    const char *name = inside_at(at, path, whole);
    if (name == NULL || *name == '\0') return syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&one);
    struct stat now;
    int is_new = flags & O_CREAT && stat(whole, &now) != 0;
    int error = (flags & O_ACCMODE) == O_RDONLY ? 0 : failing(ON_OPEN, name);
    if (error == 0 && is_new) error = failing(ON_WRITE, name) ? failing(ON_WRITE, name) : failing(ON_GROWTH, name);
    int fd = error ? refuse(error) : (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && is_new) note(CREATE, name, mode, NULL, 0);
    if (fd >= 0 && !is_new && flags & O_TRUNC) note(TRUNCATE, name, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return fd;
}

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

#define OPEN(function)                                   \
    int function(const char *path, int flags, ...) {     \
        va_list more;                                    \
        va_start(more, flags);                           \
        mode_t mode = mode_of(flags, more);              \
        va_end(more);                                    \
        return opened(AT_FDCWD, path, flags, mode);      \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(function)                                      \
    int function(int at, const char *path, int flags, ...) {  \
        va_list more;                                         \
        va_start(more, flags);                                \
        mode_t mode = mode_of(flags, more);                   \
        va_end(more);                                         \
        return opened(at, path, flags, mode);                 \
    }
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
    char whole[PATH_MAX], other[PATH_MAX];
    const char *old = inside_at(AT_FDCWD, from, whole), *new = inside_at(AT_FDCWD, to, other);
    if (old == NULL && new == NULL) return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (old == NULL || new == NULL) abort();  // A journal without what comes in or goes out would be no use.
    pthread_mutex_lock(&one);
    int done = failing(ON_WRITE, new) ? refuse(failing(ON_WRITE, new))
                                 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (done == 0) note(RENAME, old, 0, new, strlen(new));
    pthread_mutex_unlock(&one);
    return done;
}

static int removed(int at, const char *path, int flags) {
    char whole[PATH_MAX];
    const char *name = inside_at(at, path, whole);
    if (name == NULL) return syscall(SYS_unlinkat, at, path, flags);
    pthread_mutex_lock(&one);
    int done = syscall(SYS_unlinkat, at, path, flags);
    if (done == 0) note(UNLINK, name, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return done;
}

int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return removed(at, path, flags); }
