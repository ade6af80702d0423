/* Layers whose products are done in bfloat16 (precision.h). Every float32 operand is a sum of two
   bfloat16 parts, high and low, and a rest below 2^-16 of it: "bf16x3" adds high x high, high x low
   and low x high, "bf16" high x high alone; all sums are float32.

   A lane's bits depend on that lane alone, as in simd.h, but also on the instructions: what one
   machine computes another need not repeat to the bit. */
#ifndef CORE_LINALG_HALF_H
#define CORE_LINALG_HALF_H

#include "core/linalg/precision.h"
#include "core/linalg/simd.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HALF_OUTPUTS = 16, /* outputs and pairs of inputs of one packed block: 1 KiB, an AMX tile */
    HALF_PAIRS = 16,
    HALF_BLOCK = HALF_OUTPUTS * HALF_PAIRS,
    HALF_INPUTS_MIN = 32, /* layers of fewer inputs stay float32: there time and data come in */
};

/* Blocks of outputs, and of pairs, that a layer takes. */
static inline size_t half_output_blocks(const struct simd_layer *layer)
{
    return (layer->out + HALF_OUTPUTS - 1) / HALF_OUTPUTS;
}

static inline size_t half_pair_blocks(const struct simd_layer *layer)
{
    return (layer->in + 2 * HALF_PAIRS - 1) / (2 * HALF_PAIRS);
}

/* Packs the weights of a layer a second time, as its comment says, if it has enough inputs.
   weight: [out, in]. 0 or ERR_NOMEM. */
int half_pack(struct simd_layer *layer, const float *weight);
/* Whether this processor has any kernel that reads them. Thread: any. */
bool half_wanted(void);

/* Fills *out with the kernels that compute layers in a precision and all else like `f32`: the
   fastest of those that this machine has and that pass their test. Few rows are computed in a tile,
   too: there are none for rows. amx: the system lets this process use AMX tiles. False where there
   is none, as for any variant of `f32` but "avx512". */
bool half_kernels(struct simd_kernels *out, const struct simd_kernels *f32,
                  enum precision precision, bool amx);
/* Runs a layer of these kernels on known numbers against scalar code. 0, ERR_NOMEM, ERR_INTERNAL.
 */
int half_self_test(const struct simd_kernels *kernels, enum precision precision);

#endif
