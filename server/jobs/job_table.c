#include "server/jobs/job_table.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/number.h"
#include "proto/json.h"

#include <math.h>
#include <string.h>

/* The text form keeps every digit of the double; NULL for an unknown one. */
static void bind_number(struct db_stmt *stmt, int index, double value)
{
    char text[NUMBER_TEXT + 1];
    if (!isfinite(value)) {
        db_bind_null(stmt, index);
        return;
    }
    text[number_write_double(text, value)] = '\0';
    db_bind_text(stmt, index, text);
}

static double read_number(const struct db_stmt *stmt, int column)
{
    double value = NAN;
    const char *text = db_text(stmt, column);
    if (text)
        number_read(text, strlen(text), &value, NULL, NULL);
    return value;
}

static void bind_time(struct db_stmt *stmt, int index, int64_t ms)
{
    if (ms)
        db_bind_integer(stmt, index, ms);
    else
        db_bind_null(stmt, index);
}

/* Binds the columns that change, from parameter 1 on: MUTABLE in both statements. */
#define MUTABLE                                                                                    \
    "state, cancelling, version, error, started_ms, finished_ms, attempts, stalls, step, "         \
    "train_loss, validation_loss, facts"
enum { MUTABLE_COUNT = 12 };

static int bind_mutable(struct db_stmt *stmt, const struct job_record *record)
{
    struct buf facts;
    buf_init(&facts, LIMIT_JSON_BYTES);
    job_record_write_facts(&facts, record);
    buf_char(&facts, '\0');
    db_bind_text(stmt, 1, job_record_state_name(record->state));
    db_bind_integer(stmt, 2, record->cancelling);
    db_bind_integer(stmt, 3, (int64_t)record->version);
    db_bind_text(stmt, 4, record->error);
    bind_time(stmt, 5, record->started_ms);
    bind_time(stmt, 6, record->finished_ms);
    db_bind_integer(stmt, 7, record->attempts);
    db_bind_integer(stmt, 8, record->stalls);
    db_bind_integer(stmt, 9, (int64_t)record->progress.step);
    bind_number(stmt, 10, record->progress.train_loss);
    bind_number(stmt, 11, record->progress.validation_loss);
    db_bind_text(stmt, 12, facts.failed ? NULL : facts.data);
    int code = facts.failed;
    buf_release(&facts);
    return code;
}

int job_table_insert(struct db *db, const struct job_record *record, struct err *err)
{
    struct db_stmt stmt;
    int code = db_prepare(&stmt, db,
                          "INSERT INTO jobs (" MUTABLE ", id, dataset, model, request, steps,"
                          " created_ms, idempotency_key, body_sha256)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                          err);
    if (!code)
        code = bind_mutable(&stmt, record);
    if (!code) {
        bool keyed = record->key[0] != '\0';
        db_bind_text(&stmt, MUTABLE_COUNT + 1, record->id);
        db_bind_text(&stmt, MUTABLE_COUNT + 2, record->dataset);
        db_bind_text(&stmt, MUTABLE_COUNT + 3, record->model);
        db_bind_text(&stmt, MUTABLE_COUNT + 4, record->request);
        db_bind_integer(&stmt, MUTABLE_COUNT + 5, (int64_t)record->progress.steps);
        db_bind_integer(&stmt, MUTABLE_COUNT + 6, record->created_ms);
        db_bind_text(&stmt, MUTABLE_COUNT + 7, keyed ? record->key : NULL);
        db_bind_text(&stmt, MUTABLE_COUNT + 8, keyed ? record->body_hash : NULL);
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    return code;
}

int job_table_update(struct db *db, const struct job_record *record, enum job_state from,
                     struct err *err)
{
    struct db_stmt stmt;
    int code = db_prepare(&stmt, db,
                          "UPDATE jobs SET (" MUTABLE ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                          " WHERE id = ? AND state = ?",
                          err);
    if (!code)
        code = bind_mutable(&stmt, record);
    if (!code) {
        db_bind_text(&stmt, MUTABLE_COUNT + 1, record->id);
        db_bind_text(&stmt, MUTABLE_COUNT + 2, job_record_state_name(from));
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    if (!code && db_changes(db) == 0)
        code =
            err_set(err, ERR_CONFLICT, "", "the job is no longer %s", job_record_state_name(from));
    return code;
}

int job_table_delete(struct db *db, const char *id, struct err *err)
{
    struct db_stmt stmt;
    int code = db_prepare(&stmt, db, "DELETE FROM jobs WHERE id = ?", err);
    if (!code) {
        db_bind_text(&stmt, 1, id);
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    return code;
}

static void read_facts(struct job_record *record, const char *text)
{
    struct json_doc *doc;
    if (!text || json_parse(&doc, text, strlen(text), LIMIT_JSON_BYTES, NULL))
        return;
    job_record_apply(record, json_root(doc));
    json_free(doc);
}

static int copy_text(char **out, const char *text)
{
    *out = text ? mem_strdup(text) : NULL;
    return text && !*out ? ERR_NOMEM : 0;
}

static int read_row(struct job_record *record, const struct db_stmt *stmt, struct err *err)
{
    job_record_init(record);
    read_facts(record, db_text(stmt, 11));
    const char *state = db_text(stmt, 0);
    record->cancelling = db_integer(stmt, 1) != 0;
    record->version = (uint64_t)db_integer(stmt, 2);
    record->started_ms = db_integer(stmt, 4);
    record->finished_ms = db_integer(stmt, 5);
    record->attempts = (unsigned)db_integer(stmt, 6);
    record->stalls = (unsigned)db_integer(stmt, 7);
    record->progress.step = (uint64_t)db_integer(stmt, 8);
    record->progress.train_loss = read_number(stmt, 9);
    record->progress.validation_loss = read_number(stmt, 10);
    record->progress.steps = (uint64_t)db_integer(stmt, MUTABLE_COUNT + 4);
    record->created_ms = db_integer(stmt, MUTABLE_COUNT + 5);
    db_copy_text(stmt, MUTABLE_COUNT, record->id, sizeof record->id);
    db_copy_text(stmt, MUTABLE_COUNT + 1, record->dataset, sizeof record->dataset);
    db_copy_text(stmt, MUTABLE_COUNT + 2, record->model, sizeof record->model);
    db_copy_text(stmt, MUTABLE_COUNT + 6, record->key, sizeof record->key);
    db_copy_text(stmt, MUTABLE_COUNT + 7, record->body_hash, sizeof record->body_hash);
    if (copy_text(&record->error, db_text(stmt, 3)) ||
        copy_text(&record->request, db_text(stmt, MUTABLE_COUNT + 3))) {
        job_record_release(record);
        return err_set(err, ERR_NOMEM, "", "there is no memory for the jobs");
    }
    if (state && job_record_state_find(state, &record->state))
        return 0;
    job_record_release(record);
    return err_set(err, ERR_IO, "", "the database holds a job in an unknown state");
}

int job_table_load(struct db *db,
                   int (*each)(struct job_record *record, void *context, struct err *err),
                   void *context, struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code = db_prepare(&stmt, db,
                          "SELECT " MUTABLE ", id, dataset, model, request, steps, created_ms,"
                          " idempotency_key, body_sha256 FROM jobs ORDER BY created_ms, rowid",
                          err);
    while (!code && (code = db_step(&stmt, &row, err)) == 0 && row) {
        struct job_record record;
        code = read_row(&record, &stmt, err);
        if (!code)
            code = each(&record, context, err);
    }
    db_finish(&stmt);
    return code;
}
