/* Asks before every call that changes the folder CRASH_ROOT, for tests/crash_search.py.

   Preloaded (LD_PRELOAD). Each call sends one line, "OPERATION<tab>PATH", to the Unix socket CRASH_SOCKET and waits for a 32-bit answer:
   0 go on, -1 write half of the bytes, any other number fail with that errno. One call at a time, of all threads: at each question the
   folder stands still. Nothing is asked while CRASH_ROOT is unset. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define HALF (-1)
#define LONGEST 4096

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int line = -1;

/* The absolute path of what a call names; 0 if it is not under CRASH_ROOT. */
static int is_watched(int folder, const char *path, char *whole) {
    const char *root = getenv("CRASH_ROOT");
    if (!root || !path) return 0;
    whole[0] = 0;
    if (path[0] != '/') {
        char link[64];
        if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, whole, LONGEST - 1);
        if (size < 0) return 0;
        whole[size] = 0;
    }
    size_t begun = strlen(whole), length = strlen(root);
    snprintf(whole + begun, LONGEST - begun, "%s%s", begun && path[0] ? "/" : "", path);
    return !strncmp(whole, root, length) && (whole[length] == '/' || !whole[length]);
}

static int32_t ask(const char *operation, const char *whole) {
    if (line < 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", getenv("CRASH_SOCKET"));
        line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(line, (struct sockaddr *)&address, sizeof address)) abort();
    }
    char text[LONGEST + 32];
    int size = snprintf(text, sizeof text, "%s\t%s\n", operation, whole);
    int32_t answer;
    if (send(line, text, size, MSG_NOSIGNAL) != size || recv(line, &answer, sizeof answer, MSG_WAITALL) != sizeof answer) abort();
    return answer;
}

/* Asks, and leaves the function with `failure` if the answer is an error; otherwise the caller lets the turn go by DONE. */
#define ASK(operation, failure)                       \
    pthread_mutex_lock(&turn);                        \
    int32_t answer = ask(operation, whole);           \
    if (answer > 0) {                                 \
        pthread_mutex_unlock(&turn);                  \
        errno = answer;                               \
        return failure;                               \
    }
#define DONE(result)                                  \
    int kept = errno;                                 \
    pthread_mutex_unlock(&turn);                      \
    errno = kept;                                     \
    return result
#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)
#define PATH(folder, path) char whole[LONGEST]; int watched = is_watched(folder, path, whole)


#define OPEN(name, parameters, arguments, folder, ...)                                              \
    int name parameters {                                                                           \
        mode_t mode = 0;                                                                            \
        if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                       \
            va_list more;                                                                           \
            va_start(more, flags);                                                                  \
            mode = va_arg(more, mode_t);                                                            \
            va_end(more);                                                                           \
        }                                                                                           \
        REAL(int, #name, __VA_ARGS__);                                                              \
        PATH(folder, path);                                                                         \
        if (!watched || !(flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))) return real arguments;  \
        ASK(flags & O_CREAT && access(whole, F_OK) ? "create" : "open", -1);                        \
        int result = real arguments;                                                                \
        DONE(result);                                                                               \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD, const char *, int, ...)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD, const char *, int, ...)
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), folder, int, const char *, int, ...)
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), folder, int, const char *, int, ...)

/* Calls that return 0 or -1. */
#define CALL(name, operation, parameters, arguments, folder, path, ...) \
    int name parameters {                                               \
        REAL(int, #name, __VA_ARGS__);                                  \
        PATH(folder, path);                                             \
        if (!watched) return real arguments;                            \
        ASK(operation, -1);                                             \
        int result = real arguments;                                    \
        DONE(result);                                                   \
    }
CALL(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, const char *, mode_t)
CALL(mkdirat, "mkdir", (int folder, const char *path, mode_t mode), (folder, path, mode), folder, path, int, const char *, mode_t)
CALL(rmdir, "rmdir", (const char *path), (path), AT_FDCWD, path, const char *)
CALL(unlink, "unlink", (const char *path), (path), AT_FDCWD, path, const char *)
CALL(unlinkat, "unlink", (int folder, const char *path, int flags), (folder, path, flags), folder, path, int, const char *, int)
CALL(rename, "rename", (const char *path, const char *to), (path, to), AT_FDCWD, to, const char *, const char *)
CALL(renameat, "rename", (int from, const char *path, int folder, const char *to), (from, path, folder, to), folder, to, int,
     const char *, int, const char *)
CALL(renameat2, "rename", (int from, const char *path, int folder, const char *to, unsigned flags), (from, path, folder, to, flags),
     folder, to, int, const char *, int, const char *, unsigned)
CALL(link, "link", (const char *path, const char *to), (path, to), AT_FDCWD, to, const char *, const char *)
CALL(symlink, "symlink", (const char *path, const char *to), (path, to), AT_FDCWD, to, const char *, const char *)
CALL(fsync, "fsync", (int file), (file), file, "", int)
CALL(fdatasync, "fsync", (int file), (file), file, "", int)
CALL(ftruncate, "truncate", (int file, off_t size), (file, size), file, "", int, off_t)
CALL(ftruncate64, "truncate", (int file, off64_t size), (file, size), file, "", int, off64_t)
CALL(truncate, "truncate", (const char *path, off_t size), (path, size), AT_FDCWD, path, const char *, off_t)
CALL(truncate64, "truncate", (const char *path, off64_t size), (path, size), AT_FDCWD, path, const char *, off64_t)

/* Calls that return a number of bytes. */
#define WRITE(name, parameters, arguments, halved, ...)            \
    ssize_t name parameters {                                      \
        REAL(ssize_t, #name, __VA_ARGS__);                         \
        PATH(file, "");                                            \
        if (!watched) return real arguments;                       \
        ASK("write", -1);                                          \
        ssize_t result = answer == HALF ? halved : real arguments; \
        DONE(result);                                              \
    }
WRITE(write, (int file, const void *from, size_t size), (file, from, size), real(file, from, (size + 1) / 2), int, const void *, size_t)
WRITE(pwrite, (int file, const void *from, size_t size, off_t at), (file, from, size, at), real(file, from, (size + 1) / 2, at), int,
      const void *, size_t, off_t)
WRITE(pwrite64, (int file, const void *from, size_t size, off64_t at), (file, from, size, at), real(file, from, (size + 1) / 2, at), int,
      const void *, size_t, off64_t)
WRITE(writev, (int file, const struct iovec *parts, int count), (file, parts, count), real(file, parts, (count + 1) / 2),
      int, const struct iovec *, int)
WRITE(pwritev, (int file, const struct iovec *parts, int count, off_t at), (file, parts, count, at),
      real(file, parts, (count + 1) / 2, at), int, const struct iovec *, int, off_t)
WRITE(sendfile, (int file, int source, off_t *at, size_t size), (file, source, at, size), real(file, source, at, (size + 1) / 2), int, int,
      off_t *, size_t)
WRITE(sendfile64, (int file, int source, off64_t *at, size_t size), (file, source, at, size), real(file, source, at, (size + 1) / 2), int,
      int, off64_t *, size_t)
WRITE(copy_file_range, (int source, off64_t *at, int file, off64_t *to, size_t size, unsigned flags), (source, at, file, to, size, flags),
      real(source, at, file, to, (size + 1) / 2, flags), int, off64_t *, int, off64_t *, size_t, unsigned)

/* numpy writes arrays by fwrite, whose own write nothing sees: what it takes is on its way when it returns. */
size_t fwrite(const void *from, size_t size, size_t count, FILE *stream) {
    REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    PATH(fileno(stream), "");
    if (!watched) return real(from, size, count, stream);
    ASK("write", 0);
    size_t result = real(from, size, answer == HALF ? (count + 1) / 2 : count, stream);
    fflush(stream);
    if (answer == HALF) errno = ENOSPC;
    DONE(result);
}
