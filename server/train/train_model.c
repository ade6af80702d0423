#include "server/train/train_model.h"

#include "core/base/mem.h"
#include "core/linalg/mat.h"
#include "core/net/weights.h"
#include "proto/json_write.h"
#include "proto/model_codec.h"
#include "proto/safetensors.h"
#include "server/train/job_dir.h"

#include <math.h>

static void write_record(struct buf *out, const struct train_model *result)
{
    const struct trainer *trainer = result->trainer;
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    json_write_string(&w, "dataset", result->request->dataset);
    json_write_unsigned(&w, "rows", result->data->schema.rows);
    json_write_unsigned(&w, "rows_used", result->data->count);
    json_write_unsigned(&w, "rows_dropped", result->data->dropped);
    json_write_unsigned(&w, "rows_imputed", result->data->imputed);
    json_write_unsigned(&w, "steps", trainer->step);
    json_write_unsigned(&w, "batch_size", trainer->spec.batch_size);
    json_write_seed(&w, "seed", trainer->spec.seed);
    json_write_number(&w, "loss", result->tally->loss);
    json_write_number(&w, "validation_loss", result->tally->validation);
    json_write_number(&w, "best_validation_loss", trainer->best_loss);
    if (isfinite(trainer->best_loss))
        json_write_unsigned(&w, "best_step", trainer->best_step);
    json_write_string(&w, "weights", isfinite(trainer->best_loss) ? "best" : "last");
    json_write_number(&w, "seconds", result->seconds);
    json_write_string(&w, "trained_by", "advectd " ADVECTD_VERSION);
    json_write_string(&w, "blas", mat_backend());
    json_close_object(&w);
    buf_char(out, '\0');
}

static void write_config(struct buf *out, const struct train_model *result, char *record)
{
    const struct train_spec *spec = &result->trainer->spec;
    struct model_config config = {
        .schema = result->data->schema,
        .ema = spec->ema_decay > 0,
        .training = record,
    };
    model_spec_init(&config.spec); /* as train_spec_check demands */
    config.spec.net = spec->net;
    model_config_encode(out, &config);
    buf_char(out, '\0');
}

int train_model_write(const struct train_model *result, int dir, const char *name, struct err *err)
{
    const struct trainer *trainer = result->trainer;
    const float *weights = isfinite(trainer->best_loss) ? trainer->best : trainer_weights(trainer);
    struct tensor_table table = {0};
    struct buf record, config, file;
    buf_init(&record, LIMIT_JSON_BYTES);
    buf_init(&config, LIMIT_HEADER_BYTES);
    buf_init(&file, LIMIT_CHECKPOINT_BYTES);
    write_record(&record, result);
    if (!record.failed)
        write_config(&config, result, record.data);
    int code = record.failed ? record.failed : config.failed;
    if (!code)
        code = weights_export(&table, "", &trainer->spec.net, weights);
    if (!code)
        code = safetensors_write(&file, &table, config.data);
    if (code)
        err_set(err, (enum err_code)code, "", "the trained model does not fit into a checkpoint");
    else
        code = job_dir_write(dir, name, NULL, &file, err);
    tensor_table_release(&table);
    buf_release(&record);
    buf_release(&config);
    buf_release(&file);
    return code;
}
