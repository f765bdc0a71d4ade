/* Preloaded into a process, makes its disk slow: each fsync and fdatasync takes longer by the milliseconds in the file
   SLOW_SYNC_FILE, while there is one, and files whose path holds SLOW_READ_PATH are read at SLOW_READ_BYTES_PER_S. Each call waits
   for itself alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FDS 65536
static char slow[FDS];

static void wait_s(double s) {
    struct timespec left = {(time_t)s, (long)((s - (time_t)s) * 1e9)};
    while (s > 0 && nanosleep(&left, &left) != 0) {}
}

#define NEXT(type, name) static type (*next)(); if (!next) next = (type (*)())dlsym(RTLD_NEXT, name)

static void wait_for_sync(void) {
    const char *path = getenv("SLOW_SYNC_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    double ms = 0;
    if (!file) return;
    if (fscanf(file, "%lf", &ms) != 1) ms = 0;
    fclose(file);
    wait_s(ms / 1e3);
}

int fsync(int fd) {
    NEXT(int, "fsync");
    wait_for_sync();
    return next(fd);
}

int fdatasync(int fd) {
    NEXT(int, "fdatasync");
    wait_for_sync();
    return next(fd);
}

static int opened(int fd, const char *path) {
    const char *part = getenv("SLOW_READ_PATH");
    if (fd >= 0 && fd < FDS) slow[fd] = part && strstr(path, part) ? 1 : 0;
    return fd;
}

#define OPEN(name, ...)                                              \
    va_list more;                                                    \
    va_start(more, flags);                                           \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0; \
    va_end(more);                                                    \
    NEXT(int, name);                                                 \
    return opened(next(__VA_ARGS__, mode), path);

int open64(const char *path, int flags, ...) { OPEN("open64", path, flags) }
int open(const char *path, int flags, ...) { OPEN("open", path, flags) }
int openat64(int at, const char *path, int flags, ...) { OPEN("openat64", at, path, flags) }
int openat(int at, const char *path, int flags, ...) { OPEN("openat", at, path, flags) }

static ssize_t was_read(int fd, ssize_t size) {
    const char *text = getenv("SLOW_READ_BYTES_PER_S");
    double rate = text ? atof(text) : 0;
    if (size > 0 && rate > 0 && fd >= 0 && fd < FDS && slow[fd]) wait_s(size / rate);
    return size;
}

ssize_t read(int fd, void *buffer, size_t size) {
    NEXT(ssize_t, "read");
    return was_read(fd, next(fd, buffer, size));
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t at) {
    NEXT(ssize_t, "pread64");
    return was_read(fd, next(fd, buffer, size, at));
}
