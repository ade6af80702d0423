/* What a velocity network is, apart from its weights. Plain data. */
#ifndef CORE_NET_SPEC_H
#define CORE_NET_SPEC_H

#include "config/limits.h"
#include "core/base/err.h"
#include "core/linalg/activation.h"

#include <stdbool.h>
#include <stddef.h>

enum time_input {
    TIME_FIRST,      /* cat(s t, x) */
    TIME_LAST,       /* cat(x, s t) */
    TIME_FOURIER,    /* features sin, cos of 2 pi f_k s t */
    TIME_SINUSOIDAL, /* features sin, cos of s t / max_period^(k / n) (transformers, diffusers) */
};

/* How t enters. With n frequencies the two embeddings give 2 n features, cosines before sines or
   the other way round, placed before or behind x. */
struct time_spec {
    enum time_input input;
    double scale; /* s: the network sees s * t (1, 999, 1000) */
    bool cos_first;
    bool before_x;          /* of the embeddings; TIME_FIRST and TIME_LAST say it themselves */
    size_t frequency_count; /* n; 0 for TIME_FIRST and TIME_LAST */
    double max_period;      /* of TIME_SINUSOIDAL, usually 10000 */
    double frequencies[LIMIT_TIME_FREQUENCIES]; /* f_k of TIME_FOURIER, turns per unit of s t */
};

/* A multilayer perceptron: linear layers with the activation between them. */
struct net_spec {
    size_t dim; /* of x and of the velocity */
    enum activation activation;
    struct time_spec time;
    size_t hidden_count;         /* layers - 1, >= 1 */
    size_t hidden[LIMIT_LAYERS]; /* widths of the hidden layers */
};

/* How many numbers the network sees of one t. */
size_t time_spec_features(const struct time_spec *time);
/* For the embeddings: turns[k], k < frequency_count, is how often feature pair k goes round while t
   goes from 0 to 1. */
void time_spec_turns(const struct time_spec *time, double *turns);
/* What the network sees of one t: features: [time_spec_features]; turns as above, unread for
   TIME_FIRST and TIME_LAST. The same bits on every machine. */
void time_spec_embed(float *features, const struct time_spec *time, const double *turns, double t);
/* What the network sees of t where it is not embedded (one feature). */
static inline float time_spec_scaled(const struct time_spec *time, float t)
{
    return (float)(time->scale * (double)t);
}
/* True where the features stand before x in the first layer's input. */
bool time_spec_before_x(const struct time_spec *time);
/* Layer i maps net_spec_in(i) numbers to net_spec_out(i), i < net_spec_layers. */
size_t net_spec_layers(const struct net_spec *spec);
size_t net_spec_in(const struct net_spec *spec, size_t layer);
size_t net_spec_out(const struct net_spec *spec, size_t layer);
/* Where layer i stands in the flat parameter vector: weight [out, in] row-major, then bias
   [out]. */
size_t net_spec_weight_offset(const struct net_spec *spec, size_t layer);
size_t net_spec_bias_offset(const struct net_spec *spec, size_t layer);
size_t net_spec_parameters(const struct net_spec *spec);
/* 0, or ERR_INVALID naming the field ("/network/hidden") that is outside the limits. */
int net_spec_check(const struct net_spec *spec, struct err *err);

/* Names as they stand in JSON: "first", "last", "fourier", "sinusoidal". */
const char *time_input_name(enum time_input input);
bool time_input_find(const char *name, enum time_input *out);

#endif
