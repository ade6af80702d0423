#include "server/store/files.h"

#include "core/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_error(struct err *err, int number, const char *what)
{
    if (number == ENOSPC || number == EDQUOT)
        return err_set(err, ERR_NO_SPACE, "", "the disk of the data directory is full");
    if (number == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "", "could not %s: there is no such file", what);
    if (number == EEXIST)
        return err_set(err, ERR_CONFLICT, "", "could not %s: the name is taken", what);
    char text[96];
    return err_set(err, ERR_IO, "", "could not %s: %s", what,
                   strerror_r(number, text, sizeof text));
}

void files_name(char *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[(FILES_NAME - 1) / 2];
    size_t got = 0;
    while (got < sizeof bytes) {
        ssize_t n = getrandom(bytes + got, sizeof bytes - got, 0);
        if (n > 0)
            got += (size_t)n;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * sizeof bytes] = '\0';
}

int files_create_tmp(const struct files *files, char *name, int *fd, struct err *err)
{
    files_name(name);
    *fd = openat(files->tmp, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *fd < 0 ? system_error(err, errno, "create a temporary file") : 0;
}

int files_write(int fd, const void *data, size_t size, struct err *err)
{
    const char *rest = data;
    while (size > 0) {
        ssize_t written = write(fd, rest, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return system_error(err, errno, "write a file");
        rest += written;
        size -= (size_t)written;
    }
    return 0;
}

int files_sync(int fd, struct err *err)
{
    return fsync(fd) < 0 ? system_error(err, errno, "bring a file to the disk") : 0;
}

int files_publish(int from, const char *old_name, int to, const char *new_name, struct err *err)
{
    if (renameat(from, old_name, to, new_name) < 0)
        return system_error(err, errno, "rename a file");
    int code = files_sync(to, err);
    if (!code && from != to)
        code = files_sync(from, err);
    return code;
}

int files_link(int from, const char *old_name, int to, const char *new_name, struct err *err)
{
    if (linkat(from, old_name, to, new_name, 0) < 0)
        return system_error(err, errno, "link a file");
    return files_sync(to, err);
}

int files_remove(int dir, const char *name, struct err *err)
{
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return system_error(err, errno, "remove a file");
    return 0;
}

int files_open_read(int dir, const char *name, int *fd, uint64_t *size, struct err *err)
{
    /* O_NONBLOCK: opening a fifo must not wait for a writer. */
    int file = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return system_error(err, errno, "open a file");
    struct stat status;
    int code = 0;
    if (fstat(file, &status) < 0)
        code = system_error(err, errno, "look at a file");
    else if (!S_ISREG(status.st_mode))
        code = err_set(err, ERR_IO, "", "what stands in the place of a file is not a regular one");
    if (code) {
        close(file);
        return code;
    }
    *fd = file;
    *size = (uint64_t)status.st_size;
    return 0;
}

int files_read(int fd, uint64_t offset, void *out, size_t size, struct err *err)
{
    char *rest = out;
    while (size > 0) {
        ssize_t got = pread(fd, rest, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return system_error(err, errno, "read a file");
        if (got == 0)
            return err_set(err, ERR_IO, "", "a file became shorter while it was read");
        rest += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

int files_open_dir(int parent, const char *name, bool create, int *fd, struct err *err)
{
    if (create) {
        if (mkdirat(parent, name, 0700) == 0) {
            int code = files_sync(parent, err);
            if (code)
                return code;
        } else if (errno != EEXIST) {
            return system_error(err, errno, "make a folder");
        }
    }
    *fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 ? system_error(err, errno, "open a folder") : 0;
}

int files_remove_dir(int parent, const char *name, struct err *err)
{
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : system_error(err, errno, "open a folder");
    struct files_list list;
    int code = files_list(dir, &list, err);
    for (size_t i = 0; !code && i < list.count; i++)
        code = files_remove(dir, list.names[i], err);
    files_list_free(&list);
    close(dir);
    if (!code && unlinkat(parent, name, AT_REMOVEDIR) < 0)
        code = system_error(err, errno, "remove a folder");
    return code;
}

static int list_add(struct files_list *list, const char *name)
{
    char **names = mem_realloc(list->names, list->count + 1, sizeof *names);
    if (!names)
        return ERR_NOMEM;
    list->names = names;
    names[list->count] = mem_strdup(name);
    if (!names[list->count])
        return ERR_NOMEM;
    list->count++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int files_list(int dir, struct files_list *out, struct err *err)
{
    *out = (struct files_list){0};
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream) {
        int number = errno;
        if (copy >= 0)
            close(copy);
        return system_error(err, number, "list a folder");
    }
    int code = 0;
    struct dirent *entry;
    while (!code && (entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            code = list_add(out, entry->d_name);
    }
    closedir(stream);
    if (code) {
        files_list_free(out);
        return err_set(err, (enum err_code)code, "", "memory ran out while a folder was listed");
    }
    if (out->count > 1)
        qsort(out->names, out->count, sizeof *out->names, compare_names);
    return 0;
}

void files_list_free(struct files_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->names[i]);
    mem_free(list->names);
    *list = (struct files_list){0};
}

static int take_lock(struct files *files, struct err *err)
{
    files->lock = openat(files->root, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (files->lock < 0)
        return system_error(err, errno, "open the lock file");
    if (flock(files->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return system_error(err, errno, "lock the data directory");
    return err_set(err, ERR_CONFLICT, "",
                   "another advectd uses this data directory; stop it, or give "
                   "this one a --data-dir of its own");
}

static int empty_tmp(const struct files *files, struct err *err)
{
    struct files_list list;
    int code = files_list(files->tmp, &list, err);
    for (size_t i = 0; !code && i < list.count; i++)
        code = files_remove(files->tmp, list.names[i], err);
    files_list_free(&list);
    return code;
}

static int open_root(struct files *files, const char *data_dir, struct err *err)
{
    if (mkdir(data_dir, 0700) < 0 && errno != EEXIST)
        return system_error(err, errno, "make the data directory");
    char *path = realpath(data_dir, NULL);
    if (!path)
        return system_error(err, errno, "find the data directory");
    files->path = mem_strdup(path);
    free(path);
    if (!files->path)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    files->root = open(files->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return files->root < 0 ? system_error(err, errno, "open the data directory") : 0;
}

static int open_all(struct files *files, const char *data_dir, struct err *err)
{
    const struct {
        const char *name;
        int *fd;
    } folders[] = {
        {"datasets", &files->datasets},
        {"models", &files->models},
        {"jobs", &files->jobs},
        {"tmp", &files->tmp},
    };
    int code = open_root(files, data_dir, err);
    if (!code)
        code = take_lock(files, err);
    for (size_t i = 0; !code && i < sizeof folders / sizeof *folders; i++)
        code = files_open_dir(files->root, folders[i].name, true, folders[i].fd, err);
    return code ? code : empty_tmp(files, err);
}

int files_open(struct files *files, const char *data_dir, struct err *err)
{
    *files = (struct files){-1, -1, -1, -1, -1, -1, NULL};
    int code = open_all(files, data_dir, err);
    if (code)
        files_close(files);
    return code;
}

void files_close(struct files *files)
{
    int *const fds[] = {&files->tmp,      &files->jobs, &files->models,
                        &files->datasets, &files->root, &files->lock};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    mem_free(files->path);
    files->path = NULL;
}
