/* The body of a BODY_UPLOAD request on its way to the disk: the loop hands over pieces, the store's
   courier writes them in order. Thread: loop. */
#ifndef SERVER_HTTP_INTAKE_H
#define SERVER_HTTP_INTAKE_H

#include "server/courier.h"
#include "server/store/upload.h"

#include <stdbool.h>

enum {
    INTAKE_OUTSTANDING = 1024 * 1024
}; /* bytes not written yet, above which to hold the client */

struct intake;

/* progress: called after each piece was written. NULL: out of memory. courier and files: borrowed.
 */
struct intake *intake_new(struct courier *courier, const struct files *files,
                          void (*progress)(void *context), void *context);
/* Copies the bytes; of zero bytes, only makes the file. 0 or ERR_NOMEM. */
int intake_push(struct intake *intake, const void *data, size_t size);
bool intake_full(const struct intake *intake);
/* Everything pushed is written, or has failed. */
bool intake_idle(const struct intake *intake);
/* When idle: 0, or the first failure of the disk. */
int intake_result(const struct intake *intake, struct err *err);
/* When idle and without failure: the file, now the caller's. */
struct upload *intake_take(struct intake *intake);
/* Drops what was not taken; at once or, where pieces are under way, after them. NULL is fine. */
void intake_free(struct intake *intake);

#endif
