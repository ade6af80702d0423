/* The linear flow matching trainer (Lipman et al. 2023): minimises E || u(t x1 + (1 - t) x0, t)
   - (x1 - x0) ||^2 over data rows x1, noise x0 and times t. Its state is plain data; batch,
   noise and times of step n are pure functions of (seed, n), so that a run that goes on from a
   saved state ends with the same bits as one that never stopped. One thread. */
#ifndef CORE_TRAIN_TRAINER_H
#define CORE_TRAIN_TRAINER_H

#include "core/base/arena.h"
#include "core/net/tensor.h"
#include "core/train/spec.h"

enum {
    TRAINER_HELD_OUT_MAX = 2048,     /* rows; more make validation slower, not better */
    TRAINER_VALIDATION_PAIRS = 4096, /* at least so many (x1, x0, t) make a validation loss */
};

struct trainer {
    struct train_spec spec;
    uint64_t step;    /* steps done */
    float *params;    /* [parameters] */
    float *ema;       /* [parameters]: exponential moving average, what is served when EMA is
                         on */
    float *m, *v;     /* [parameters] Adam's moments */
    float *best;      /* [parameters] served weights at the lowest validation loss so far */
    double best_loss; /* INFINITY before the first validation */
    uint64_t best_step;
    size_t param_count;
    const float *rows; /* [row_count, dim] borrowed: encoded data */
    size_t row_count;
    size_t train_count; /* rows used for training; the others are held out */
    uint32_t *order;    /* [row_count] training rows first, then held-out ones */
    float *grad, *batch_x, *batch_v, *batch_t, *out, *cache; /* scratch */
    struct arena arena;                                      /* owns every array but rows */
};

/* rows: [row_count, spec->net.dim] borrowed until release. 0, ERR_NOMEM, ERR_INVALID. */
int trainer_init(struct trainer *trainer, const struct train_spec *spec, const float *rows,
                 size_t row_count, struct err *err);
void trainer_release(struct trainer *trainer);

/* One step. *loss: mean over the batch of the squared error a dimension, before the update. 0,
   or ERR_NON_FINITE: the loss or the gradient left the finite numbers and nothing was changed. */
int trainer_step(struct trainer *trainer, double *loss);
/* Loss of the weights that would be served on held-out rows, at fixed times and fixed noise; keeps
   the best weights. NAN when nothing is held out. */
double trainer_validate(struct trainer *trainer);
/* The weights as they stand: the EMA if on, else the parameters. Borrowed. Where rows are held out,
   serve `best` instead: at the default length of training the two are the same, and a training four
   times as long learns a table of 344 rows by heart (its samples come 0.82 times as near to
   training rows as fresh rows do; those of the best weights, from step 5,800 of 16,000, 0.93
   times). */
const float *trainer_weights(const struct trainer *trainer);
double trainer_learning_rate(const struct trainer *trainer, uint64_t step);

/* The whole state as named tensors ("model.net.0.weight", "ema...", "optimizer.m...", "best..."),
   borrowed views; and back. `step`, `best_step`, `best_loss` travel beside it as numbers.
   0, ERR_NOMEM, ERR_FORMAT (a tensor is missing or misshapen). */
int trainer_export(const struct trainer *trainer, struct tensor_table *table);
int trainer_import(struct trainer *trainer, const struct tensor_table *table, struct err *err);

#endif
