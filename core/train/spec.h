/* What to train: plain data with defaults that were measured. */
#ifndef CORE_TRAIN_SPEC_H
#define CORE_TRAIN_SPEC_H

#include "core/flow/path.h"
#include "core/net/spec.h"

#include <stdint.h>

struct optimizer_spec {
    double learning_rate; /* peak */
    double beta1, beta2, epsilon;
    double weight_decay; /* decoupled (AdamW); on weight matrices, not biases */
    double clip;         /* global norm of the gradient; 0 = off */
    uint64_t warmup;     /* steps of linear warm-up, then cosine decay to final_ratio * peak */
    double final_ratio;
};

struct train_spec {
    struct net_spec net; /* dim is filled in from the data */
    struct path path; /* linear */
    uint64_t steps;
    size_t batch_size;
    struct optimizer_spec optimizer;
    double ema_decay;           /* 0 = off; warmed up as min(decay, (1 + n) / (10 + n)) */
    double validation_fraction; /* of the rows, held out; 0 = none */
    uint64_t validation_every;  /* steps between validation losses */
    uint64_t seed;
};

/* Every field but net.dim. */
void train_spec_init(struct train_spec *spec);
/* 0 or ERR_INVALID naming the field ("/optimizer/learning_rate"). */
int train_spec_check(const struct train_spec *spec, struct err *err);

#endif
