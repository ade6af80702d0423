#include "core/train/trainer.h"

#include "core/base/check.h"
#include "core/linalg/rng.h"
#include "core/net/backprop.h"
#include "core/net/net.h"
#include "core/net/weights.h"
#include "core/train/batch.h"
#include "core/train/loss.h"
#include "core/train/optimizer.h"

#include <math.h>
#include <string.h>

/* With fewer rows a held-out one says nothing, and training misses it. */
enum { SPLIT_ROWS_MIN = 10 };

static void *trainer_take(struct trainer *trainer, size_t *bytes, size_t count, size_t size)
{
    *bytes += arena_bytes(count, size);
    return trainer->arena.base ? arena_take(&trainer->arena, count, size) : NULL;
}

/* Takes the arrays from the arena, or only adds up their bytes when there is none yet. */
static size_t trainer_carve(struct trainer *trainer)
{
    const struct train_spec *spec = &trainer->spec;
    size_t values = spec->batch_size * spec->net.dim;
    size_t bytes = 0;
    float **const per_parameter[] = {&trainer->params, &trainer->ema,  &trainer->m,
                                     &trainer->v,      &trainer->best, &trainer->grad};
    float **const per_value[] = {&trainer->batch_x, &trainer->batch_v, &trainer->out};
    for (size_t i = 0; i < sizeof per_parameter / sizeof per_parameter[0]; i++)
        *per_parameter[i] = trainer_take(trainer, &bytes, trainer->param_count, sizeof(float));
    for (size_t i = 0; i < sizeof per_value / sizeof per_value[0]; i++)
        *per_value[i] = trainer_take(trainer, &bytes, values, sizeof(float));
    trainer->batch_t = trainer_take(trainer, &bytes, spec->batch_size, sizeof(float));
    trainer->cache =
        trainer_take(trainer, &bytes, backprop_cache(&spec->net, spec->batch_size), sizeof(float));
    trainer->order = trainer_take(trainer, &bytes, trainer->row_count, sizeof(uint32_t));
    return bytes;
}

/* Shuffles the rows (Fisher and Yates) and holds out the last ones. */
static void trainer_split(struct trainer *trainer)
{
    const struct rng_key key = {.seed = trainer->spec.seed, .stream = RNG_SPLIT};
    size_t count = trainer->row_count;
    double held = floor(trainer->spec.validation_fraction * (double)count);
    for (size_t i = 0; i < count; i++)
        trainer->order[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = (size_t)rng_below(key, i, i + 1);
        uint32_t kept = trainer->order[i];
        trainer->order[i] = trainer->order[j];
        trainer->order[j] = kept;
    }
    if (count < SPLIT_ROWS_MIN)
        held = 0.0;
    if (held > TRAINER_HELD_OUT_MAX)
        held = TRAINER_HELD_OUT_MAX;
    trainer->train_count = count - (size_t)held;
}

static int trainer_check_rows(const float *rows, size_t row_count, size_t dim, struct err *err)
{
    if (row_count < 1 || row_count > UINT32_MAX)
        return err_set(err, ERR_INVALID, "", "there must be 1 to %u rows to train on, got %zu",
                       UINT32_MAX, row_count);
    for (size_t i = 0; i < row_count * dim; i++) {
        if (!isfinite(rows[i]))
            return err_set(err, ERR_INVALID, "", "row %zu of the data is not finite", i / dim);
    }
    return 0;
}

int trainer_init(struct trainer *trainer, const struct train_spec *spec, const float *rows,
                 size_t row_count, struct err *err)
{
    *trainer = (struct trainer){0};
    int code = train_spec_check(spec, err);
    if (!code)
        code = net_spec_check(&spec->net, err);
    if (!code)
        code = trainer_check_rows(rows, row_count, spec->net.dim, err);
    if (code)
        return code;
    trainer->spec = *spec;
    trainer->param_count = net_spec_parameters(&spec->net);
    trainer->rows = rows;
    trainer->row_count = row_count;
    trainer->best_loss = (double)INFINITY;
    size_t bytes = trainer_carve(trainer);
    if (arena_init(&trainer->arena, bytes)) {
        trainer_release(trainer);
        return err_set(err, ERR_NOMEM, "", "training needs %zu bytes, which are not there", bytes);
    }
    trainer_carve(trainer);
    trainer_split(trainer);
    net_randomize(trainer->params, &spec->net, spec->seed);
    memcpy(trainer->ema, trainer->params, trainer->param_count * sizeof *trainer->ema);
    return 0;
}

void trainer_release(struct trainer *trainer)
{
    arena_release(&trainer->arena);
    *trainer = (struct trainer){0};
}

static struct batch trainer_batch(const struct trainer *trainer, size_t size)
{
    return (struct batch){
        .x = trainer->batch_x,
        .v = trainer->batch_v,
        .t = trainer->batch_t,
        .size = size,
    };
}

static struct loss_scratch trainer_scratch(const struct trainer *trainer)
{
    return (struct loss_scratch){.out = trainer->out, .cache = trainer->cache};
}

static struct batch_source trainer_source(const struct trainer *trainer, size_t first, size_t count)
{
    return (struct batch_source){
        .seed = trainer->spec.seed,
        .path = &trainer->spec.path,
        .dim = trainer->spec.net.dim,
        .rows = trainer->rows,
        .order = trainer->order + first,
        .count = count,
    };
}

int trainer_step(struct trainer *trainer, double *loss)
{
    const struct batch batch = trainer_batch(trainer, trainer->spec.batch_size);
    const struct batch_source source = trainer_source(trainer, 0, trainer->train_count);
    const struct loss_scratch scratch = trainer_scratch(trainer);
    const struct optimizer_state state = {
        .params = trainer->params,
        .m = trainer->m,
        .v = trainer->v,
        .ema = trainer->spec.ema_decay > 0.0 ? trainer->ema : NULL,
    };
    batch_draw(&batch, &source, trainer->step);
    *loss = loss_gradient(trainer->grad, &trainer->spec.net, trainer->params, &batch, &scratch);
    double norm = optimizer_norm(trainer->grad, trainer->param_count);
    if (!isfinite(*loss) || !isfinite(norm))
        return ERR_NON_FINITE;
    optimizer_update(&state, trainer->grad, &trainer->spec, trainer->step, norm);
    trainer->step++;
    return 0;
}

double trainer_validate(struct trainer *trainer)
{
    size_t held = trainer->row_count - trainer->train_count;
    const struct batch_source source = trainer_source(trainer, trainer->train_count, held);
    const struct loss_scratch scratch = trainer_scratch(trainer);
    const float *weights = trainer_weights(trainer);
    if (held == 0)
        return (double)NAN;
    size_t pairs = held * VALIDATION_TIMES;
    size_t total = (TRAINER_VALIDATION_PAIRS + pairs - 1) / pairs * pairs;
    double sum = 0.0;
    for (size_t done = 0; done < total;) {
        size_t left = total - done;
        size_t size = left < trainer->spec.batch_size ? left : trainer->spec.batch_size;
        const struct batch batch = trainer_batch(trainer, size);
        batch_fixed(&batch, &source, done);
        sum += loss_value(&trainer->spec.net, weights, &batch, &scratch) * (double)size;
        done += size;
    }
    double loss = sum / (double)total;
    if (loss < trainer->best_loss) {
        trainer->best_loss = loss;
        trainer->best_step = trainer->step;
        memcpy(trainer->best, weights, trainer->param_count * sizeof *weights);
    }
    return loss;
}

const float *trainer_weights(const struct trainer *trainer)
{
    return trainer->spec.ema_decay > 0.0 ? trainer->ema : trainer->params;
}

double trainer_learning_rate(const struct trainer *trainer, uint64_t step)
{
    return optimizer_learning_rate(&trainer->spec.optimizer, step, trainer->spec.steps);
}

int trainer_export(const struct trainer *trainer, struct tensor_table *table)
{
    const struct {
        const char *prefix;
        const float *values;
    } parts[] = {
        {"model.", trainer->params},  {"ema.", trainer->ema},   {"optimizer.m.", trainer->m},
        {"optimizer.v.", trainer->v}, {"best.", trainer->best},
    };
    *table = (struct tensor_table){0};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int code = weights_export(table, parts[i].prefix, &trainer->spec.net, parts[i].values);
        if (code) {
            tensor_table_release(table);
            return code;
        }
    }
    return 0;
}

static bool tensor_is_finite(const struct tensor *tensor)
{
    for (size_t i = 0; i < tensor->count; i++) {
        float value;
        memcpy(&value, tensor->data + i * sizeof value, sizeof value);
        if (!isfinite(value))
            return false;
    }
    return true;
}

static int tensor_check(const struct tensor *tensor, const struct tensor *own, struct err *err)
{
    if (!tensor)
        return err_set(err, ERR_FORMAT, own->name, "is missing from the state of the training");
    if (tensor->dtype != DTYPE_F32 || tensor->rank != own->rank ||
        memcmp(tensor->shape, own->shape, own->rank * sizeof *own->shape) != 0)
        return err_set(err, ERR_FORMAT, own->name, "does not have the shape of this network");
    if (!tensor_is_finite(tensor))
        return err_set(err, ERR_FORMAT, own->name, "holds a number that is not finite");
    return 0;
}

/* own: views of the trainer's arrays, so that to read into them is to import. */
static int trainer_read(const struct tensor_table *own, const struct tensor_table *table,
                        struct err *err)
{
    for (size_t i = 0; i < own->count; i++) {
        const struct tensor *to = &own->tensors[i];
        int code = tensor_check(tensor_table_find(table, to->name), to, err);
        if (code)
            return code;
    }
    for (size_t i = 0; i < own->count; i++) {
        const struct tensor *to = &own->tensors[i];
        const struct tensor *from = tensor_table_find(table, to->name);
        memmove((unsigned char *)to->data, from->data, to->count * sizeof(float));
    }
    return 0;
}

int trainer_import(struct trainer *trainer, const struct tensor_table *table, struct err *err)
{
    struct tensor_table own;
    int code = trainer_export(trainer, &own);
    if (code)
        return err_set(err, (enum err_code)code, "", "there is no memory to read the state");
    code = trainer_read(&own, table, err);
    tensor_table_release(&own);
    return code;
}
