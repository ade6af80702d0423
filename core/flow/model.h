/* A network as a velocity field in the house's convention: t = 0 noise, t = 1 data, whatever
   convention it was trained in and whatever it predicts. */
#ifndef CORE_FLOW_MODEL_H
#define CORE_FLOW_MODEL_H

#include "core/flow/prediction.h"
#include "core/flow/tile.h"
#include "core/net/net.h"

/* Time next to a singular end that is frozen, where a checkpoint says nothing else. */
#define MODEL_CLAMP 1e-3

/* What the weights alone do not say. */
struct model_spec {
    struct net_spec net; /* activation and time are stated; dim and hidden may come from the
                            weights */
    struct path path;    /* owned */
    enum prediction prediction;
    int noise_at; /* the checkpoint's own time of noise: 0, or 1 (diffusers, sbi, openpi) */
    double clamp; /* of prediction_map */
};

/* The linear path, velocity, noise at 0, MODEL_CLAMP; net is left zero. */
void model_spec_init(struct model_spec *spec);
/* 0, ERR_NOMEM. Deep. */
int model_spec_copy(struct model_spec *to, const struct model_spec *from);
void model_spec_release(struct model_spec *spec);

/* Immutable once built. */
struct model {
    struct model_spec spec; /* owned */
    struct net net;
};

void model_release(struct model *model);
/* The network's prediction as another: u(x, t), or the data, noise or score at (x, t). A network
   with noise_at = 1 sees 1 - t, and a velocity of it is that of its own time. The model stays
   borrowed. */
struct field model_output(const struct model *model, enum prediction output);
/* model_output of the velocity. */
struct field model_field(const struct model *model);

#endif
