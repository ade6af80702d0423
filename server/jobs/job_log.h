/* The events of one job, numbered 1, 2, 3 ..., in memory and (written by its owner) in a file.
   Bounded: when it is full every second of the small steps is left out, so ids may have gaps but
   only rise. Pure: no files, no clock. */
#ifndef SERVER_JOBS_JOB_LOG_H
#define SERVER_JOBS_JOB_LOG_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { JOB_LOG_EVENTS = 2000, JOB_LOG_BYTES = 64 * 1024 * 1024 };

struct job_event {
    uint64_t id;
    char *text; /* {"id":7,"time":"..","event":"progress",..} [size], no newline; owned */
    size_t size;
    bool minor; /* progress and checkpoint: may be thinned out */
    char type[16];
};

struct job_log {
    struct job_event *events; /* [count] owned, ids rising */
    size_t count, capacity;
    uint64_t last_id;
    uint64_t shown_id;  /* events up to it are in the file: what was told survives kill -9 */
    struct buf unsaved; /* lines that are not in the file yet */
    bool rewrite;       /* the file must be replaced by `unsaved`, not appended to */
};

void job_log_init(struct job_log *log);
void job_log_release(struct job_log *log);

/* line: one JSON object whose first member is "event" (checked by the caller), [size]. 0,
   ERR_NOMEM, ERR_FORMAT (it does not begin like that). */
int job_log_add(struct job_log *log, const char *line, size_t size, int64_t time_ms);
/* Lines of the file, into an empty log; a torn or foreign line ends the reading and has the file
   rewritten. 0 or ERR_NOMEM. */
int job_log_read(struct job_log *log, const char *text, size_t size);
/* Index of the first event after that id; count when there is none. */
size_t job_log_after(const struct job_log *log, uint64_t id);
/* Moves the unsaved lines into *out (then empty here); *rewrite: as above. */
void job_log_take_unsaved(struct job_log *log, struct buf *out, bool *rewrite);

/* One event as it is sent: a line of NDJSON, or a message of SSE. */
void job_log_write(struct buf *out, const struct job_event *event, bool sse);

#endif
