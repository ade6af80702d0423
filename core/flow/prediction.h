/* What a network says of a point x_t = alpha x1 + beta x0 of a path: the velocity, the data x1, the
   noise x0 (epsilon), or the score, the gradient of log p_t(x), which is -x0 / beta. Given x, each
   follows from each by one linear map, whose coefficients depend on t alone. */
#ifndef CORE_FLOW_PREDICTION_H
#define CORE_FLOW_PREDICTION_H

#include "core/flow/path.h"
#include "core/linalg/simd.h"

enum prediction {
    PREDICTION_VELOCITY,
    PREDICTION_DATA,
    PREDICTION_NOISE,
    PREDICTION_SCORE,
    PREDICTION_COUNT
};

/* Names as they stand in JSON; out of the enum: NULL. */
const char *prediction_name(enum prediction prediction);
bool prediction_find(const char *name, enum prediction *out);

/* to = x * point + from * prediction. */
struct prediction_mix {
    double x;
    double from;
};

/* Not finite where the one does not say the other: the data at alpha = 0 from the noise, say. */
struct prediction_mix prediction_convert(enum prediction from, enum prediction to,
                                         const struct path_point *at);

/* A conversion over all t. Where an end of [0, 1] is singular for it, the last `clamp` of time is
   frozen: prediction and coefficients are those of the clamped time. */
struct prediction_map {
    const struct path *path; /* borrowed */
    enum prediction from, to;
    float low, high; /* t is clamped to [low, high] */
};

/* clamp: in (0, 0.5). */
struct prediction_map prediction_map_of(const struct path *path, enum prediction from,
                                        enum prediction to, double clamp);
float prediction_map_time(const struct prediction_map *map, float t);
/* x[r], from[r] of prediction_convert for each of the clamped times t: [lanes]. The same bits on
   every machine. */
void prediction_map_mixes(const struct prediction_map *map, float *x, float *from, const float *t,
                          size_t lanes);

/* The coefficients of a tile: [stride] each. */
struct prediction_mixes {
    const float *x;
    const float *from;
};
/* v = mixes.x * x + mixes.from * v; where mixes.x is 0, x is not looked at. v, x: [dim][stride]. */
void prediction_apply(float *v, const float *x, struct prediction_mixes mixes, size_t dim,
                      struct simd_shape shape);

#endif
