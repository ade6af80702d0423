#include "core/train/spec.h"

#include "config/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The defaults were measured with tests/bench/bench_train_quality.c on four tables: 344 rows like
   the penguins (5 numbers, 3 categories), 4,000 rows like them, 1,000 rows of two moons, and 4,000
   rows of eight Gaussians. The sliced 1-Wasserstein distance to fresh rows, by learning rate and
   time: */
/*                                344   4,000  moons  Gaussians */
/*  the training rows themselves  .054  .015   .027   .029      */
/*  1e-3, t itself                .062  .023   .062   .080      */
/*  1e-3, 4 Fourier               .058  .029   .064   .075      */
/*  3e-3, t itself                .056  .025   .032   .052      */
/*  3e-3, 4 Fourier               .056  .025   .031   .043      */
/*  5e-3, 4 Fourier               .057  .024   .031   .042      */
/*  1e-2, 4 Fourier               .059  .022   .032   .049      */
/* At the defaults means are within .02 standard deviations, standard deviations within 3 %, levels
   within 3 points; samples come as near to training rows as fresh rows do (1.1, 1.3, 1.0 and 0.9
   times); at 1e-2 the small table is partly learnt by heart (0.88). */
void train_spec_init(struct train_spec *spec)
{
    *spec = (struct train_spec){
        .net =
            {
                .activation = ACTIVATION_SILU,
                .time = {.input = TIME_FOURIER,
                         .scale = 1.0,
                         .frequency_count = 4,
                         .frequencies = {0.5, 1.0, 1.5, 2.0}},
                .hidden_count = 3,
                .hidden = {128, 128, 128},
            },
        .path = {.kind = PATH_LINEAR},
        .steps = 4000,
        .batch_size = 256,
        .optimizer =
            {
                .learning_rate = 3e-3,
                .beta1 = 0.9,
                .beta2 = 0.999,
                .epsilon = 1e-8,
                .weight_decay = 0.01,
                .clip = 1.0,
                .warmup = 100,
                .final_ratio = 0.01,
            },
        .ema_decay = 0.999,
        .validation_fraction = 0.1,
        .validation_every = 100,
    };
}

/* One number with its closed range. */
struct range {
    const char *where;
    double value;
    double low;
    double high;
};

static int range_check(const struct range *ranges, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct range *range = &ranges[i];
        if (!(range->value >= range->low && range->value <= range->high))
            return err_set(err, ERR_INVALID, range->where, "must be %.9g to %.9g", range->low,
                           range->high);
    }
    return 0;
}

/* net_spec_check has the pointers of a checkpoint, where time stands beside the network. */
static int net_check(const struct net_spec *net, struct err *err)
{
    struct err found = {0};
    char where[sizeof found.where + sizeof "/network"];
    int code = net_spec_check(net, &found);
    if (!code)
        return 0;
    bool inside = strncmp(found.where, "/time/", strlen("/time/")) == 0;
    snprintf(where, sizeof where, "%s%s", inside ? "/network" : "", found.where);
    return err_set(err, found.code, where, "%s", found.message);
}

int train_spec_check(const struct train_spec *spec, struct err *err)
{
    const double below_one = 1.0 - 1e-9;
    const struct optimizer_spec *optimizer = &spec->optimizer;
    const struct range ranges[] = {
        {"/steps", (double)spec->steps, 1, (double)LIMIT_TRAIN_STEPS},
        {"/batch_size", (double)spec->batch_size, 1, LIMIT_BATCH},
        {"/optimizer/learning_rate", optimizer->learning_rate, 1e-12, 10},
        {"/optimizer/beta1", optimizer->beta1, 0, below_one},
        {"/optimizer/beta2", optimizer->beta2, 0, below_one},
        {"/optimizer/epsilon", optimizer->epsilon, 1e-30, 1},
        {"/optimizer/weight_decay", optimizer->weight_decay, 0, 10},
        {"/optimizer/clip", optimizer->clip, 0, 1e6},
        {"/optimizer/warmup", (double)optimizer->warmup, 0, (double)LIMIT_TRAIN_STEPS},
        {"/optimizer/final_ratio", optimizer->final_ratio, 0, 1},
        {"/ema", spec->ema_decay, 0, below_one},
        {"/validation/fraction", spec->validation_fraction, 0, 0.5},
        {"/validation/every", (double)spec->validation_every, 1, (double)LIMIT_TRAIN_STEPS},
    };
    struct net_spec net = spec->net;
    if (net.dim == 0)
        net.dim = 1; /* the data are not known yet */
    if (spec->path.kind != PATH_LINEAR)
        return err_set(err, ERR_INVALID, "/path",
                       "must be linear; no other path can be trained on");
    int code = range_check(ranges, sizeof ranges / sizeof ranges[0], err);
    return code ? code : net_check(&net, err);
}
