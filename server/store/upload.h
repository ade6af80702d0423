/* The body of a request in a file under tmp/, from its first byte until it is published or dropped.
 */
#ifndef SERVER_STORE_UPLOAD_H
#define SERVER_STORE_UPLOAD_H

#include "server/store/files.h"

struct upload {
    const struct files *files; /* borrowed: store_files(store) */
    char name[FILES_NAME];     /* in tmp/ */
    int fd;                    /* open for reading and writing */
    uint64_t size;             /* bytes written; not yet synced */
};

/* All may wait for the disk: never on the loop thread, but on either courier's.
   0; ERR_NOMEM, ERR_NO_SPACE, ERR_IO. */
int upload_new(struct upload **out, const struct files *files, struct err *err);
int upload_write(struct upload *upload, const void *data, size_t size, struct err *err);
/* Closes it, and unlinks the file unless it was published (renamed away). NULL is fine. */
void upload_free(struct upload *upload);

#endif
