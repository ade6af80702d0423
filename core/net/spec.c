#include "core/net/spec.h"

#include "core/base/check.h"
#include "core/linalg/rng.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    bool embedding;
} time_inputs[] = {
    [TIME_FIRST] = {"first", false},
    [TIME_LAST] = {"last", false},
    [TIME_FOURIER] = {"fourier", true},
    [TIME_SINUSOIDAL] = {"sinusoidal", true},
};

enum { TIME_INPUTS = sizeof time_inputs / sizeof time_inputs[0] };

const char *time_input_name(enum time_input input)
{
    check((unsigned)input < TIME_INPUTS);
    return time_inputs[input].name;
}

bool time_input_find(const char *name, enum time_input *out)
{
    for (int i = 0; i < TIME_INPUTS; i++) {
        if (strcmp(name, time_inputs[i].name) == 0) {
            *out = (enum time_input)i;
            return true;
        }
    }
    return false;
}

size_t time_spec_features(const struct time_spec *time)
{
    return time_inputs[time->input].embedding ? 2 * time->frequency_count : 1;
}

bool time_spec_before_x(const struct time_spec *time)
{
    return time_inputs[time->input].embedding ? time->before_x : time->input == TIME_FIRST;
}

void time_spec_turns(const struct time_spec *time, double *turns)
{
    const double two_pi = 6.28318530717958647693;
    size_t n = time->frequency_count;
    if (time->input == TIME_FOURIER) {
        for (size_t k = 0; k < n; k++)
            turns[k] = time->scale * time->frequencies[k];
    } else if (time->input == TIME_SINUSOIDAL) {
        double log_period = rng_log(time->max_period);
        for (size_t k = 0; k < n; k++)
            turns[k] = time->scale * rng_exp(-log_period * (double)k / (double)n) / two_pi;
    }
}

void time_spec_embed(float *features, const struct time_spec *time, const double *turns, double t)
{
    if (!time_inputs[time->input].embedding) {
        features[0] = (float)(time->scale * t);
        return;
    }
    size_t n = time->frequency_count;
    float *sines = time->cos_first ? features + n : features;
    float *cosines = time->cos_first ? features : features + n;
    for (size_t k = 0; k < n; k++) {
        double sine, cosine;
        rng_sincos_turns(turns[k] * t, &sine, &cosine);
        sines[k] = (float)sine;
        cosines[k] = (float)cosine;
    }
}

size_t net_spec_layers(const struct net_spec *spec)
{
    return spec->hidden_count + 1;
}

size_t net_spec_in(const struct net_spec *spec, size_t layer)
{
    return layer == 0 ? spec->dim + time_spec_features(&spec->time) : spec->hidden[layer - 1];
}

size_t net_spec_out(const struct net_spec *spec, size_t layer)
{
    return layer < spec->hidden_count ? spec->hidden[layer] : spec->dim;
}

size_t net_spec_weight_offset(const struct net_spec *spec, size_t layer)
{
    size_t offset = 0;
    for (size_t i = 0; i < layer; i++)
        offset += (net_spec_in(spec, i) + 1) * net_spec_out(spec, i);
    return offset;
}

size_t net_spec_bias_offset(const struct net_spec *spec, size_t layer)
{
    return net_spec_weight_offset(spec, layer) +
           net_spec_in(spec, layer) * net_spec_out(spec, layer);
}

size_t net_spec_parameters(const struct net_spec *spec)
{
    return net_spec_weight_offset(spec, net_spec_layers(spec));
}

/* Past a million turns the phase of an embedding is noise. */
static const double time_turns_max = 1048576;

static int time_check_fourier(const struct time_spec *time, struct err *err)
{
    for (size_t k = 0; k < time->frequency_count; k++) {
        double turns = time->scale * time->frequencies[k];
        if (!isfinite(turns) || fabs(turns) > time_turns_max)
            return err_set(err, ERR_INVALID, "/time/frequencies",
                           "frequency %zu times the scale of time must be between -%.0f and %.0f",
                           k, time_turns_max, time_turns_max);
    }
    return 0;
}

static int time_check_embedding(const struct time_spec *time, struct err *err)
{
    if (time->frequency_count < 1 || time->frequency_count > LIMIT_TIME_FREQUENCIES)
        return err_set(err, ERR_INVALID, "/time/frequencies",
                       "there must be between 1 and %d frequencies", LIMIT_TIME_FREQUENCIES);
    if (time->input == TIME_FOURIER)
        return time_check_fourier(time, err);
    if (!(time->max_period >= 1 && time->max_period <= 1e9))
        return err_set(err, ERR_INVALID, "/time/max_period",
                       "the longest period must be between 1 and 1e9");
    return 0;
}

static int time_check(const struct time_spec *time, struct err *err)
{
    if ((unsigned)time->input >= TIME_INPUTS)
        return err_set(err, ERR_INVALID, "/time/input",
                       "the input of time must be \"first\", \"last\", \"fourier\" or "
                       "\"sinusoidal\"");
    if (!isfinite(time->scale) || time->scale == 0 || fabs(time->scale) > 1e6)
        return err_set(err, ERR_INVALID, "/time/scale",
                       "the scale of time must be between -1e6 and 1e6 and not 0");
    if (time_inputs[time->input].embedding)
        return time_check_embedding(time, err);
    if (time->frequency_count != 0)
        return err_set(err, ERR_INVALID, "/time/frequencies",
                       "frequencies belong to the inputs \"fourier\" and \"sinusoidal\"");
    return 0;
}

static int net_spec_check_hidden(const struct net_spec *spec, struct err *err)
{
    const char *where = "/network/hidden";
    if (spec->hidden_count < 1 || spec->hidden_count > LIMIT_LAYERS)
        return err_set(err, ERR_INVALID, where, "there must be between 1 and %d hidden layers",
                       LIMIT_LAYERS);
    for (size_t i = 0; i < spec->hidden_count; i++) {
        if (spec->hidden[i] < 1 || spec->hidden[i] > LIMIT_LAYER_WIDTH)
            return err_set(err, ERR_INVALID, where,
                           "hidden layer %zu must have between 1 and %d units", i,
                           LIMIT_LAYER_WIDTH);
    }
    if (net_spec_parameters(spec) > LIMIT_PARAMETERS)
        return err_set(err, ERR_INVALID, where,
                       "the network would have %zu parameters; at most %llu are allowed",
                       net_spec_parameters(spec), LIMIT_PARAMETERS);
    return 0;
}

int net_spec_check(const struct net_spec *spec, struct err *err)
{
    if (spec->dim < 1 || spec->dim > LIMIT_DIM)
        return err_set(err, ERR_INVALID, "/network/dim",
                       "the dimension of the data must be between 1 and %d", LIMIT_DIM);
    if ((unsigned)spec->activation >= ACTIVATION_COUNT)
        return err_set(err, ERR_INVALID, "/network/activation", "the activation is not known");
    int code = time_check(&spec->time, err);
    return code ? code : net_spec_check_hidden(spec, err);
}
