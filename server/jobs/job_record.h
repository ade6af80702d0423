/* A training job as it is stored and shown: plain data. */
#ifndef SERVER_JOBS_JOB_RECORD_H
#define SERVER_JOBS_JOB_RECORD_H

#include "config/limits.h"
#include "core/base/buf.h"
#include "proto/json.h"
#include "server/store/hash.h"

#include <stdbool.h>
#include <stdint.h>

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };
enum { JOB_STATES = JOB_CANCELLED + 1 };

/* "queued" and so on. */
const char *job_record_state_name(enum job_state state);
bool job_record_state_find(const char *name, enum job_state *out);
/* True for the three states that a job never leaves. */
bool job_record_ended(enum job_state state);

enum {
    JOB_ID = 17,   /* room for 16 hex digits and NUL */
    JOB_KEY = 129, /* room for an Idempotency-Key */
};

/* What the trainer found out about the data and the run; shown as "report". */
enum job_fact {
    FACT_ROWS,
    FACT_ROWS_USED,
    FACT_ROWS_DROPPED,
    FACT_ROWS_IMPUTED,
    FACT_ROWS_HELD_OUT,
    FACT_DIMENSION,
    FACT_PARAMETERS,
    FACT_BEST_STEP,
    FACT_SECONDS,
    FACT_COUNT,
};

struct job_progress {
    uint64_t step, steps;
    /* NAN: not known. */
    double train_loss, validation_loss, learning_rate, steps_per_second, remaining_seconds;
};

struct job_record {
    char id[JOB_ID];
    enum job_state state;
    bool cancelling; /* DELETE was called; kept across restarts */
    char dataset[LIMIT_NAME + 1];
    char model[LIMIT_NAME + 1];
    uint64_t version;                            /* of the model it made; 0 before */
    char *request;                               /* train_request_encode; owned */
    char *error;                                 /* a problem document, or NULL; owned */
    char key[JOB_KEY];                           /* Idempotency-Key; "" for none */
    char body_hash[HASH_TEXT];                   /* of the body that was sent with it */
    int64_t created_ms, started_ms, finished_ms; /* Unix time; 0: not yet */
    unsigned attempts;                           /* times that a trainer was started */
    unsigned stalls;                             /* of them, the last ones that saved nothing */
    struct job_progress progress;
    double facts[FACT_COUNT]; /* NAN: not known */
};

/* Everything unknown or empty, state queued. */
void job_record_init(struct job_record *record);
void job_record_release(struct job_record *record);
/* A deep copy. 0 or ERR_NOMEM. */
int job_record_copy(struct job_record *out, const struct job_record *in);

/* Takes what an event of the trainer says about progress and facts. */
void job_record_apply(struct job_record *record, struct json event);

/* The object of GET /jobs/{id}; with `full` false without the request, for lists. */
void job_record_write(struct buf *out, const struct job_record *record, bool full);
/* {"rows": 344, ...}, the facts that are known. */
void job_record_write_facts(struct buf *out, const struct job_record *record);

#endif
