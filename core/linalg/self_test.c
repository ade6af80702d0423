#include "core/linalg/self_test.h"

#include "core/base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* A deliberate change of the arithmetic changes it: the error of a failing test names the new one.
 */
static const uint64_t known_digest = UINT64_C(0xf622e2f58ee2cbfb);

/* Shapes in which every block of tile_kernels.c and row_kernels.h comes up. */
enum { PROBE_IN = 7, PROBE_OUT = 38, PROBE_LANES = 3 * SIMD_LANES, PROBE_ROWS = 7 };

struct probe {
    float in[PROBE_OUT * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float out[(PROBE_OUT + SIMD_OUTPUTS) * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float rows_in[PROBE_ROWS * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float rows_out[PROBE_ROWS * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float z[PROBE_LANES] __attribute__((aligned(MEM_ALIGN))); /* for the activations */
    float weight[PROBE_OUT * PROBE_IN];
    float bias[PROBE_OUT];
    struct simd_layer layer;
    uint64_t digest;
};

static const struct simd_shape probe_tile = {.stride = PROBE_LANES, .lanes = PROBE_LANES};
static const struct simd_shape probe_rows = {.stride = PROBE_LANES, .lanes = PROBE_ROWS};

uint64_t self_test_digest(uint64_t digest, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        digest = (digest ^ bits) * UINT64_C(0x100000001b3);
    }
    return digest;
}

/* Numbers of both signs that no two places share. */
static void probe_fill(float *array, size_t count, size_t first)
{
    for (size_t i = 0; i < count; i++)
        array[i] = (float)(((i + first) * 37 + 11) % 1009) / 320.0f - 1.5f;
}

static int probe_init(struct probe *probe)
{
    static const float far[] = {-0.0f, 1e-40f, -1e-40f, 30, -30, 100, -100};
    memset(probe, 0, sizeof *probe);
    probe->digest = SELF_TEST_BEGIN;
    probe_fill(probe->in, PROBE_OUT * PROBE_LANES, 0);
    probe_fill(probe->weight, PROBE_OUT * PROBE_IN, 5000);
    probe_fill(probe->bias, PROBE_OUT, 9000);
    probe_fill(probe->z, PROBE_LANES, 300);
    for (size_t i = 0; i < PROBE_LANES; i++)
        probe->z[i] *= 8;
    memcpy(probe->z, far, sizeof far);
    probe->in[5] = 0; /* a lane that combine leaves alone */
    for (size_t row = 0; row < PROBE_ROWS; row++) {
        for (size_t i = 0; i < PROBE_IN; i++)
            probe->rows_in[row * PROBE_LANES + i] = probe->in[i * PROBE_LANES + row];
    }
    return simd_layer_init(&probe->layer, probe->weight, probe->bias, PROBE_IN, PROBE_OUT);
}

static void probe_note(struct probe *probe, const float *values, size_t count)
{
    probe->digest = self_test_digest(probe->digest, values, count);
}

static bool probe_near(float value, double expected)
{
    return fabs((double)value - expected) <= 1e-5 * (1 + fabs(expected));
}

static bool probe_layer(const struct simd_kernels *kernels, struct probe *probe,
                        enum activation activation)
{
    kernels->layer(probe->out, probe->in, &probe->layer, activation, probe_tile);
    for (size_t o = 0; o < PROBE_OUT; o++) {
        for (size_t lane = 0; lane < PROBE_LANES; lane++) {
            double sum = probe->bias[o];
            for (size_t i = 0; i < PROBE_IN; i++)
                sum += (double)probe->weight[o * PROBE_IN + i] * probe->in[i * PROBE_LANES + lane];
            if (!probe_near(probe->out[o * PROBE_LANES + lane],
                            (double)activation_value(activation, (float)sum)))
                return false;
        }
    }
    probe_note(probe, probe->out, PROBE_OUT * PROBE_LANES);
    return true;
}

/* After probe_layer: its first lanes once more. */
static bool probe_row(const struct simd_kernels *kernels, struct probe *probe,
                      enum activation activation)
{
    if (!kernels->rows)
        return true;
    kernels->rows(probe->rows_out, probe->rows_in, &probe->layer, activation, probe_rows);
    for (size_t row = 0; row < PROBE_ROWS; row++) {
        for (size_t o = 0; o < PROBE_OUT; o++) {
            if (memcmp(probe->rows_out + row * PROBE_LANES + o, probe->out + o * PROBE_LANES + row,
                       sizeof(float)) != 0)
                return false;
        }
    }
    return true;
}

static bool probe_combine(const struct simd_kernels *kernels, struct probe *probe)
{
    const float c[] = {0.25f, 0, -0.5f};
    const float *h = probe->in;
    const float *x = probe->in + PROBE_LANES;
    const float *k[] = {x + PROBE_LANES, h, x + 2 * PROBE_LANES};
    kernels->combine(probe->out, x, h, c, k, 3, 1, probe_tile);
    for (size_t i = 0; i < PROBE_LANES; i++) {
        double sum = 0.25 * k[0][i] - 0.5 * k[2][i];
        if (!probe_near(probe->out[i], x[i] + h[i] * sum))
            return false;
    }
    probe_note(probe, probe->out, PROBE_LANES);
    return true;
}

static bool probe_activate(const struct simd_kernels *kernels, struct probe *probe,
                           enum activation activation)
{
    float *slope = probe->out + PROBE_LANES;
    memcpy(slope, probe->z, PROBE_LANES * sizeof *slope);
    kernels->activate(probe->out, slope, activation, PROBE_LANES);
    for (size_t i = 0; i < PROBE_LANES; i++) {
        float z = probe->z[i];
        if (!probe_near(probe->out[i], (double)activation_value(activation, z)) ||
            !probe_near(slope[i], (double)activation_slope(activation, z)))
            return false;
    }
    probe_note(probe, probe->out, 2 * PROBE_LANES);
    return true;
}

static int self_test_wrong(const char *variant, const char *kernel, const char *activation,
                           struct err *err)
{
    return err_set(err, ERR_INTERNAL, "",
                   "The %s kernels compute wrong results on this machine (%s%s%s).", variant,
                   kernel, activation ? ", " : "", activation ? activation : "");
}

static int self_test_kernels(const struct simd_kernels *kernels, struct probe *probe,
                             struct err *err)
{
    static const struct {
        const char *name;
        bool (*run)(const struct simd_kernels *, struct probe *, enum activation);
    } parts[] = {{"layer", probe_layer}, {"rows", probe_row}, {"activate", probe_activate}};
    if (!probe_combine(kernels, probe))
        return self_test_wrong(kernels->name, "combine", NULL, err);
    for (int i = 0; i < ACTIVATION_COUNT; i++) {
        for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
            if (!parts[part].run(kernels, probe, (enum activation)i))
                return self_test_wrong(kernels->name, parts[part].name,
                                       activation_name((enum activation)i), err);
        }
    }
    if (probe->digest != known_digest)
        return err_set(err, ERR_INTERNAL, "",
                       "The %s kernels compute other bits than they should on this machine "
                       "(digest 0x%016" PRIx64 ", not 0x%016" PRIx64 ").",
                       kernels->name, probe->digest, known_digest);
    return 0;
}

int self_test_run(const struct simd_kernels *kernels, struct err *err)
{
    struct probe probe;
    int code = probe_init(&probe);
    if (code)
        return err_set(err, (enum err_code)code, "", "No memory to test the kernels.");
    code = self_test_kernels(kernels, &probe, err);
    simd_layer_release(&probe.layer);
    return code;
}
