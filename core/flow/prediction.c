#include "core/flow/prediction.h"

#include "core/base/check.h"

#include <math.h>
#include <string.h>

static const char *const prediction_names[] = {
    [PREDICTION_VELOCITY] = "velocity",
    [PREDICTION_DATA] = "data",
    [PREDICTION_NOISE] = "noise",
    [PREDICTION_SCORE] = "score",
};

const char *prediction_name(enum prediction prediction)
{
    return (unsigned)prediction < PREDICTION_COUNT ? prediction_names[prediction] : NULL;
}

bool prediction_find(const char *name, enum prediction *out)
{
    for (unsigned i = 0; i < PREDICTION_COUNT; i++) {
        if (strcmp(prediction_names[i], name) == 0) {
            *out = (enum prediction)i;
            return true;
        }
    }
    return false;
}

/* A prediction as data * x1 + noise * x0; the score counts as the noise. */
struct prediction_parts {
    double data;
    double noise;
};

static struct prediction_parts prediction_parts(enum prediction prediction,
                                                const struct path_point *at)
{
    if (prediction == PREDICTION_VELOCITY)
        return (struct prediction_parts){at->dalpha, at->dbeta};
    if (prediction == PREDICTION_DATA)
        return (struct prediction_parts){1, 0};
    return (struct prediction_parts){0, 1};
}

/* Cramer's rule for to = a x + b from, with x = alpha x1 + beta x0. */
static struct prediction_mix prediction_solve(struct prediction_parts p, struct prediction_parts q,
                                              const struct path_point *at)
{
    double determinant = at->alpha * p.noise - at->beta * p.data;
    if (p.data == q.data && p.noise == q.noise)
        return (struct prediction_mix){0, 1};
    return (struct prediction_mix){
        .x = (q.data * p.noise - q.noise * p.data) / determinant,
        .from = (at->alpha * q.noise - at->beta * q.data) / determinant,
    };
}

struct prediction_mix prediction_convert(enum prediction from, enum prediction to,
                                         const struct path_point *at)
{
    struct prediction_parts p = prediction_parts(from, at), q = prediction_parts(to, at);
    struct prediction_mix mix = prediction_solve(p, q, at);
    if (from == to)
        return mix;
    if (from == PREDICTION_SCORE)
        mix.from *= -at->beta;
    if (to == PREDICTION_SCORE) {
        mix.x /= -at->beta;
        mix.from /= -at->beta;
    }
    return mix;
}

static bool prediction_regular(const struct path *path, double t, enum prediction from,
                               enum prediction to)
{
    struct path_point at = path_at(path, t);
    struct prediction_mix mix = prediction_convert(from, to, &at);
    return isfinite((float)mix.x) && isfinite((float)mix.from);
}

struct prediction_map prediction_map_of(const struct path *path, enum prediction from,
                                        enum prediction to, double clamp)
{
    check(clamp > 0 && clamp < 0.5);
    bool slopes = from != to && (from == PREDICTION_VELOCITY || to == PREDICTION_VELOCITY);
    bool low = prediction_regular(path, 0, from, to);
    bool high = prediction_regular(path, 1, from, to) && !(slopes && path_steep(path));
    return (struct prediction_map){
        .path = path,
        .from = from,
        .to = to,
        .low = low ? 0 : (float)clamp,
        .high = high ? 1 : (float)(1 - clamp),
    };
}

float prediction_map_time(const struct prediction_map *map, float t)
{
    return t < map->low ? map->low : t > map->high ? map->high : t;
}

/* Lanes of the same t stand side by side more often than not. */
void prediction_map_mixes(const struct prediction_map *map, float *x, float *from, const float *t,
                          size_t lanes)
{
    for (size_t r = 0; r < lanes; r++) {
        if (r > 0 && t[r] == t[r - 1]) {
            x[r] = x[r - 1];
            from[r] = from[r - 1];
            continue;
        }
        struct path_point at = path_at(map->path, (double)t[r]);
        struct prediction_mix mix = prediction_convert(map->from, map->to, &at);
        x[r] = (float)mix.x;
        from[r] = (float)mix.from;
    }
}

void prediction_apply(float *v, const float *x, struct prediction_mixes mixes, size_t dim,
                      struct simd_shape shape)
{
    for (size_t i = 0; i < dim; i++) {
        float *to = v + i * shape.stride;
        const float *at = x + i * shape.stride;
        for (size_t r = 0; r < shape.lanes; r++) {
            float of_x = mixes.x[r] != 0 ? mixes.x[r] * at[r] : 0;
            to[r] = of_x + mixes.from[r] * to[r];
        }
    }
}
