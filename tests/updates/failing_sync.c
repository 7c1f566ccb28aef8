/* Preloaded into the server: while the file named by NARROWCAST_TEST_SYNC_FAILS exists, the disk cannot
   be brought to keep anything. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_with(const char *name, int fd) {
    const char *sign = getenv("NARROWCAST_TEST_SYNC_FAILS");
    if (sign != NULL && access(sign, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }
