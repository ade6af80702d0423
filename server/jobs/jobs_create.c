/* A submission: folder, request and data become durable, then the row, then the answer. */
#include "core/base/mem.h"
#include "server/jobs/job_table.h"
#include "server/jobs/jobs_internal.h"
#include "server/timestamp.h"
#include "server/train/job_dir.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct jobs_create {
    struct call call;
    struct jobs *jobs;
    struct train_request request;
    struct job_record record;
    void (*done)(void *context, const struct job *job, bool replayed, const struct err *err);
    void *context;
    struct jobs_create *next; /* of jobs->creates */
    int code;
    struct err err;
};

/* What the request says about columns, against those of the dataset. */
static int check_columns(const struct train_request *request, const char *schema_text,
                         struct err *err)
{
    if (request->column_count == 0)
        return 0;
    struct json_doc *doc;
    struct schema schema = {0};
    int code = json_parse(&doc, schema_text, strlen(schema_text), DB_TEXT_MAX, err);
    if (code)
        return code;
    code = schema_read(&schema, json_root(doc), err);
    for (size_t i = 0; i < request->column_count && !code; i++) {
        char where[sizeof err->where];
        snprintf(where, sizeof where, "/columns/%.160s", request->columns[i].name);
        if (schema_find(&schema, request->columns[i].name) == schema.count)
            code = err_set(err, ERR_INVALID, where, "the dataset has no column of that name");
    }
    schema_release(&schema);
    json_free(doc);
    return code;
}

static int get_dataset(struct jobs_create *create, struct dataset_record *dataset)
{
    struct err err = {0};
    struct store *store = create->jobs->options.store;
    int code = store_dataset_get(store, create->request.dataset, dataset, &err);
    if (code == ERR_NOT_FOUND)
        err_set(&create->err, ERR_NOT_FOUND, "/dataset", "there is no dataset named %s",
                create->request.dataset);
    else if (code)
        create->err = err;
    return code;
}

static int fill_folder(struct jobs_create *create, const struct dataset_record *dataset)
{
    const char *data = dataset->format == DATASET_NPY ? JOB_DIR_NPY : JOB_DIR_CSV;
    struct buf text = {.data = create->record.request, .size = strlen(create->record.request)};
    int folder = store_files(create->jobs->options.store)->jobs;
    int dir;
    int code = files_open_dir(folder, create->record.id, true, &dir, &create->err);
    if (code)
        return code;
    code = store_dataset_link(create->jobs->options.store, dataset, dir, data, &create->err);
    if (!code)
        code = job_dir_write(dir, JOB_DIR_REQUEST, NULL, &text, &create->err);
    close(dir);
    return code;
}

static void create_work(struct call *call)
{
    struct jobs_create *create = (struct jobs_create *)call;
    struct store *store = create->jobs->options.store;
    struct dataset_record dataset = {0};
    create->code = get_dataset(create, &dataset);
    if (create->code)
        return;
    create->code = check_columns(&create->request, dataset.schema, &create->err);
    if (!create->code) {
        create->code = fill_folder(create, &dataset);
        if (!create->code)
            create->code = job_table_insert(store_db(store), &create->record, &create->err);
        if (create->code)
            files_remove_dir(store_files(store)->jobs, create->record.id, NULL);
    }
    store_dataset_release(&dataset);
}

static void unlink_create(struct jobs_create *create)
{
    struct jobs_create **at = &create->jobs->creates;
    while (*at && *at != create)
        at = &(*at)->next;
    if (*at)
        *at = create->next;
}

static void create_free(struct jobs_create *create)
{
    train_request_release(&create->request);
    job_record_release(&create->record);
    mem_free(create);
}

static void create_done(struct call *call)
{
    struct jobs_create *create = (struct jobs_create *)call;
    struct jobs *jobs = create->jobs;
    struct job *job = NULL;
    unlink_create(create);
    if (!create->code) {
        job = jobs_job_new(&create->record);
        if (!job || jobs_add(jobs, job)) {
            /* The row is durable: the job runs after the next start. */
            create->code = err_set(&create->err, ERR_NOMEM, "", "there is no memory for a job");
            if (job)
                jobs_job_drop(job);
        }
    }
    if (create->code) {
        create->done(create->context, NULL, false, &create->err);
    } else {
        jobs_event_state(jobs, job);
        create->done(create->context, job, false, NULL);
        jobs_pump(jobs);
    }
    create_free(create);
}

static char *encode_request(const struct train_request *request)
{
    struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    train_request_encode(&text, request);
    buf_char(&text, '\0');
    if (text.failed)
        buf_release(&text);
    return text.data;
}

/* The answer to a key that was used before, as far as there is one; false when there is none. */
static bool replay(struct jobs *jobs, const struct jobs_submission *submission, const char *hash)
{
    struct err err = {0};
    for (const struct jobs_create *create = jobs->creates; create; create = create->next) {
        if (strcmp(create->record.key, submission->key) == 0) {
            err_set(&err, ERR_CONFLICT, "",
                    "a request with this Idempotency-Key is being carried out; try again");
            submission->done(submission->context, NULL, false, &err);
            return true;
        }
    }
    for (size_t i = 0; i < jobs->count; i++) {
        const struct job *job = jobs->all[i];
        if (strcmp(job->record.key, submission->key) != 0)
            continue;
        bool same = strcmp(job->record.body_hash, hash) == 0;
        if (!same)
            err_set(&err, ERR_INVALID, "",
                    "this Idempotency-Key was used before with another body, for job %s",
                    job->record.id);
        submission->done(submission->context, same ? job : NULL, same, same ? NULL : &err);
        return true;
    }
    return false;
}

static struct jobs_create *create_new(struct jobs *jobs, const struct jobs_submission *submission,
                                      const char *hash)
{
    struct jobs_create *create = mem_zalloc(1, sizeof *create);
    if (!create)
        return NULL;
    *create = (struct jobs_create){
        .call = {.work = create_work, .done = create_done},
        .jobs = jobs,
        .done = submission->done,
        .context = submission->context,
        .next = jobs->creates,
    };
    struct job_record *record = &create->record;
    const struct train_request *request = submission->request;
    char name[FILES_NAME];
    files_name(name);
    job_record_init(record);
    snprintf(record->id, sizeof record->id, "%.*s", JOB_ID - 1, name);
    snprintf(record->dataset, sizeof record->dataset, "%s", request->dataset);
    snprintf(record->model, sizeof record->model, "%s", request->model);
    snprintf(record->key, sizeof record->key, "%s", submission->key ? submission->key : "");
    snprintf(record->body_hash, sizeof record->body_hash, "%s", hash);
    record->created_ms = timestamp_now_ms();
    record->progress.steps = request->spec.steps;
    record->request = encode_request(request);
    if (!record->request) {
        mem_free(create);
        return NULL;
    }
    create->request = *request;
    *submission->request = (struct train_request){0};
    return create;
}

void jobs_submit(struct jobs *jobs, const struct jobs_submission *submission)
{
    struct err err = {0};
    char text[HASH_TEXT];
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, submission->body, submission->body_size);
    hash_text(&hash, text);
    if (submission->key && replay(jobs, submission, text))
        return;
    struct jobs_create *create = NULL;
    if (jobs->draining)
        err_set(&err, ERR_UNAVAILABLE, "", "the daemon is about to stop");
    else if (jobs->count >= LIMIT_JOBS)
        err_set(&err, ERR_OVERLOADED, "",
                "%d jobs are kept at most; DELETE /jobs/{id} of ended ones makes room", LIMIT_JOBS);
    else if (!(create = create_new(jobs, submission, text)))
        err_set(&err, ERR_NOMEM, "", "there is no memory for a job");
    if (!create) {
        submission->done(submission->context, NULL, false, &err);
        return;
    }
    jobs->creates = create;
    courier_submit(jobs->options.store_courier, &create->call);
}
