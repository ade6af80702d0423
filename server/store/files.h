/* The data directory: what is in it, and how a file gets there so that it survives a power cut.
   Everything is opened relative to a directory, by one-component names made here, and never through
   a symbolic link. All functions may wait for the disk: never call them on the loop thread.

   A file is published in this order: written into tmp/, files_sync, files_publish (rename, then
   fsync of the folder), then the row in the database, then the answer to the client. An fsync that
   failed is final: the kernel may have dropped the pages, so nobody tries again on that file. */
#ifndef SERVER_STORE_FILES_H
#define SERVER_STORE_FILES_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILES_NAME = 33 }; /* room for a name made here: 32 hex digits and NUL */

struct files {
    int root, datasets, models, jobs, tmp; /* directory descriptors */
    int lock;                              /* held while the daemon lives */
    char *path;                            /* of root, absolute; owned */
};

/* Makes what is missing (mode 0700), takes the lock and empties tmp/. 0; ERR_CONFLICT (another
   daemon holds the lock); ERR_IO, ERR_NO_SPACE, ERR_NOMEM. On failure *files is closed. */
int files_open(struct files *files, const char *data_dir, struct err *err);
void files_close(struct files *files);

/* 128 random bits in hex. out: [FILES_NAME]. */
void files_name(char *out);
/* A new empty file tmp/NAME, mode 0600, open for reading and writing. name: [FILES_NAME]. */
int files_create_tmp(const struct files *files, char *name, int *fd, struct err *err);
/* All of it, whatever the kernel takes at once. 0, ERR_NO_SPACE, ERR_IO. */
int files_write(int fd, const void *data, size_t size, struct err *err);
/* fsync of a file or a directory. */
int files_sync(int fd, struct err *err);
/* Renames a synced file and syncs both folders. An existing file of that name is replaced. */
int files_publish(int from, const char *old_name, int to, const char *new_name, struct err *err);
/* A second name for the same file (a hard link), and sync of its folder. ERR_CONFLICT: it exists.
 */
int files_link(int from, const char *old_name, int to, const char *new_name, struct err *err);
/* Unlinks; fine when there is no such file. */
int files_remove(int dir, const char *name, struct err *err);

/* A regular file for reading. ERR_NOT_FOUND, ERR_IO (also for anything but a regular file). */
int files_open_read(int dir, const char *name, int *fd, uint64_t *size, struct err *err);
/* Exactly size bytes from offset; ERR_IO when the file is shorter. */
int files_read(int fd, uint64_t offset, void *out, size_t size, struct err *err);
/* A folder; create: made if missing, and its parent synced. */
int files_open_dir(int parent, const char *name, bool create, int *fd, struct err *err);
/* Removes a folder and the files in it (folders are one level deep); fine when there is none. */
int files_remove_dir(int parent, const char *name, struct err *err);

/* Names in a folder but . and .., in order; free with files_list_free. */
struct files_list {
    char **names; /* [count] owned */
    size_t count;
};
int files_list(int dir, struct files_list *out, struct err *err);
void files_list_free(struct files_list *list);

#endif
