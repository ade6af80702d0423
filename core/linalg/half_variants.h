/* The layers of half.h, one file a kind of instructions; built where meson defines HALF_HAVE_X. */
#ifndef CORE_LINALG_HALF_VARIANTS_H
#define CORE_LINALG_HALF_VARIANTS_H

#include "core/linalg/simd.h"

/* AVX512-BF16. */
simd_layer_fn half_dot_bf16x3, half_dot_bf16;
/* AMX. */
simd_layer_fn half_amx_bf16x3, half_amx_bf16;

#endif
