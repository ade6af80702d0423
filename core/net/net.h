/* The velocity network as it is served: immutable weights, packed for the tile kernels. */
#ifndef CORE_NET_NET_H
#define CORE_NET_NET_H

#include "core/linalg/simd.h"
#include "core/net/spec.h"

#include <stdbool.h>
#include <stdint.h>

struct net {
    struct net_spec spec;
    double turns[LIMIT_TIME_FREQUENCIES]; /* of time_spec_turns */
    float *params;                        /* [parameters] flat, laid out as spec.h says; owned */
    size_t param_count;
    struct simd_layer layers[LIMIT_LAYERS + 1]; /* packed copies, owned; filled by net_pack */
};

/* Zeroed parameters. 0, ERR_INVALID (the spec), ERR_NOMEM. */
int net_init(struct net *net, const struct net_spec *spec, struct err *err);
void net_release(struct net *net);
/* torch.nn.Linear's default: weights and biases uniform in +-1/sqrt(in), from (seed, RNG_INIT). */
void net_randomize(float *params, const struct net_spec *spec, uint64_t seed);
/* Packs params for the kernels; call after the parameters are set. 0 or ERR_NOMEM. */
int net_pack(struct net *net);

/* Floats of scratch that net_velocity needs for tiles of that stride. */
size_t net_scratch(const struct net_spec *spec, size_t stride);
/* v = u(x, t) for shape.lanes lanes, and maybe some more up to whole blocks of lanes. x:
   [dim][stride] feature-major; v: the same with dim rounded up to SIMD_OUTPUTS; t: [stride], t as
   the flow counts it (unscaled, 0 noise, 1 data); scratch: [net_scratch] aligned. Thread: any, with
   its own scratch. A lane's result depends on that lane alone, to the bit. */
void net_velocity(const struct net *net, const struct simd_kernels *kernels, float *v,
                  const float *x, const float *t, float *scratch, struct simd_shape shape);

/* Lanes of a tile at which the network is evaluated fastest on a core with that much cache (L2). */
size_t net_tile_lanes(const struct net_spec *spec, size_t cache_bytes);

/* Whether a call with so many lanes has work for a team (simd.h). */
bool net_shares(const struct net_spec *spec, size_t lanes);

/* Multiply-adds of one evaluation for one row, for cost accounts. */
double net_cost(const struct net_spec *spec);

#endif
