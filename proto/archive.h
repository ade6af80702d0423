/* Zip archives in memory, stored or deflated. What an entry says of its size is held against the
   limits before anything is inflated. */
#ifndef PROTO_ARCHIVE_H
#define PROTO_ARCHIVE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct zip;

struct archive {
    struct zip *zip; /* owned */
    size_t count;    /* of entries */
};

/* bytes: borrowed until archive_close. 0; ERR_FORMAT (no archive, an entry that is encrypted or
   packed another way); ERR_TOO_LARGE past LIMIT_ARCHIVE_ENTRIES, or LIMIT_CHECKPOINT_BYTES of all
   entries together; ERR_NOMEM. */
int archive_open(struct archive *out, const unsigned char *bytes, size_t size, struct err *err);
void archive_close(struct archive *archive);

/* Borrowed; as it stands in the file. */
const char *archive_name(const struct archive *archive, size_t index);
/* False when there is no entry of that name. */
bool archive_find(const struct archive *archive, const char *name, size_t *index);
/* Bytes of the entry once inflated. */
size_t archive_size(const struct archive *archive, size_t index);
/* The whole entry. out: [archive_size]. 0; ERR_FORMAT when it is damaged; ERR_NOMEM. */
int archive_read(const struct archive *archive, size_t index, void *out, struct err *err);

#endif
