#include "server/train/train_state.h"

#include "core/base/buf.h"
#include "proto/json.h"
#include "proto/json_write.h"
#include "proto/safetensors.h"
#include "server/train/job_dir.h"

#include <math.h>
#include <string.h>

/* Parameters, EMA, two moments and the best weights, and room for the header. */
#define STATE_BYTES (5 * 4 * LIMIT_PARAMETERS + LIMIT_HEADER_BYTES)

/* The numbers that travel beside the tensors. */
struct state_numbers {
    uint64_t step, best_step;
    double best_loss; /* INFINITY before the first validation */
    double seconds;
};

static void write_numbers(struct buf *out, const struct trainer *trainer,
                          const struct train_identity *identity, double seconds)
{
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    json_write_string(&w, "request", identity->request);
    json_write_string(&w, "data", identity->data);
    json_write_unsigned(&w, "step", trainer->step);
    json_write_unsigned(&w, "best_step", trainer->best_step);
    json_write_number(&w, "best_loss", trainer->best_loss);
    json_write_number(&w, "seconds", seconds);
    json_close_object(&w);
    buf_char(out, '\0');
}

static int read_hex(struct json object, const char *key, const char *expected, struct err *err)
{
    const char *text;
    int code = json_read_string(json_get(object, key), 64, &text, err);
    if (!code && strcmp(text, expected) != 0)
        code = err_set(err, ERR_FORMAT, key, "the state belongs to another %s", key);
    return code;
}

static int read_count(struct json object, const char *key, uint64_t *out, struct err *err)
{
    int64_t value = 0;
    int code = json_read_integer(json_get(object, key), 0, (int64_t)LIMIT_TRAIN_STEPS, &value, err);
    *out = (uint64_t)value;
    return code;
}

static int read_numbers(struct state_numbers *numbers, const char *text,
                        const struct train_identity *identity, struct err *err)
{
    struct json_doc *doc;
    int code = json_parse(&doc, text, strlen(text), LIMIT_JSON_BYTES, err);
    if (code)
        return code;
    struct json root = json_root(doc);
    struct json best = json_get(root, "best_loss");
    numbers->best_loss = INFINITY;
    if ((code = read_hex(root, "request", identity->request, err)) ||
        (code = read_hex(root, "data", identity->data, err)) ||
        (code = read_count(root, "step", &numbers->step, err)) ||
        (code = read_count(root, "best_step", &numbers->best_step, err)) ||
        (code = json_read_number(json_get(root, "seconds"), 0, 1e12, &numbers->seconds, err)))
        goto out;
    if (json_present(best))
        code = json_read_number(best, 0, HUGE_VAL, &numbers->best_loss, err);
out:
    json_free(doc);
    return code;
}

int train_identity_read(struct train_identity *identity, int dir, struct err *err)
{
    const char *data = job_dir_has(dir, JOB_DIR_NPY) ? JOB_DIR_NPY : JOB_DIR_CSV;
    int code = job_dir_hash(dir, JOB_DIR_REQUEST, identity->request, err);
    return code ? code : job_dir_hash(dir, data, identity->data, err);
}

int train_state_save(const struct trainer *trainer, const struct train_identity *identity,
                     double seconds, int dir, struct err *err)
{
    struct tensor_table table = {0};
    struct buf numbers, file;
    buf_init(&numbers, LIMIT_JSON_BYTES);
    buf_init(&file, STATE_BYTES);
    write_numbers(&numbers, trainer, identity, seconds);
    int code = trainer_export(trainer, &table);
    if (!code)
        code = numbers.failed ? numbers.failed : safetensors_write(&file, &table, numbers.data);
    if (code)
        err_set(err, (enum err_code)code, "", "the state of the training does not fit into memory");
    else
        code = job_dir_write(dir, JOB_DIR_STATE, JOB_DIR_PREVIOUS, &file, err);
    tensor_table_release(&table);
    buf_release(&numbers);
    buf_release(&file);
    return code;
}

static int import(struct trainer *trainer, struct state_numbers *numbers,
                  const struct safetensors *file, const struct train_identity *identity,
                  struct err *err)
{
    if (!file->advect)
        return err_set(err, ERR_FORMAT, "", "the state has no numbers");
    int code = read_numbers(numbers, file->advect, identity, err);
    if (!code && numbers->step > trainer->spec.steps)
        code = err_set(err, ERR_FORMAT, "step", "the state is past the end of the training");
    return code ? code : trainer_import(trainer, &file->table, err);
}

static bool load(struct trainer *trainer, const struct train_identity *identity, double *seconds,
                 int dir, const char *name)
{
    struct err err = {0};
    struct state_numbers numbers = {0};
    struct safetensors file = {0};
    struct buf bytes;
    buf_init(&bytes, STATE_BYTES);
    bool loaded =
        job_dir_read(dir, name, &bytes, &err) == 0 &&
        safetensors_read(&file, (const unsigned char *)bytes.data, bytes.size, &err) == 0 &&
        import(trainer, &numbers, &file, identity, &err) == 0;
    if (loaded) {
        trainer->step = numbers.step;
        trainer->best_step = numbers.best_step;
        trainer->best_loss = numbers.best_loss;
        *seconds = numbers.seconds;
    }
    safetensors_release(&file);
    buf_release(&bytes);
    return loaded;
}

bool train_state_load(struct trainer *trainer, const struct train_identity *identity,
                      double *seconds, int dir)
{
    return load(trainer, identity, seconds, dir, JOB_DIR_STATE) ||
           load(trainer, identity, seconds, dir, JOB_DIR_PREVIOUS);
}
