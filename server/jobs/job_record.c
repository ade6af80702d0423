#include "server/jobs/job_record.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "proto/json_write.h"
#include "server/timestamp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[JOB_STATES] = {
    [JOB_QUEUED] = "queued", [JOB_RUNNING] = "running",     [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled",
};

static const char *const fact_names[FACT_COUNT] = {
    [FACT_ROWS] = "rows",
    [FACT_ROWS_USED] = "rows_used",
    [FACT_ROWS_DROPPED] = "rows_dropped",
    [FACT_ROWS_IMPUTED] = "rows_imputed",
    [FACT_ROWS_HELD_OUT] = "rows_held_out",
    [FACT_DIMENSION] = "dimension",
    [FACT_PARAMETERS] = "parameters",
    [FACT_BEST_STEP] = "best_step",
    [FACT_SECONDS] = "seconds",
};

const char *job_record_state_name(enum job_state state)
{
    return state_names[state];
}

bool job_record_state_find(const char *name, enum job_state *out)
{
    for (unsigned i = 0; i < JOB_STATES; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

bool job_record_ended(enum job_state state)
{
    return state == JOB_SUCCEEDED || state == JOB_FAILED || state == JOB_CANCELLED;
}

void job_record_init(struct job_record *record)
{
    *record = (struct job_record){
        .progress = {.train_loss = NAN,
                     .validation_loss = NAN,
                     .learning_rate = NAN,
                     .steps_per_second = NAN,
                     .remaining_seconds = NAN},
    };
    for (size_t i = 0; i < FACT_COUNT; i++)
        record->facts[i] = NAN;
}

void job_record_release(struct job_record *record)
{
    mem_free(record->request);
    mem_free(record->error);
    record->request = NULL;
    record->error = NULL;
}

int job_record_copy(struct job_record *out, const struct job_record *in)
{
    struct job_record copy = *in;
    copy.request = in->request ? mem_strdup(in->request) : NULL;
    copy.error = in->error ? mem_strdup(in->error) : NULL;
    if ((in->request && !copy.request) || (in->error && !copy.error)) {
        job_record_release(&copy);
        return ERR_NOMEM;
    }
    *out = copy;
    return 0;
}

/* A number of the event; what is absent or null leaves *out as it is. */
static void take(double *out, struct json event, const char *key)
{
    struct json value = json_get(event, key);
    double number;
    if (json_present(value) && json_read_number(value, -HUGE_VAL, HUGE_VAL, &number, NULL) == 0)
        *out = number;
}

void job_record_apply(struct job_record *record, struct json event)
{
    struct job_progress *progress = &record->progress;
    struct json step = json_get(event, "step");
    int64_t value;
    if (json_present(step) &&
        json_read_integer(step, 0, (int64_t)LIMIT_TRAIN_STEPS, &value, NULL) == 0)
        progress->step = (uint64_t)value;
    take(&progress->train_loss, event, "loss");
    take(&progress->validation_loss, event, "validation_loss");
    take(&progress->learning_rate, event, "learning_rate");
    take(&progress->steps_per_second, event, "steps_per_second");
    take(&progress->remaining_seconds, event, "remaining_seconds");
    for (size_t i = 0; i < FACT_COUNT; i++)
        take(&record->facts[i], event, fact_names[i]);
}

static void write_time(struct json_writer *w, const char *key, int64_t ms)
{
    char text[TIMESTAMP_TEXT];
    if (ms == 0) {
        json_write_null(w, key);
        return;
    }
    timestamp_text(text, ms);
    json_write_string(w, key, text);
}

static void write_raw(struct json_writer *w, const char *key, const char *json)
{
    if (json)
        json_write_raw(w, key, json, strlen(json));
    else
        json_write_null(w, key);
}

static void write_facts(struct json_writer *w, const char *key, const struct job_record *record)
{
    json_open_object(w, key);
    for (size_t i = 0; i < FACT_COUNT; i++) {
        if (isfinite(record->facts[i]))
            json_write_number(w, fact_names[i], record->facts[i]);
    }
    json_close_object(w);
}

void job_record_write_facts(struct buf *out, const struct job_record *record)
{
    struct json_writer w = json_writer(out);
    write_facts(&w, NULL, record);
}

static void write_progress(struct json_writer *w, const struct job_record *record)
{
    const struct job_progress *progress = &record->progress;
    bool running = record->state == JOB_RUNNING;
    json_open_object(w, "progress");
    json_write_unsigned(w, "step", progress->step);
    json_write_unsigned(w, "steps", progress->steps);
    json_close_object(w);
    json_write_number(w, "train_loss", progress->train_loss);
    json_write_number(w, "validation_loss", progress->validation_loss);
    json_write_number(w, "learning_rate", running ? progress->learning_rate : NAN);
    json_write_number(w, "steps_per_second", running ? progress->steps_per_second : NAN);
    json_write_number(w, "remaining_seconds", running ? progress->remaining_seconds : NAN);
}

void job_record_write(struct buf *out, const struct job_record *record, bool full)
{
    char link[sizeof "/jobs/" + JOB_ID + sizeof "/events"];
    snprintf(link, sizeof link, "/jobs/%s/events", record->id);
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    json_write_string(&w, "id", record->id);
    json_write_string(&w, "state", job_record_state_name(record->state));
    if (record->cancelling && !job_record_ended(record->state))
        json_write_boolean(&w, "cancelling", true);
    json_write_string(&w, "model", record->model);
    if (record->version)
        json_write_unsigned(&w, "version", record->version);
    json_write_string(&w, "dataset", record->dataset);
    write_progress(&w, record);
    write_time(&w, "created", record->created_ms);
    write_time(&w, "started", record->started_ms);
    write_time(&w, "finished", record->finished_ms);
    json_write_unsigned(&w, "attempts", record->attempts);
    write_raw(&w, "error", record->error);
    write_facts(&w, "report", record);
    if (full)
        write_raw(&w, "request", record->request);
    json_write_string(&w, "events", link);
    json_close_object(&w);
}
