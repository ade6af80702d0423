#include "proto/model_codec.h"

#include "core/base/mem.h"
#include "core/net/weights.h"
#include "proto/json_write.h"
#include "proto/net_codec.h"
#include "proto/path_codec.h"
#include "proto/safetensors.h"
#include "proto/torch_file.h"

#include <stdio.h>
#include <string.h>

enum { WORD_TEXT = 64 };

/* Of "clamp". Below, 1 - clamp is 1 in float32 and what is divided by is noise. */
static const double clamp_min = 1e-6;
static const double clamp_max = 0.1;

static int read_prediction(enum prediction *out, struct json value, struct err *err)
{
    const char *text;
    if (!json_present(value))
        return 0;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && !prediction_find(text, out))
        code = err_set(err, ERR_INVALID, value.pointer,
                       "must be one of velocity, data, noise, score");
    return code;
}

static int read_noise_at(int *out, struct json value, struct err *err)
{
    int64_t noise_at;
    if (!json_present(value))
        return 0;
    int code = json_read_integer(value, 0, 1, &noise_at, err);
    if (!code)
        *out = (int)noise_at;
    return code;
}

static int read_path(struct model_spec *spec, struct json value, struct json noise_at,
                     struct err *err)
{
    int code = json_present(value) ? path_codec_read(&spec->path, value, err) : 0;
    if (!code && spec->path.kind == PATH_DDPM && spec->noise_at != 1)
        code = err_set(err, ERR_INVALID, noise_at.pointer,
                       "must be 1 on the path ddpm, whose steps count from the data to the noise");
    return code;
}

static int read_spec(struct model_spec *spec, struct json root, struct err *err)
{
    struct json clamp = json_get(root, "clamp");
    int code = net_codec_read_word(json_get(root, "network"), "mlp", err);
    if (!code)
        code = net_codec_read_activation(&spec->net.activation, json_get(root, "activation"), err);
    if (!code)
        code = net_codec_read_time(&spec->net.time, json_get(root, "time"), err);
    if (!code)
        code = read_noise_at(&spec->noise_at, json_get(root, "noise_at"), err);
    if (!code)
        code = read_prediction(&spec->prediction, json_get(root, "prediction"), err);
    if (!code && json_present(clamp))
        code = json_read_number(clamp, clamp_min, clamp_max, &spec->clamp, err);
    if (!code)
        code = read_path(spec, json_get(root, "path"), json_get(root, "noise_at"), err);
    return code;
}

static int read_columns(struct schema *schema, struct json value, struct err *err)
{
    if (!json_present(value))
        return 0;
    int code = schema_read(schema, value, err);
    if (!code && schema_width(schema) > LIMIT_DIM)
        code = err_set(err, ERR_INVALID, value.pointer, "take %zu numbers a row, at most %d may be",
                       schema_width(schema), LIMIT_DIM);
    return code;
}

/* The record is nobody's business but its reader's, so it is kept as text. */
static int read_training(char **out, struct json value, struct err *err)
{
    struct buf text;
    if (!json_present(value))
        return 0;
    if (!json_is_object(value))
        return err_set(err, ERR_INVALID, value.pointer, "must be an object");
    buf_init(&text, 2 * LIMIT_HEADER_BYTES); /* escapes may grow what was read */
    json_dump(value, &text);
    buf_char(&text, '\0');
    if (text.failed) {
        int code = text.failed;
        buf_release(&text);
        return err_set(err, (enum err_code)code, value.pointer, "there is no room for the record");
    }
    *out = text.data;
    return 0;
}

static int read_weights(char *out, struct json value, struct err *err)
{
    const char *text;
    if (!json_present(value))
        return 0;
    int code = json_read_string(value, LIMIT_TENSOR_NAME, &text, err);
    if (!code && !text[0])
        code = err_set(err, ERR_INVALID, value.pointer,
                       "must be the name below which the weights stand");
    if (!code)
        snprintf(out, LIMIT_TENSOR_NAME + 1, "%s", text);
    return code;
}

static int read_config(struct model_config *config, struct json root, struct err *err)
{
    static const char *const known[] = {"network", "activation", "time",  "noise_at",  "path",
                                        "prediction", "clamp",   "columns", "weights", "ema",
                                        "precision", "training", NULL};
    bool given;
    struct json ema = json_get(root, "ema");
    int code = json_object_check(root, known, err);
    if (!code)
        code = read_spec(&config->spec, root, err);
    if (!code)
        code = read_columns(&config->schema, json_get(root, "columns"), err);
    if (!code)
        code = read_weights(config->weights, json_get(root, "weights"), err);
    if (!code && json_present(ema))
        code = json_read_boolean(ema, &config->ema, err);
    if (!code)
        code = net_codec_read_precision(&config->precision, &given, json_get(root, "precision"),
                                        err);
    if (!code)
        code = read_training(&config->training, json_get(root, "training"), err);
    return code;
}

int model_config_decode(struct model_config *out, const char *text, size_t size, struct err *err)
{
    struct model_config config = {0};
    struct json_doc *doc;
    model_spec_init(&config.spec);
    int code = json_parse(&doc, text, size, LIMIT_HEADER_BYTES, err);
    if (code)
        return code;
    code = read_config(&config, json_root(doc), err);
    json_free(doc);
    if (code)
        model_config_release(&config);
    else
        *out = config;
    return code;
}

static void write_columns(struct json_writer *w, const struct schema *schema)
{
    struct buf text;
    buf_init(&text, w->out->limit);
    schema_write(&text, schema);
    if (text.failed)
        w->out->failed = text.failed;
    else
        json_write_raw(w, "columns", text.data, text.size);
    buf_release(&text);
}

void model_config_encode(struct buf *out, const struct model_config *config)
{
    const struct model_spec *spec = &config->spec;
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    json_write_string(&w, "network", "mlp");
    json_write_string(&w, "activation", activation_name(spec->net.activation));
    net_codec_write_time(&w, "time", &spec->net.time);
    json_write_integer(&w, "noise_at", spec->noise_at);
    json_write_string(&w, "prediction", prediction_name(spec->prediction));
    json_write_number(&w, "clamp", spec->clamp);
    path_codec_write(&w, "path", &spec->path);
    if (config->schema.count > 0)
        write_columns(&w, &config->schema);
    if (config->weights[0])
        json_write_string(&w, "weights", config->weights);
    json_write_boolean(&w, "ema", config->ema);
    json_write_string(&w, "precision", precision_name(config->precision));
    if (config->training)
        json_write_raw(&w, "training", config->training, strlen(config->training));
    json_close_object(&w);
}

void model_config_release(struct model_config *config)
{
    model_spec_release(&config->spec);
    schema_release(&config->schema);
    mem_free(config->training);
    *config = (struct model_config){0};
}

/* The one text that describes the weights: out of the file, or from beside it. */
static int choose_config(const char **text, const char *advect, const char *sidecar,
                         struct err *err)
{
    if (advect && sidecar && strcmp(advect, sidecar) != 0)
        return err_set(
            err, ERR_INVALID, "",
            "the checkpoint says in its metadata what it is, and what was sent beside it "
            "differs; leave the latter out");
    *text = advect ? advect : sidecar;
    if (*text)
        return 0;
    return err_set(
        err, ERR_INVALID, "",
        "the checkpoint does not say its activation and how time enters; send them in the "
        "header Advect-Config, for example {\"activation\": \"selu\", \"time\": "
        "{\"input\": \"last\"}}");
}

/* Syntax errors say which of the two texts they are in. */
static int decode_config(struct model_config *config, const char *text, bool from_file,
                         struct err *err)
{
    struct err cause = {0};
    char place[WORD_TEXT * 2];
    int code = model_config_decode(config, text, strlen(text), &cause);
    if (code != ERR_INVALID_JSON)
        return code ? err_set(err, cause.code, cause.where, "%s", cause.message) : 0;
    snprintf(place, sizeof place, "%s, %.64s", from_file ? "metadata" : "Advect-Config",
             cause.where[0] ? cause.where : "line 1");
    return err_set(err, from_file ? ERR_FORMAT : ERR_INVALID_JSON, place, "%s", cause.message);
}

static int complete_schema(struct model_config *config, struct err *err)
{
    size_t dim = config->spec.net.dim;
    if (config->schema.count == 0)
        return schema_plain(&config->schema, dim)
                   ? err_set(err, ERR_NOMEM, "", "not enough memory for %zu columns", dim)
                   : 0;
    size_t width = schema_width(&config->schema);
    if (width == dim)
        return 0;
    return err_set(err, ERR_INVALID, "/columns",
                   "take %zu numbers a row, but the network has dimension %zu", width, dim);
}

static int narrow(struct tensor_table *table, const char *weights, struct err *err)
{
    if (!weights[0] || tensor_table_narrow(table, weights))
        return 0;
    return err_set(err, ERR_INVALID, "/weights",
                   "the file has no tensors whose names begin with %s and a dot", weights);
}

static int load(struct model *model, struct model_config *config, struct safetensors *file,
                const char *sidecar, struct err *err)
{
    const char *text;
    int code = choose_config(&text, file->advect, sidecar, err);
    if (!code)
        code = decode_config(config, text, file->advect != NULL, err);
    if (!code)
        code = narrow(&file->table, config->weights, err);
    if (!code)
        code = weights_infer(&config->spec.net, &file->table, err);
    if (!code)
        code = complete_schema(config, err);
    if (!code)
        code = weights_load(&model->net, &config->spec.net, &file->table, err);
    return code;
}

int model_load(struct model *model, struct model_config *config, const unsigned char *bytes,
               size_t size, const char *sidecar, struct err *err)
{
    struct safetensors file;
    struct model_config found = {0};
    struct model loaded = {0};
    int code = safetensors_read(&file, bytes, size, err);
    if (code)
        return code;
    code = load(&loaded, &found, &file, sidecar, err);
    safetensors_release(&file);
    if (!code && model_spec_copy(&loaded.spec, &found.spec))
        code = err_set(err, ERR_NOMEM, "/path", "not enough memory for the path");
    if (code) {
        model_release(&loaded);
        model_config_release(&found);
        return code;
    }
    *model = loaded;
    *config = found;
    return 0;
}

static int write_converted(struct buf *out, const struct torch_file *file, const char *text,
                           struct err *err)
{
    int code = safetensors_write(out, &file->table, text);
    if (code == ERR_TOO_LARGE)
        return err_set(err, ERR_TOO_LARGE, "",
                       "as safetensors the file would have more than %llu bytes, or its names and "
                       "config more than %u",
                       LIMIT_CHECKPOINT_BYTES, LIMIT_HEADER_BYTES);
    return code ? err_set(err, ERR_NOMEM, "", "not enough memory for the tensors") : 0;
}

int model_convert(struct buf *out, const unsigned char *bytes, size_t size, const char *sidecar,
                  struct err *err)
{
    struct model_config config = {0};
    struct torch_file file;
    const char *text;
    int code = choose_config(&text, NULL, sidecar, err);
    if (!code)
        code = decode_config(&config, text, false, err);
    if (code)
        return code;
    code = torch_file_read(&file, bytes, size, config.weights, err);
    model_config_release(&config);
    if (code)
        return code;
    code = write_converted(out, &file, text, err);
    torch_file_release(&file);
    return code;
}
