#include "proto/request_codec.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/json_write.h"
#include "proto/net_codec.h"

#include <stddef.h>
#include <string.h>

enum { WORD_TEXT = 32 };

#define DECAY_MAX 0.999999999 /* of a moving average, which must forget */

/* The numbers of the optimizer, their ranges and where they stand. */
static const struct number_field {
    const char *name;
    size_t offset;
    double min, max;
} optimizer_fields[] = {
    {"learning_rate", offsetof(struct optimizer_spec, learning_rate), 1e-12, 10},
    {"beta1", offsetof(struct optimizer_spec, beta1), 0, DECAY_MAX},
    {"beta2", offsetof(struct optimizer_spec, beta2), 0, DECAY_MAX},
    {"epsilon", offsetof(struct optimizer_spec, epsilon), 1e-30, 1},
    {"weight_decay", offsetof(struct optimizer_spec, weight_decay), 0, 10},
    {"clip", offsetof(struct optimizer_spec, clip), 0, 1e6},
    {"final_ratio", offsetof(struct optimizer_spec, final_ratio), 0, 1},
};
enum { OPTIMIZER_FIELDS = sizeof optimizer_fields / sizeof optimizer_fields[0] };

/* Reading. Every field that is absent keeps its default. */

static int read_whole(struct json value, int64_t max, uint64_t *out, struct err *err)
{
    int64_t whole;
    if (!json_present(value))
        return 0;
    int code = json_read_integer(value, 1, max, &whole, err);
    if (!code)
        *out = (uint64_t)whole;
    return code;
}

static int read_fraction(struct json value, double max, double *out, struct err *err)
{
    return json_present(value) ? json_read_number(value, 0, max, out, err) : 0;
}

static int read_hidden(struct net_spec *net, struct json value, struct err *err)
{
    size_t count = json_length(value);
    if (!json_present(value))
        return 0;
    if (!json_is_array(value) || count < 1 || count > LIMIT_LAYERS)
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be an array of the widths of 1 to %d hidden layers", LIMIT_LAYERS);
    for (size_t i = 0; i < count; i++) {
        int64_t width;
        int code = json_read_integer(json_at(value, i), 1, LIMIT_LAYER_WIDTH, &width, err);
        if (code)
            return code;
        net->hidden[i] = (size_t)width;
    }
    net->hidden_count = count;
    return 0;
}

static int read_network(struct net_spec *net, struct json value, struct err *err)
{
    static const char *const known[] = {"kind", "hidden", "activation", "time", NULL};
    struct json activation = json_get(value, "activation"), time = json_get(value, "time");
    if (!json_present(value))
        return 0;
    int code = json_object_check(value, known, err);
    if (!code)
        code = net_codec_read_word(json_get(value, "kind"), "mlp", err);
    if (!code)
        code = read_hidden(net, json_get(value, "hidden"), err);
    if (!code && json_present(activation))
        code = net_codec_read_activation(&net->activation, activation, err);
    if (!code && json_present(time))
        code = net_codec_read_time(&net->time, time, err);
    return code;
}

static double *optimizer_number(struct optimizer_spec *optimizer, size_t i)
{
    return (double *)(void *)((char *)optimizer + optimizer_fields[i].offset);
}

static int read_optimizer(struct optimizer_spec *optimizer, struct json value, struct err *err)
{
    static const char *const known[] = {"learning_rate", "beta1",        "beta2",
                                        "epsilon",       "weight_decay", "clip",
                                        "warmup",        "final_ratio",  NULL};
    struct json warmup = json_get(value, "warmup");
    if (!json_present(value))
        return 0;
    int code = json_object_check(value, known, err);
    for (size_t i = 0; i < OPTIMIZER_FIELDS && !code; i++) {
        const struct number_field *field = &optimizer_fields[i];
        struct json member = json_get(value, field->name);
        if (json_present(member))
            code = json_read_number(member, field->min, field->max, optimizer_number(optimizer, i),
                                    err);
    }
    int64_t steps = (int64_t)optimizer->warmup;
    if (!code && json_present(warmup))
        code = json_read_integer(warmup, 0, (int64_t)LIMIT_TRAIN_STEPS, &steps, err);
    if (!code)
        optimizer->warmup = (uint64_t)steps;
    return code;
}

/* {"decay": 0.999}, or false. */
static int read_ema(double *decay, struct json value, struct err *err)
{
    static const char *const known[] = {"decay", NULL};
    bool on = true;
    if (!json_present(value))
        return 0;
    if (json_is_boolean(value))
        json_read_boolean(value, &on, err);
    if (!on) {
        *decay = 0;
        return 0;
    }
    if (!json_is_object(value))
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be false or an object such as {\"decay\": 0.999}");
    int code = json_object_check(value, known, err);
    return code ? code : read_fraction(json_get(value, "decay"), DECAY_MAX, decay, err);
}

static int read_validation(struct train_spec *spec, struct json value, struct err *err)
{
    static const char *const known[] = {"fraction", "every", NULL};
    if (!json_present(value))
        return 0;
    int code = json_object_check(value, known, err);
    if (!code)
        code = read_fraction(json_get(value, "fraction"), 0.5, &spec->validation_fraction, err);
    if (!code)
        code = read_whole(json_get(value, "every"), (int64_t)LIMIT_TRAIN_STEPS,
                          &spec->validation_every, err);
    return code;
}

static int read_path(struct path *path, struct json value, struct err *err)
{
    const char *text;
    if (!json_present(value))
        return 0;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && !path_find(text, &path->kind))
        code = err_set(err, ERR_INVALID, value.pointer, "must be %s", path_name(PATH_LINEAR));
    return code;
}

static int read_spec(struct train_spec *spec, struct json root, struct err *err)
{
    uint64_t batch_size = spec->batch_size;
    int code = read_network(&spec->net, json_get(root, "network"), err);
    if (!code)
        code = read_path(&spec->path, json_get(root, "path"), err);
    if (!code)
        code = read_whole(json_get(root, "steps"), (int64_t)LIMIT_TRAIN_STEPS, &spec->steps, err);
    if (!code)
        code = read_whole(json_get(root, "batch_size"), LIMIT_BATCH, &batch_size, err);
    if (!code)
        code = read_optimizer(&spec->optimizer, json_get(root, "optimizer"), err);
    if (!code)
        code = read_ema(&spec->ema_decay, json_get(root, "ema"), err);
    if (!code)
        code = read_validation(spec, json_get(root, "validation"), err);
    spec->batch_size = (size_t)batch_size;
    return code ? code : train_spec_check(spec, err);
}

static int read_missing(enum missing_policy *out, struct json value, struct err *err)
{
    const char *text;
    if (!json_present(value))
        return 0;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && !missing_policy_find(text, out))
        code = err_set(err, ERR_INVALID, value.pointer, "must be drop or impute");
    return code;
}

static int read_override(struct column_override *column, const char *name, struct json value,
                         struct err *err)
{
    const char *text;
    size_t length = strlen(name);
    if (length < 1 || length > LIMIT_COLUMN_NAME)
        return err_set(err, ERR_INVALID, value.pointer, "a column has a name of 1 to %d bytes",
                       LIMIT_COLUMN_NAME);
    memcpy(column->name, name, length + 1);
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && !column_kind_find(text, &column->kind))
        code = err_set(err, ERR_INVALID, value.pointer, "must be numeric, integer or categorical");
    return code;
}

static int read_columns(struct train_request *request, struct json value, struct err *err)
{
    static const char *const none[] = {NULL};
    size_t count = json_length(value);
    const char *name;
    int code = 0;
    if (!json_present(value))
        return 0;
    if (!json_is_object(value))
        return json_object_check(value, none, err);
    if (count > LIMIT_CSV_COLUMNS)
        return err_set(err, ERR_INVALID, value.pointer, "may name at most %d columns, got %zu",
                       LIMIT_CSV_COLUMNS, count);
    request->columns = mem_zalloc(count, sizeof *request->columns);
    if (!request->columns)
        return err_set(err, ERR_NOMEM, value.pointer, "not enough memory for the columns");
    for (void *at = NULL; !code && json_next(value, &at, &name);)
        code = read_override(&request->columns[request->column_count++], name,
                             json_get(value, name), err);
    return code;
}

static int read_names(struct train_request *request, struct json root, struct err *err)
{
    struct json model = json_get(root, "model");
    int code = json_read_name(json_get(root, "dataset"), request->dataset, err);
    if (!code && json_present(model))
        code = json_read_name(model, request->model, err);
    else if (!code)
        memcpy(request->model, request->dataset, sizeof request->model);
    return code;
}

static int read_request(struct train_request *request, struct json root, struct err *err)
{
    static const char *const known[] = {"dataset",    "model",     "network", "path",       "steps",
                                        "batch_size", "optimizer", "ema",     "validation", "seed",
                                        "missing",    "columns",   NULL};
    struct json seed = json_get(root, "seed");
    int code = json_object_check(root, known, err);
    if (!code)
        code = read_names(request, root, err);
    if (!code)
        code = read_spec(&request->spec, root, err);
    if (!code && json_present(seed)) {
        code = json_read_seed(seed, &request->spec.seed, err);
        request->has_seed = true;
    }
    if (!code)
        code = read_missing(&request->missing, json_get(root, "missing"), err);
    if (!code)
        code = read_columns(request, json_get(root, "columns"), err);
    return code;
}

int train_request_decode(struct train_request *out, const char *body, size_t size, struct err *err)
{
    struct train_request request = {.missing = MISSING_DROP};
    struct json_doc *doc;
    int code = json_parse(&doc, body, size, LIMIT_JSON_BYTES, err);
    if (code)
        return code;
    train_spec_init(&request.spec);
    code = read_request(&request, json_root(doc), err);
    json_free(doc);
    if (code)
        train_request_release(&request);
    else
        *out = request;
    return code;
}

void train_request_release(struct train_request *request)
{
    mem_free(request->columns);
    request->columns = NULL;
    request->column_count = 0;
}

/* Writing. */

static void write_network(struct json_writer *w, const struct net_spec *net)
{
    json_open_object(w, "network");
    json_write_string(w, "kind", "mlp");
    json_open_array(w, "hidden");
    for (size_t i = 0; i < net->hidden_count; i++)
        json_write_unsigned(w, NULL, net->hidden[i]);
    json_close_array(w);
    json_write_string(w, "activation", activation_name(net->activation));
    net_codec_write_time(w, "time", &net->time);
    json_close_object(w);
}

static void write_optimizer(struct json_writer *w, struct optimizer_spec optimizer)
{
    json_open_object(w, "optimizer");
    for (size_t i = 0; i < OPTIMIZER_FIELDS; i++)
        json_write_number(w, optimizer_fields[i].name, *optimizer_number(&optimizer, i));
    json_write_unsigned(w, "warmup", optimizer.warmup);
    json_close_object(w);
}

static void write_ema(struct json_writer *w, double decay)
{
    if (decay == 0) {
        json_write_boolean(w, "ema", false);
        return;
    }
    json_open_object(w, "ema");
    json_write_number(w, "decay", decay);
    json_close_object(w);
}

static void write_spec(struct json_writer *w, const struct train_spec *spec)
{
    write_network(w, &spec->net);
    json_write_string(w, "path", path_name(spec->path.kind));
    json_write_unsigned(w, "steps", spec->steps);
    json_write_unsigned(w, "batch_size", spec->batch_size);
    write_optimizer(w, spec->optimizer);
    write_ema(w, spec->ema_decay);
    json_open_object(w, "validation");
    json_write_number(w, "fraction", spec->validation_fraction);
    json_write_unsigned(w, "every", spec->validation_every);
    json_close_object(w);
}

void train_request_encode(struct buf *out, const struct train_request *request)
{
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    json_write_string(&w, "dataset", request->dataset);
    json_write_string(&w, "model", request->model);
    write_spec(&w, &request->spec);
    if (request->has_seed)
        json_write_seed(&w, "seed", request->spec.seed);
    json_write_string(&w, "missing", missing_policy_name(request->missing));
    json_open_object(&w, "columns");
    for (size_t i = 0; i < request->column_count; i++)
        json_write_string(&w, request->columns[i].name, column_kind_name(request->columns[i].kind));
    json_close_object(&w);
    json_close_object(&w);
}
