#include "core/linalg/activation.h"

#include "core/base/check.h"

#include <math.h>
#include <string.h>

static const char *const activation_names[ACTIVATION_COUNT] = {
#define ACTIVATION_NAME(code, name) [ACTIVATION_##code] = name,
    ACTIVATIONS(ACTIVATION_NAME)
#undef ACTIVATION_NAME
};

const char *activation_name(enum activation activation)
{
    check((unsigned)activation < ACTIVATION_COUNT);
    return activation_names[activation];
}

bool activation_find(const char *name, enum activation *out)
{
    if (strcmp(name, "swish") == 0)
        name = activation_names[ACTIVATION_SILU];
    for (int i = 0; i < ACTIVATION_COUNT; i++) {
        if (strcmp(name, activation_names[i]) == 0) {
            *out = (enum activation)i;
            return true;
        }
    }
    return false;
}

static const double selu_scale = 1.05070098735548049342;
static const double selu_alpha = 1.67326324235437728482;
static const double sqrt_half = 0.70710678118654752440;
static const double sqrt_2_over_pi = 0.79788456080286535588;
static const double sqrt_1_over_2pi = 0.39894228040143267794;
static const double gelu_cubic = 0.044715;

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

static double gelu_tanh_inner(double z)
{
    return sqrt_2_over_pi * z * (1 + gelu_cubic * z * z);
}

static double value(enum activation activation, double z)
{
    switch (activation) {
    case ACTIVATION_SILU:
        return z * sigmoid(z);
    case ACTIVATION_RELU:
        return z < 0 ? 0 : z;
    case ACTIVATION_ELU:
        return z > 0 ? z : expm1(z);
    case ACTIVATION_SELU:
        return selu_scale * (z > 0 ? z : selu_alpha * expm1(z));
    case ACTIVATION_GELU:
        return z * 0.5 * erfc(-z * sqrt_half);
    case ACTIVATION_GELU_TANH:
        return z * sigmoid(2 * gelu_tanh_inner(z));
    case ACTIVATION_TANH:
        return tanh(z);
    case ACTIVATION_NONE:
    case ACTIVATION_COUNT:
        break;
    }
    return z;
}

static double gelu_tanh_slope(double z)
{
    double gate = sigmoid(2 * gelu_tanh_inner(z));
    double inner_slope = sqrt_2_over_pi * (1 + 3 * gelu_cubic * z * z);
    return gate + 2 * z * gate * (1 - gate) * inner_slope;
}

static double slope(enum activation activation, double z)
{
    switch (activation) {
    case ACTIVATION_SILU:
        return sigmoid(z) * (1 + z * sigmoid(-z));
    case ACTIVATION_RELU:
        return z > 0;
    case ACTIVATION_ELU:
        return z > 0 ? 1 : exp(z);
    case ACTIVATION_SELU:
        return selu_scale * (z > 0 ? 1 : selu_alpha * exp(z));
    case ACTIVATION_GELU:
        return 0.5 * erfc(-z * sqrt_half) + z * sqrt_1_over_2pi * exp(-0.5 * z * z);
    case ACTIVATION_GELU_TANH:
        return gelu_tanh_slope(z);
    case ACTIVATION_TANH:
        return 1 - tanh(z) * tanh(z);
    case ACTIVATION_NONE:
    case ACTIVATION_COUNT:
        break;
    }
    return 1;
}

float activation_value(enum activation activation, float z)
{
    return (float)value(activation, z);
}

float activation_slope(enum activation activation, float z)
{
    return (float)slope(activation, z);
}
