/* A network as a velocity field in the house's convention: t = 0 noise, t = 1 data, whatever
   convention it was trained in. */
#ifndef CORE_FLOW_MODEL_H
#define CORE_FLOW_MODEL_H

#include "core/flow/path.h"
#include "core/flow/tile.h"
#include "core/net/net.h"

enum prediction { PREDICTION_VELOCITY };
const char *prediction_name(enum prediction prediction);
bool prediction_find(const char *name, enum prediction *out);

/* What the weights alone do not say. */
struct model_spec {
    struct net_spec net; /* activation and time are stated; dim and hidden may come from the
                            weights */
    enum path_kind path;
    enum prediction prediction;
    int noise_at; /* the checkpoint's own time of noise: 0, or 1 (diffusers, sbi, openpi) */
};

/* Immutable once built. */
struct model {
    struct model_spec spec;
    struct net net;
};

void model_release(struct model *model);
/* u(x, t); for noise_at = 1 it is -net(x, 1 - t). The model stays borrowed. */
struct field model_field(const struct model *model);

#endif
