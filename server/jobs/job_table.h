/* Jobs in the database. Thread: the store courier's, or before the loop runs. */
#ifndef SERVER_JOBS_JOB_TABLE_H
#define SERVER_JOBS_JOB_TABLE_H

#include "server/jobs/job_record.h"
#include "server/store/db.h"

/* One durable row. ERR_CONFLICT: the Idempotency-Key is taken. */
int job_table_insert(struct db *db, const struct job_record *record, struct err *err);
/* Writes all that can change, if the stored state still is `from`; else ERR_CONFLICT. */
int job_table_update(struct db *db, const struct job_record *record, enum job_state from,
                     struct err *err);
int job_table_delete(struct db *db, const char *id, struct err *err);
/* In order of creation; `each` gets a record to keep (moved) and returns 0 to go on. */
int job_table_load(struct db *db,
                   int (*each)(struct job_record *record, void *context, struct err *err),
                   void *context, struct err *err);

#endif
