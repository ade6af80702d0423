/* Numbers for Prometheus, text format 0.0.4. Thread: loop. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "core/base/buf.h"

struct metrics;

/* NULL: out of memory. `version` goes into advectd_build_info; borrowed, as all texts below. */
struct metrics *metrics_new(const char *version);
/* NULL is fine. */
void metrics_free(struct metrics *metrics);

/* One answered request; operation is route->operation, or "none". What cannot be counted for lack
   of memory is not counted. */
void metrics_request(struct metrics *metrics, const char *operation, int status, double seconds);

/* A value that is read whenever /metrics is asked for. `name` may carry labels:
   "advectd_jobs{state=\"queued\"}"; series of one name are registered one after the other, and the
   first gives the help. 0 or ERR_NOMEM. */
int metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                  double (*read)(void *context), void *context);
/* The same for a value that only grows; its name ends in _total. */
int metrics_counter(struct metrics *metrics, const char *name, const char *help,
                    double (*read)(void *context), void *context);

void metrics_write(struct metrics *metrics, struct buf *out);

#endif
