#include "server/train/job_dir.h"

#include "core/base/mem.h"
#include "server/store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

int job_dir_open(int *dir, const char *path, struct err *err)
{
    return files_open_dir(AT_FDCWD, path, false, dir, err);
}

int job_dir_lock(int dir, struct err *err)
{
    while (flock(dir, LOCK_EX) < 0) {
        if (errno != EINTR)
            return err_set(err, ERR_IO, "", "the job's folder cannot be locked: %s",
                           strerror(errno));
    }
    return 0;
}

bool job_dir_has(int dir, const char *name)
{
    return faccessat(dir, name, F_OK, 0) == 0;
}

int job_dir_read(int dir, const char *name, struct buf *out, struct err *err)
{
    int fd;
    uint64_t size;
    int code = files_open_read(dir, name, &fd, &size, err);
    if (code)
        return code;
    char *room = buf_reserve(out, (size_t)size);
    if (!room)
        code = err_set(err, (enum err_code)out->failed, "", "%s is too large to be read", name);
    else
        code = files_read(fd, 0, room, (size_t)size, err);
    if (!code)
        out->size += (size_t)size;
    close(fd);
    return code;
}

int job_dir_hash(int dir, const char *name, char *hex, struct err *err)
{
    int fd;
    uint64_t size;
    int code = files_open_read(dir, name, &fd, &size, err);
    if (code)
        return code;
    struct hash hash;
    hash_init(&hash);
    char *piece = mem_alloc(PIECE, 1);
    if (!piece)
        code = err_set(err, ERR_NOMEM, "", "there is no memory to read %s", name);
    for (uint64_t done = 0; done < size && !code;) {
        size_t part = size - done < PIECE ? (size_t)(size - done) : PIECE;
        code = files_read(fd, done, piece, part, err);
        if (!code)
            hash_add(&hash, piece, part);
        done += part;
    }
    hash_text(&hash, hex);
    mem_free(piece);
    close(fd);
    return code;
}

static int write_temp(int dir, const char *temp, const struct buf *bytes, struct err *err)
{
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_IO, "",
                       "could not make a file of the job: %s", strerror(errno));
    int code = files_write(fd, bytes->data, bytes->size, err);
    if (!code)
        code = files_sync(fd, err);
    close(fd);
    return code;
}

int job_dir_write(int dir, const char *name, const char *keep, const struct buf *bytes,
                  struct err *err)
{
    char temp[64];
    snprintf(temp, sizeof temp, "%s.tmp", name);
    int code = write_temp(dir, temp, bytes, err);
    if (!code && keep && renameat(dir, name, dir, keep) < 0 && errno != ENOENT)
        code = err_set(err, ERR_IO, "", "could not keep a file of the job: %s", strerror(errno));
    if (!code)
        code = files_publish(dir, temp, dir, name, err);
    if (code)
        unlinkat(dir, temp, 0);
    return code;
}
